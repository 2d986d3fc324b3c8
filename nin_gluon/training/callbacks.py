"""What the train command does at the loop's moments: seeds, progress, checkpoints, stopping.

Each class does one of these; `nin_gluon.training.run` lists them in the order in which the loop has
to call them.
"""

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
from tqdm import tqdm

from nin_gluon import plots
from nin_gluon.atomic_files import write_text
from nin_gluon.settings import Settings
from nin_gluon.training import checkpoint
from nin_gluon.training.engine import Engine
from nin_gluon.training.history import EpochRecord, write_history
from nin_gluon.training.hooks import Callback
from nin_gluon.training.progress_marks import read_marks
from nin_gluon.training.tally import Tally

__all__ = ["Checkpoints", "Export", "LastFiniteParameters", "Progress", "StepSeeds", "StopOnSignal",
           "Stopped", "duration"]

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.25  # between two waits for the device to show progress
WARM_UP_STEPS = 3  # they pay for compilation and for the memory of all steps in flight
COPY_SECONDS = 2.0  # between two copies of the parameters, in case the run diverges
CHECKPOINT_SECONDS = 120.0  # unless the user counts in steps


class Stopped(Exception):
    """Ctrl-C or SIGTERM arrived."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class StepSeeds(Callback):
    """Seeds the random numbers of every step, so that a resumed run draws the same masks.

    Parameters
    ----------
    engine : Engine
    seed : int
        The run's.
    tally : Tally
        Where the run starts.
    rank : int
        Of this worker; each has masks of its own.
    """

    def __init__(self, engine: Engine, seed: int, tally: Tally, rank: int = 0) -> None:
        self.engine, self.seed, self.rank = engine, seed, rank
        self.on_train_batch_end(tally)  # for the first step

    def on_train_batch_end(self, tally: Tally) -> None:
        self.engine.seed_step(self.seed, tally.epoch, tally.step, self.rank)  # for the next step

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        self.engine.seed_step(self.seed, len(history) + 1, 0, self.rank)


class Progress(Callback):
    """Shows where the run is, and keeps the loss within the epochs for the curves.

    Showing progress waits for the device, so it happens a few times a second at most.

    Parameters
    ----------
    engine : Engine
    settings : Settings
    train_iter, test_iter : BatchLoader
    tally : Tally
        Where the run starts.
    folder : Path
        The run folder, where a run that goes on finds its ``progress.jsonl``.
    show : bool
        Whether to show progress bars if stderr is a terminal.
    workers : int
        How many train this net together. On CPUs they say how long the run will take.

    Attributes
    ----------
    marks : list of dict
        ``epochs`` done with a fraction, ``step``s done, mean ``loss`` and ``train_acc`` since the
        mark before.
    """

    def __init__(self, engine: Engine, settings: Settings, train_iter: Any, test_iter: Any,
                 tally: Tally, folder: Path, show: bool = True, workers: int = 1) -> None:
        self.engine, self.settings, self.show, self.workers = engine, settings, show, workers
        self.train_iter, self.test_iter = train_iter, test_iter
        self.images = len(train_iter.labels)
        self.marks = read_marks(folder / "progress.jsonl")
        self.marked = tally.state()  # at the last mark
        self.bar: Any = None
        self.evaluated = 0  # test batches done in this evaluation
        self.tally = tally
        self.steps, self.next_update = 0, 1
        self.last_update = time.monotonic(), 0  # when, and how many steps the device had done
        self.clock: Any = None  # (time, steps) after the warm-up, to estimate the run's length
        self.length_is_told = engine.devices[0].startswith(("gpu", "cuda"))

    def on_train_batch_end(self, tally: Tally) -> None:
        self.tally = tally
        self.steps += 1
        if self.steps >= self.next_update:
            self.update()

    def on_test_batch_end(self) -> None:
        if not self.evaluated:
            self.add_mark()  # for the epoch's last batches
            self.open_bar("evaluating", len(self.test_iter), 0, "batches")
        self.evaluated += 1
        self.bar.update()
        if self.evaluated == len(self.test_iter):
            self.close()  # the epoch's line comes next

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        self.evaluated = 0
        self.tally = Tally(len(history) + 1)

    def update(self) -> None:
        """See how far the device is; show it. Raises NonFiniteLoss if a batch's loss is not finite.

        The last batch stays with the device, so that it has work meanwhile.
        """
        tally = self.tally
        tally.collect(self.engine, keep=1)
        now, done = time.monotonic(), self.steps - len(tally.pending)
        if self.clock is None and done >= WARM_UP_STEPS:
            self.clock = now, done
        elif (not self.length_is_told and self.clock and done > self.clock[1]
                and now - self.clock[0] > 1.5):
            self.tell_length((done - self.clock[1]) / (now - self.clock[0]))
        if self.bar is None:
            self.open_bar(f"epoch {tally.epoch}/{self.settings.epochs}", self.images, tally.images,
                          "images")
        self.bar.set_postfix_str(f"loss {tally.loss:.4f}, train acc {tally.accuracy:.3f}",
                                 refresh=False)
        self.bar.update(tally.images - self.bar.n)
        self.add_mark()
        before, done_before = self.last_update
        if done > done_before:
            seconds_per_step = max(now - before, 1e-6) / (done - done_before)
            self.next_update = self.steps + max(1, int(PROGRESS_SECONDS / seconds_per_step))
        self.last_update = now, done

    def add_mark(self) -> None:
        """Note loss and accuracy since the last mark, about a hundred times an epoch."""
        tally, before = self.tally, self.marked
        if before["epoch"] != tally.epoch:
            before = Tally(tally.epoch).state()
        images = tally.images - before["images"]
        if images >= self.images / 100:
            step = tally.step - len(tally.pending)
            self.marks.append({"epochs": tally.epoch - 1 + tally.images / self.images,
                               "step": (tally.epoch - 1) * len(self.train_iter) + step,
                               "loss": (tally.loss_sum - before["loss_sum"]) / images,
                               "train_acc": (tally.correct - before["correct"]) / images})
            self.marked = tally.state()

    def tell_length(self, steps_per_second: float) -> None:
        """Say about how long the run will take; a test batch costs about 0.3 training steps."""
        self.length_is_told = True
        epochs_left = self.settings.epochs - (self.tally.epoch - 1)
        steps_per_epoch = len(self.train_iter) + 0.3 * len(self.test_iter)
        left = epochs_left * steps_per_epoch - self.tally.step
        images = steps_per_second * self.settings.batch_size * self.workers
        speed = f"{images:.3g}" if images < 1000 else f"{images:,.0f}"
        tqdm.write(f"about {duration(left / steps_per_second)} to go at {speed} images/s; "
                   "Ctrl-C saves and stops, --resume goes on", file=sys.stderr)

    def open_bar(self, title: str, total: int, done: int, unit: str) -> None:
        self.close()
        self.bar = tqdm(total=total, initial=done, desc=title, unit=" " + unit, leave=False,
                        disable=None if self.show else True, dynamic_ncols=True)
        self.bar.n = done  # a disabled bar does not count

    def close(self) -> None:
        """Take the progress bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class LastFiniteParameters(Callback):
    """Keeps a copy of the parameters that were last found finite, in case the run diverges."""

    def __init__(self, engine: Engine, tally: Tally) -> None:
        self.engine = engine
        self.copy(tally)

    def on_train_batch_end(self, tally: Tally) -> None:
        if time.monotonic() - self.copied > COPY_SECONDS:
            tally.collect(self.engine, parameters=True)
            self.copy(tally)

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        self.copy(Tally(len(history) + 1))

    def copy(self, tally: Tally) -> None:
        self.values = self.engine.parameters()
        self.epoch, self.step = tally.epoch, tally.step
        self.copied = time.monotonic()

    def export(self, folder: Path) -> str:
        """After divergence: export these parameters, and say where they are."""
        self.engine.put_parameters(self.values)
        path = self.engine.export(folder, self.epoch - 1)
        return f"the parameters of epoch {self.epoch}, step {self.step} are in {path}"


class Checkpoints(Callback):
    """Saves the run: at its start, after every epoch, and every two minutes or so many steps.

    Parameters
    ----------
    folder : Path
        The run folder.
    engine : Engine
    history : list of EpochRecord
    tally : Tally
        Where the run starts.
    progress : Progress
        Its marks are saved, too.
    every : int, optional
        Steps between checkpoints; by default time decides.
    """

    def __init__(self, folder: Path, engine: Engine, history: List[EpochRecord], tally: Tally,
                 progress: Progress, every: Optional[int] = None) -> None:
        self.folder, self.engine = folder, engine
        self.history, self.tally, self.progress, self.every = history, tally, progress, every
        self.steps = 0
        # From before the order of the epoch under way is drawn.
        self.order_state: Any = np.random.get_state()
        self.save()

    def on_train_batch_end(self, tally: Tally) -> None:
        self.tally = tally
        self.steps += 1
        if self.every:
            due = self.steps % self.every == 0
        else:
            due = time.monotonic() - self.saved > CHECKPOINT_SECONDS
        if due:
            self.save()

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        self.history, self.tally = list(history), Tally(len(history) + 1)
        self.order_state = np.random.get_state()
        self.save()

    def save(self) -> None:
        """Write a checkpoint, the history and the marks; raises NonFiniteLoss instead of saving
        parameters that are not finite.
        """
        self.tally.collect(self.engine, parameters=True)
        checkpoint.save(self.folder, self.engine, self.tally, self.history, self.order_state)
        write_history(self.folder / "history.jsonl", self.history)
        write_text(self.folder / "progress.jsonl",
                   "".join(json.dumps(mark) + "\n" for mark in self.progress.marks))
        self.saved = time.monotonic()


class Export(Callback):
    """Writes the net and the curves after every epoch."""

    def __init__(self, folder: Path, engine: Engine, settings: Settings,
                 progress: Progress) -> None:
        self.folder, self.engine, self.progress = folder, engine, progress
        self.title = (f"{settings.model} on {settings.dataset}, {settings.resize}x"
                      f"{settings.resize}, {settings.dtype}")

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        self.engine.export(self.folder, len(history))
        plots.save(plots.draw_curves(history, self.title, self.progress.marks),
                   self.folder / "curves.png")


class StopOnSignal(Callback):
    """Ends the run by `Stopped` after the step in which Ctrl-C or SIGTERM arrived.

    Use it as a context manager around the loop. A second signal changes nothing: make and shells
    send theirs to a whole group, and saving must not be cut short.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs  # after the last one there is nothing to stop
        self.signum: Optional[int] = None

    def __enter__(self) -> "StopOnSignal":
        signals = (signal.SIGINT, signal.SIGTERM)
        self.before = {s: signal.signal(s, self.note) for s in signals}
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)

    def note(self, signum: int, frame: Any) -> None:
        if not self.signum:
            self.signum = signum
            print("\nstopping after this step ...", file=sys.stderr, flush=True)

    def stop_if_asked(self) -> None:
        if self.signum:
            raise Stopped(self.signum)

    def on_train_batch_end(self, tally: Tally) -> None:
        self.stop_if_asked()

    def on_test_batch_end(self) -> None:
        self.stop_if_asked()

    def on_epoch_end(self, history: List[EpochRecord]) -> None:
        if len(history) < self.epochs:
            self.stop_if_asked()


def duration(seconds: float) -> str:
    """Seconds as people say them: '35 s', '1 min 40 s', '6 h 50 min'."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
