"""Loss and accuracy of an epoch, summed on the device while it trains."""

import math
import time
from typing import Any, Dict, List, Optional

from nin_gluon.training.engine import Engine

__all__ = ["NonFiniteLoss", "Tally"]


class NonFiniteLoss(ArithmeticError):
    """Training has diverged: the loss or a parameter is no longer a finite number."""


class Tally:
    """Running sums of an epoch, kept on the device until `collect` brings them to the host.

    An engine queues work and returns at once. Asking for the loss after every batch, as d2lzh
    does, waits for the device every time.

    Attributes
    ----------
    epoch : int
        From 1.
    step : int
        Batches done in this epoch.
    loss_sum : float
        Sum of the cross-entropy over the images collected so far, in nats.
    correct, images : int
        How many images were classified correctly, and how many were collected.
    """

    def __init__(self, epoch: int = 1, step: int = 0, loss_sum: float = 0.0, correct: int = 0,
                 images: int = 0, seconds: float = 0.0) -> None:
        self.epoch, self.step = epoch, step
        self.loss_sum, self.correct, self.images = loss_sum, correct, images
        self.seconds_before = seconds
        self.started: Optional[float] = None
        self.pending: List[Any] = []  # for each batch, its sums, as `Engine.train_step` gave them

    def state(self) -> Dict[str, Any]:
        """The sums as a JSON-ready dict that the constructor takes; call after `collect`."""
        return {"epoch": self.epoch, "step": self.step, "loss_sum": self.loss_sum,
                "correct": self.correct, "images": self.images, "seconds": self.seconds}

    def start_clock(self) -> None:
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since `start_clock`, plus those of earlier parts of the epoch."""
        return self.seconds_before + (
            0 if self.started is None else time.monotonic() - self.started)

    @property
    def loss(self) -> float:
        """Mean loss of the images collected so far."""
        return self.loss_sum / max(self.images, 1)

    @property
    def accuracy(self) -> float:
        """Fraction of the images collected so far that were classified correctly."""
        return self.correct / max(self.images, 1)

    def add(self, sums: Any) -> None:
        """Add what `Engine.train_step` returned for one batch, without waiting for it."""
        self.pending.append(sums)
        self.step += 1

    def collect(self, engine: Engine, parameters: bool = False, keep: int = 0) -> None:
        """Wait for the device once and add up what was pending.

        Parameters
        ----------
        engine : Engine
        parameters : bool
            Check the parameters, too.
        keep : int
            Leave this many of the last batches pending, so that the device has work meanwhile.

        Raises
        ------
        NonFiniteLoss
            The loss of a batch, or a parameter, is not finite. The parameters have to be checked
            because MXNet's ReLU turns NaN into 0: a ruined net may go on reporting a loss of ln 10.
        """
        first = self.step - len(self.pending) + 1
        cut = max(0, len(self.pending) - keep)
        done, self.pending = self.pending[:cut], self.pending[cut:]
        for step, parts in enumerate(engine.fetch(done).tolist(), first):
            for loss, correct, images in parts:
                if not math.isfinite(loss):
                    raise NonFiniteLoss(f"the loss became {loss} in epoch {self.epoch}, step "
                                        f"{step}")
                self.loss_sum += loss
                self.correct += int(correct)
                self.images += int(images)
        if parameters and not engine.parameters_are_finite():
            raise NonFiniteLoss(f"a parameter stopped being finite in epoch {self.epoch}, "
                                f"by step {self.step}")
