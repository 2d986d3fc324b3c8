"""A run of the train command: prepared, trained, closed."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.contrib import amp

from nin_gluon import models, plots
from nin_gluon.data.sets import DATASETS
from nin_gluon.errors import InputError
from nin_gluon.settings import Settings
from nin_gluon.training import callbacks, checkpoint
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Hooks
from nin_gluon.training.loop import train_ch5
from nin_gluon.training.run_data import load_run_data
from nin_gluon.training.run_folder import RunConfig
from nin_gluon.training.tally import Tally
from nin_gluon.training.workers import Workers

if TYPE_CHECKING:
    from nin_gluon.data.loader import BatchLoader

__all__ = ["Run", "Watch", "optimizer_options", "prepare"]

log = logging.getLogger(__name__)


@dataclass
class Run:
    """Everything that the loop needs, ready to train.

    Attributes
    ----------
    config : RunConfig
        With the data set and the image size settled.
    contexts : list of mxnet.Context
        The devices of this process.
    workers : Workers
    net : HybridSequential
        Initialized on `contexts`.
    trainer : gluon.Trainer
    train_iter, test_iter : BatchLoader
    """

    config: RunConfig
    contexts: "List[mx.Context]"
    workers: Workers
    net: gluon.HybridBlock
    trainer: gluon.Trainer
    train_iter: "BatchLoader"
    test_iter: "BatchLoader"

    @property
    def settings(self) -> Settings:
        return self.config.settings

    def resume(self, folder: Path) -> Tuple[List[EpochRecord], Tally]:
        """Go to where the newest checkpoint in a run folder was taken.

        A run that was killed before its first checkpoint begins anew.
        """
        if not checkpoint.complete(folder) and not has_history(folder):
            log.warning("the run had no checkpoint yet, so it begins anew")
            return [], Tally()
        tally, history = checkpoint.load(checkpoint.latest(folder), self.net, self.trainer,
                                         self.contexts)
        self.train_iter.skip = tally.step
        return history, tally

    def train(self, hooks: Hooks) -> List[EpochRecord]:
        """Run the chapter's loop with these hooks."""
        hooks.all_reduce = self.workers.allreduce
        if self.settings.dtype == "bfloat16":
            hooks.forward_of = models.optimize_for_training
        return train_ch5(self.net, self.train_iter, self.test_iter,
                         self.settings.batch_size * self.workers.count, self.trainer,
                         self.contexts, self.settings.epochs, hooks)

    def draw_predictions(self, path: Path) -> None:
        """Draw the first test images with their classes, true and predicted."""
        X, y = next(iter(self.test_iter))
        predicted = self.net(X.as_in_context(self.contexts[0])).argmax(axis=1).asnumpy()
        labels = y.asnumpy()
        shown = min(32, len(labels))
        images = self.test_iter.images[:shown].asnumpy()
        title, classes, _ = DATASETS[str(self.settings.dataset)]
        correct = int((predicted[:shown] == labels[:shown]).sum())
        title += f": {correct} of these {shown} test images right (in red: predicted, not true)"
        plots.save(plots.draw_predictions(images, labels[:shown], predicted[:shown], classes,
                                          title), path)


def has_history(folder: Path) -> bool:
    """Whether the run in a folder has finished an epoch."""
    history = folder / "history.jsonl"
    return history.exists() and history.stat().st_size > 0


def prepare(config: RunConfig, contexts: "List[mx.Context]", workers: Workers) -> Run:
    """Build the net, its trainer and the data of a run, all from the run's seed.

    Raises
    ------
    InputError
        The settings do not fit together, or the data cannot be had.
    """
    mx.random.seed(config.settings.seed % 2**31)
    np.random.seed(config.settings.seed % 2**31)
    net = models.get_model(config.settings.model)
    train_iter, test_iter, config = load_run_data(config, contexts, (workers.rank, workers.count))
    settings, devices = config.settings, len(contexts) * workers.count
    batch_size = settings.batch_size * workers.count
    for data_iter in (train_iter, test_iter):
        smallest = len(data_iter.labels) % batch_size or batch_size
        if smallest < devices:
            raise InputError(f"a batch of {smallest} images cannot be split over {devices} "
                             "devices; change --batch-size or --limit.")
    channels = train_iter.images.shape[3]
    initialize(net, settings, channels, contexts)
    # A list, in the net's order: gluon.Trainer would sort a dict by names that depend on what else
    # this process has built (conv10 before conv9), and a resumed run would mix up its momenta.
    trainer = gluon.Trainer(list(net.collect_params().values()), settings.optimizer,
                            optimizer_options(settings, settings.epochs * len(train_iter)),
                            kvstore=workers.kvstore, update_on_kvstore=False)
    if settings.dtype == "float16":
        amp.init_trainer(trainer)  # scales the loss, or small gradients would become 0
    return Run(config, contexts, workers, net, trainer, train_iter, test_iter)


def initialize(net: gluon.HybridBlock, settings: Settings, channels: int,
               contexts: "List[mx.Context]") -> None:
    """Draw the parameters of a net for images with this many channels."""
    net.initialize(models.initializer(settings.init, net), ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    # One pass creates the parameters. It is a training pass, because oneDNN keeps the parameters of
    # other passes in its own layouts, which a distributed kvstore cannot send.
    with autograd.train_mode():
        for ctx in contexts:
            scores = net(mx.nd.zeros((1, channels, settings.resize, settings.resize), ctx=ctx))
    title, classes, _ = DATASETS[str(settings.dataset)]
    if scores.shape[1] != len(classes):
        raise InputError(f"--model {settings.model} makes {scores.shape[1]} classes, and {title} "
                         f"has {len(classes)}; leave out classes=.")


def optimizer_options(settings: Settings, steps: int) -> Dict[str, Any]:
    """What `gluon.Trainer` passes to its optimizer, for a run of this many steps."""
    options: Dict[str, Any] = {"learning_rate": settings.lr, "wd": settings.wd}
    if settings.optimizer == "sgd":
        options["momentum"] = settings.momentum
    if settings.schedule == "cosine":
        options["lr_scheduler"] = mx.lr_scheduler.CosineScheduler(
            steps, base_lr=settings.lr, final_lr=0, warmup_steps=steps // 10)
    if settings.schedule == "step":
        first = max(1, steps * 5 // 6)
        options["lr_scheduler"] = mx.lr_scheduler.MultiFactorScheduler(
            [first, max(first + 1, steps * 11 // 12)], factor=0.1, base_lr=settings.lr)
    return options


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
    """

    def __init__(self, run: Run, folder: Path, history: List[EpochRecord], tally: Tally,
                 checkpoint_every: Optional[int] = None, show_progress: bool = True) -> None:
        settings = run.settings
        self.seeds = callbacks.StepSeeds(settings.seed, tally)
        self.progress = callbacks.Progress(
            settings, run.train_iter, run.test_iter, tally, folder, show_progress,
            run.workers.count, run.contexts[0].device_type == "gpu")
        self.checkpoints = callbacks.Checkpoints(folder, run.net, run.trainer, history, tally,
                                                 self.progress, checkpoint_every)
        self.last_finite = callbacks.LastFiniteParameters(run.net, tally)
        self.export = callbacks.Export(folder, run.net, settings, self.progress)
        self.stop = callbacks.StopOnSignal(settings.epochs)
        self.run, self.hooks = run, Hooks(history, tally, [
            self.seeds, self.progress, self.last_finite, self.checkpoints, self.export, self.stop])

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
