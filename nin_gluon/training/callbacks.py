"""What the train command does around the loop: progress, checkpoints, stopping, run folder."""

import contextlib
import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nin_gluon import plots
from nin_gluon.atomic_files import replacing, write_text
from nin_gluon.training import checkpoint
from nin_gluon.training.history import write_history
from nin_gluon.training.loop import Tally

__all__ = ["Follower", "Stopped", "Watch", "duration", "export"]

LOOK_EVERY = 0.25  # seconds between two waits for the device to show progress
WARM_UP = 3  # steps that pay for compilation and for the memory of all steps in flight
COPY_EVERY = 2.0  # seconds between two copies of the parameters, for a run that diverges
CHECKPOINT_EVERY = 120.0  # seconds, unless the user counts in steps


class Stopped(Exception):
    """Ctrl-C or SIGTERM came; the run is saved."""

    def __init__(self, signum):
        super().__init__(signum)
        self.signum = signum


class Watch:
    """Watches `nin_gluon.train_ch5` for the train command.

    Parameters
    ----------
    run : Path
        The run folder.
    config : dict
        The run's settings.
    net, trainer
        As given to the loop.
    train_iter, test_iter : BatchLoader
    history : list of EpochRecord
    tally : Tally
        Where the run starts: the beginning of an epoch, or where it was stopped.
    checkpoint_every : int or None
        Steps between checkpoints; None for one every two minutes. One is written at the start
        and after every epoch in any case.
    progress : bool
        Whether to show progress bars where stderr is a terminal.
    workers : int
        How many train this net together, each with ``config["batch_size"]`` images a step.
    """

    def __init__(self, run, config, net, trainer, train_iter, test_iter, history, tally,
                 checkpoint_every, progress, workers=1):
        self.run, self.config = Path(run), config
        self.net, self.trainer = net, trainer
        self.train_iter, self.test_iter = train_iter, test_iter
        self.history, self.tally = list(history), tally
        self.checkpoint_every, self.progress = checkpoint_every, progress
        self.workers = workers
        self.stop = None  # the signal that came
        self.bar, self.evaluated = None, 0  # progress bar; test batches done in this evaluation
        self.steps, self.next_look = 0, 1
        self.last_look = time.time(), 0  # when, and how many steps the device had done
        self.clock = None  # (time, steps) after the warm-up, to estimate the run's length
        self.told = net.collect_params().list_ctx()[0].device_type == "gpu"
        self.marks, self.marked = read_marks(self.run / "progress.jsonl"), tally.state()
        # Of the epoch under way, from before its order is drawn.
        self.order_state = np.random.get_state()
        checkpoint.seed_step(config["seed"], tally.epoch, tally.step)
        self.save()
        self.copy_parameters()

    @contextlib.contextmanager
    def signals(self):
        """While the block runs, Ctrl-C and SIGTERM are noted and heeded after the step.

        One that comes again changes nothing: make and shells send theirs to all of a group, and
        saving must not be cut short.
        """

        def note(signum, frame):
            if not self.stop:
                self.stop = signum
                print("\nstopping after this step ...", file=sys.stderr, flush=True)

        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            self.close_bar()

    # ---------------------------------------------------------- called by the loop

    def step(self, tally):
        """After a training step."""
        self.tally = tally
        self.steps += 1
        checkpoint.seed_step(self.config["seed"], tally.epoch, tally.step)  # for the next step
        due = self.checkpoint_every and self.steps % self.checkpoint_every == 0
        if self.steps >= self.next_look:
            self.look()
        if due or (not self.checkpoint_every and time.time() - self.saved > CHECKPOINT_EVERY):
            self.save()
        if self.stop:
            tally.collect(self.net)
            raise Stopped(self.stop)

    def evaluating(self):
        """After a batch of the test set."""
        if not self.evaluated:
            self.mark()  # the epoch's last batches
            self.open_bar("evaluating", len(self.test_iter), 0, "batches")
        self.evaluated += 1
        self.bar.update()
        if self.evaluated == len(self.test_iter):
            self.close_bar()  # the epoch's line comes next
        if self.stop:
            raise Stopped(self.stop)

    def epoch(self, history):
        """After an epoch and its evaluation."""
        self.evaluated = 0
        self.history = list(history)
        self.tally = Tally(len(history) + 1)
        self.order_state = np.random.get_state()
        checkpoint.seed_step(self.config["seed"], self.tally.epoch, 0)
        self.save()
        self.copy_parameters()
        export(self.net, self.run, len(history))
        title = "{model} on {dataset}, {resize}x{resize}, {dtype}".format(**self.config)
        plots.save(plots.draw_curves(history, title, self.marks), self.run / "curves.png")
        if self.stop and len(history) < self.config["epochs"]:
            raise Stopped(self.stop)

    # ---------------------------------------------------------- what they need

    def look(self):
        """See how far the device is, check that all is finite, show where the run is.

        The last batch is left to the device, so that it has work while the host looks.
        """
        self.tally.collect(keep=1)
        if time.time() - self.copied > COPY_EVERY:
            self.tally.collect(self.net)
            self.copy_parameters()
        now = time.time()
        done = self.steps - len(self.tally.pending)
        if self.clock is None and done >= WARM_UP:
            self.clock = now, done
        elif not self.told and self.clock and done > self.clock[1] and now - self.clock[0] > 1.5:
            self.tell_length((done - self.clock[1]) / (now - self.clock[0]))
        if self.bar is None:
            images = len(self.train_iter.labels)
            epoch = f"epoch {self.tally.epoch}/{self.config['epochs']}"
            self.open_bar(epoch, images, self.tally.images, "images")
        self.bar.set_postfix_str(f"loss {self.tally.loss:.4f}, train acc {self.tally.accuracy:.3f}",
                                 refresh=False)
        self.bar.update(self.tally.images - self.bar.n)
        self.mark()
        # A few looks a second at most, each a wait for the device.
        last, done_then = self.last_look
        if done > done_then:
            seconds_a_step = max(now - last, 1e-6) / (done - done_then)
            self.next_look = self.steps + max(1, int(LOOK_EVERY / seconds_a_step))
        self.last_look = now, done

    def mark(self):
        """Note loss and accuracy within the epoch, for the curves, a hundred times an epoch."""
        tally, before = self.tally, self.marked
        if before["epoch"] != tally.epoch:
            before = Tally(tally.epoch).state()
        images = tally.images - before["images"]
        size = len(self.train_iter.labels)
        if images >= size / 100:
            self.marks.append({"epochs": tally.epoch - 1 + tally.images / size,
                               "loss": (tally.loss_sum - before["loss_sum"]) / images,
                               "train_acc": (tally.correct - before["correct"]) / images})
            self.marked = tally.state()

    def tell_length(self, steps_per_second):
        """Say about how long the run will take; a test batch costs about 0.3 training steps."""
        self.told = True
        epochs = self.config["epochs"]
        an_epoch = len(self.train_iter) + 0.3 * len(self.test_iter)
        left = (epochs - len(self.history)) * an_epoch - self.tally.step
        images = steps_per_second * self.config["batch_size"] * self.workers
        tqdm.write(f"about {duration(left / steps_per_second)} to go at {images:.3g} images/s; "
                   "Ctrl-C saves and stops, --resume goes on", file=sys.stderr)

    def save(self):
        """Write a checkpoint and the history."""
        self.tally.collect(self.net)
        checkpoint.save(self.run, self.net, self.trainer, self.tally, self.history,
                        self.order_state)
        write_history(self.run / "history.jsonl", self.history)
        write_text(self.run / "progress.jsonl", "".join(json.dumps(m) + "\n" for m in self.marks))
        self.saved = time.time()

    def copy_parameters(self):
        """Remember the parameters, which have just been found finite, and where that was."""
        parameters = self.net.collect_params().values()
        self.good = self.tally.epoch, self.tally.step, [p.data(p.list_ctx()[0]).copy()
                                                        for p in parameters]
        self.copied = time.time()

    def keep_last_good(self):
        """After divergence: export the last parameters known to be finite; say where they are."""
        epoch, step, values = self.good
        for parameter, value in zip(self.net.collect_params().values(), values):
            parameter.set_data(value)
        path = export(self.net, self.run, epoch - 1)
        return f"the parameters of epoch {epoch}, step {step} are in {path}"

    def open_bar(self, what, total, done, unit):
        self.close_bar()
        self.bar = tqdm(total=total, initial=done, desc=what, unit=" " + unit, leave=False,
                        disable=None if self.progress else True, dynamic_ncols=True)
        # A disabled bar does not count.
        self.bar.n = done

    def close_bar(self):
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class Follower:
    """The watch of a worker other than the first: it has no run folder to keep, and just steps."""

    def __init__(self, seed, rank, tally):
        self.seed, self.rank = seed, rank
        checkpoint.seed_step(seed, tally.epoch, tally.step, rank)

    def step(self, tally):
        checkpoint.seed_step(self.seed, tally.epoch, tally.step, self.rank)

    def evaluating(self):
        pass

    def epoch(self, history):
        checkpoint.seed_step(self.seed, len(history) + 1, 0, self.rank)


def export(net, run, epoch):
    """Write ``model-symbol.json`` and ``model-EEEE.params``, removing an earlier epoch's.

    Returns the parameters' path. ``gluon.SymbolBlock.imports`` reads the pair.
    """
    target = Path(run, f"model-{epoch:04d}.params")
    older = [path for path in Path(run).glob("model-*.params") if path != target]
    with replacing(target) as parameters:
        with replacing(Path(run, "model-symbol.json")) as symbol:
            net.export(str(parameters.with_name("model")), epoch)
            parameters.with_name("model-symbol.json").rename(symbol)
    for path in older:
        path.unlink()
    return target


def read_marks(path):
    """The marks of a run that goes on; none for a new one, or if the file is damaged."""
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def duration(seconds):
    """Seconds as people say them: '35 s', '1 min 40 s', '6 h 50 min'."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
