"""A run of the train command: resumed, trained, watched, closed. Both engines have the same."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Tuple

from nin_gluon import plots
from nin_gluon.data.sets import DATASETS
from nin_gluon.errors import InputError
from nin_gluon.settings import Settings
from nin_gluon.training import callbacks, checkpoint
from nin_gluon.training.engine import Engine
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Hooks
from nin_gluon.training.initial_parameters import read_initial
from nin_gluon.training.loop import fit
from nin_gluon.training.run_folder import RunConfig
from nin_gluon.training.tally import Tally
from nin_gluon.training.tensorboard import TensorBoard

__all__ = ["Run", "Watch", "check_batches", "check_classes"]

log = logging.getLogger(__name__)


@dataclass
class Run:
    """Everything that the loop needs, ready to train.

    Attributes
    ----------
    config : RunConfig
        With the data set and the image size settled.
    workers : Workers
    engine : Engine
        With the net initialized.
    train_iter, test_iter : BatchLoader
        Of the engine's framework.
    """

    config: RunConfig
    workers: Any
    engine: Engine
    train_iter: Any
    test_iter: Any

    @property
    def settings(self) -> Settings:
        return self.config.settings

    def start(self) -> Tuple[List[EpochRecord], Tally]:
        """Take the parameters that the user named, if any; return where a new run starts."""
        path, digest = self.config.environment.init_file, self.settings.init_from
        if digest:
            self.engine.put_parameters(read_initial(Path(path or ""), digest,
                                                    self.engine.parameters()))
        return [], Tally()

    def resume(self, folder: Path) -> Tuple[List[EpochRecord], Tally]:
        """Go to where the newest checkpoint in a run folder was taken.

        A run that was killed before its first checkpoint begins anew.
        """
        if not checkpoint.complete(folder) and not has_history(folder):
            log.warning("the run had no checkpoint yet, so it begins anew")
            return self.start()
        tally, history = checkpoint.load(checkpoint.latest(folder), self.engine)
        self.train_iter.skip = tally.step
        return history, tally

    def train(self, hooks: Hooks) -> List[EpochRecord]:
        """Run the chapter's loop with these hooks."""
        return fit(self.engine, self.train_iter, self.test_iter, self.settings.epochs, hooks)

    def draw_predictions(self, path: Path) -> None:
        """Draw the first images that test the net, with their classes, true and predicted."""
        X, y = next(iter(self.test_iter))
        predicted: Any = self.engine.predict(X)
        labels: Any = self.engine.to_numpy(y)
        shown = min(32, len(labels))
        images = self.engine.to_numpy(self.test_iter.images[:shown])
        dataset = DATASETS[str(self.settings.dataset)]
        correct = int((predicted[:shown] == labels[:shown]).sum())
        kind = "held-out" if self.settings.validation else "test"
        title = (f"{dataset.title}: {correct} of these {shown} {kind} images right "
                 "(in red: predicted, not true)")
        plots.save(plots.draw_predictions(images, labels[:shown], predicted[:shown],
                                          dataset.classes, title), path)


def has_history(folder: Path) -> bool:
    """Whether the run in a folder has finished an epoch."""
    history = folder / "history.jsonl"
    return history.exists() and history.stat().st_size > 0


def check_batches(images: int, batch_size: int, devices: int) -> None:
    """Raise `InputError` unless every batch has an image for each device.

    Parameters
    ----------
    images, batch_size, devices : int
        Of a data set; of a batch and of all devices of all workers together.
    """
    smallest = images % batch_size or batch_size
    if smallest < devices:
        raise InputError(f"a batch of {smallest} images cannot be split over {devices} "
                         "devices; change --batch-size or --limit.")


def check_classes(settings: Settings, scores: int) -> None:
    """Raise `InputError` unless a net that makes so many scores fits the run's data set."""
    dataset = DATASETS[str(settings.dataset)]
    if scores != len(dataset.classes):
        raise InputError(f"--model {settings.model} makes {scores} classes, and {dataset.title} "
                         f"has {len(dataset.classes)}; leave out classes=.")


class Watch:
    """The callbacks of a run that has a folder, and what they have to do when it ends early.

    Parameters
    ----------
    run : Run
    folder : Path
        The run folder.
    history : list of EpochRecord
    tally : Tally
        Where the run starts.
    checkpoint_every : int, optional
        Steps between checkpoints; by default one every two minutes.
    show_progress : bool
        Whether to show progress bars if stderr is a terminal.
    tensorboard : bool
        Whether to write event files into ``tensorboard`` in the run folder.
    """

    def __init__(self, run: Run, folder: Path, history: List[EpochRecord], tally: Tally,
                 checkpoint_every: Optional[int] = None, show_progress: bool = True,
                 tensorboard: bool = False) -> None:
        settings, engine = run.settings, run.engine
        self.seeds = callbacks.StepSeeds(engine, settings.seed, tally)
        self.progress = callbacks.Progress(engine, settings, run.train_iter, run.test_iter, tally,
                                           folder, show_progress, run.workers.count)
        self.checkpoints = callbacks.Checkpoints(folder, engine, history, tally, self.progress,
                                                 checkpoint_every)
        self.last_finite = callbacks.LastFiniteParameters(engine, tally)
        self.export = callbacks.Export(folder, engine, settings, self.progress)
        if history and not tally.step:  # a kill may have come between the checkpoint and this
            self.export.on_epoch_end(history)
        self.stop = callbacks.StopOnSignal(settings.epochs)
        self.tensorboard = [TensorBoard(
            folder / "tensorboard", engine, settings, self.progress.marks, run.train_iter,
            run.test_iter, history, tally)] if tensorboard else []
        self.run, self.hooks = run, Hooks(history, tally, [
            self.seeds, self.progress, *self.tensorboard, self.last_finite, self.checkpoints,
            self.export, self.stop])

    def train(self) -> List[EpochRecord]:
        """Train; if something stops the run between two steps, save it and pass that on."""
        try:
            with self.stop:
                try:
                    return self.run.train(self.hooks)
                except (callbacks.Stopped, BrokenPipeError):
                    self.checkpoints.save()
                    raise
        finally:
            self.progress.close()
            for callback in self.tensorboard:
                callback.close()
