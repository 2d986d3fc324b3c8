"""What a run adds to the chapter's loop: where to start, and whom to call.

`nin_gluon.train_ch5` calls a `Hooks` object at fixed moments, and that object calls its
callbacks, in order. Whatever a callback raises ends the run.
"""

from dataclasses import dataclass
from typing import List, Optional, Sequence

from nin_gluon.training.history import EpochRecord
from nin_gluon.training.tally import Tally

__all__ = ["Callback", "Hooks"]


class Callback:
    """Does nothing at every moment; a callback overrides the moments that it needs."""

    def on_train_batch_end(self, tally: Tally) -> None:
        """After a training step; `tally` is of the epoch under way, not yet collected."""

    def on_test_batch_end(self) -> None:
        """After a batch of the evaluation."""

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        """After an epoch, its evaluation and its line."""


@dataclass
class Hooks:
    """The one parameter that `nin_gluon.train_ch5` has beyond d2lzh's.

    Attributes
    ----------
    history : sequence of EpochRecord
        Epochs that are done already. Their lines are printed again, and training goes on after
        them.
    tally : Tally or None
        Of the epoch that was stopped in the middle, if one was; `train_iter` then yields its rest.
    callbacks : sequence of Callback
    """

    history: Sequence[EpochRecord] = ()
    tally: Optional[Tally] = None
    callbacks: Sequence[Callback] = ()

    def on_train_batch_end(self, tally: Tally) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_end(tally)

    def on_test_batch_end(self) -> None:
        for callback in self.callbacks:
            callback.on_test_batch_end()

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(history)
