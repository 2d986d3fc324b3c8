"""A run of the PyTorch edition: prepared, begun, trained, saved."""

import io
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy
import torch
from torch import nn

from nin_gluon import __version__, plots, runtime
from nin_gluon.atomic_files import replacing
from nin_gluon.data.choose import choose_dataset, compare_own_data
from nin_gluon.errors import InputError
from nin_gluon.torch_edition import checkpoint, data
from nin_gluon.torch_edition import net as nets
from nin_gluon.torch_edition.data import BatchLoader
from nin_gluon.torch_edition.loop import Hooks, Progress, TrainingStep, train_ch6
from nin_gluon.torch_edition.settings import TorchConfig, TorchSettings, write_config
from nin_gluon.training.callbacks import CHECKPOINT_SECONDS, StopOnSignal, Stopped
from nin_gluon.training.history import EpochRecord, write_history
from nin_gluon.training.run_folder import already_there, check_places

__all__ = ["Run", "Stopped", "Watch", "prepare"]


@dataclass
class Run:
    """Everything that the loop needs, ready to train.

    Attributes
    ----------
    config : TorchConfig
        With the data set settled.
    device : torch.device
    net : nn.Module
        On the CPU; the loop initializes it and takes it to the device.
    train_iter, test_iter : BatchLoader
        On the device.
    """

    config: TorchConfig
    device: torch.device
    net: nn.Module
    train_iter: BatchLoader
    test_iter: BatchLoader

    @property
    def settings(self) -> TorchSettings:
        return self.config.settings

    def begin(self, folder: Path, resume: bool) -> Progress:
        """Write ``config.json``; return where the run starts.

        Raises
        ------
        InputError
            The run cannot start in this folder, or not go on with what is in it.
        """
        progress = Progress()
        check_places(folder, ("history.jsonl", "curves.png", "model.pt", "model.safetensors"))
        if resume:
            progress = checkpoint.load(folder, self.net, self.device, len(self.train_iter))
            self.train_iter.skip = progress.step
            self.check_epochs(folder, progress)
        elif (folder / "config.json").exists():
            raise already_there(folder)  # another process was faster
        environment = replace(self.config.environment, machine=describe_machine(self.device))
        write_config(folder, replace(self.config, environment=environment))
        return progress

    def check_epochs(self, folder: Path, progress: Progress) -> None:
        """Raise `InputError` if the run has come further than it is to go."""
        done = len(progress.history)
        at, least = f"has {done} epochs", done
        if progress.step:
            at, least = f"is in epoch {progress.epoch}", progress.epoch
        if self.settings.epochs < least:
            raise InputError(f"{folder} {at}; give --epochs {least} or more, or leave it out.")

    def train(self, hooks: Hooks) -> List[EpochRecord]:
        """Run the loop with these hooks."""
        settings, init = self.settings, nets.init_weights
        return train_ch6(self.net, self.train_iter, self.test_iter, settings.epochs, settings.lr,
                         self.device, settings.dtype, self.config.environment.mode,
                         None if hooks.progress.started else init, hooks)


def prepare(config: TorchConfig, device: torch.device) -> Run:
    """Load the data and build the net of a run, all from the run's seed.

    Raises
    ------
    InputError
        The images are too small, the data cannot be had, or the run began with other files.
    """
    settings, environment = config.settings, config.environment
    if settings.resize < nets.SMALLEST_INPUT:
        raise InputError(f"--resize {settings.resize} is too small for this net: nothing would be "
                         f"left before the average; the smallest is {nets.SMALLEST_INPUT}.")
    torch.manual_seed(settings.seed % 2**63)
    name, (train_iter, test_iter) = choose_dataset(
        settings.dataset, environment.data_dir, lambda name: data.load_data(
            name, settings.batch_size, settings.resize, environment.data_dir, device,
            settings.limit))
    own = compare_own_data(name, environment.data_dir, config.knows_own_data, environment.own_data)
    config = replace(config, settings=settings.but(dataset=name),
                     environment=replace(environment, own_data=own))
    net = nets.nin(in_channels=train_iter.images.shape[1])
    return Run(config, device, net, train_iter, test_iter)


def describe_machine(device: torch.device) -> Dict[str, Any]:
    """The machine and the versions that a run meets, for ``config.json``."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {"nin_gluon": __version__, "torch": torch.__version__, "numpy": numpy.__version__,
            "python": platform.python_version(), "platform": platform.platform(),
            "cpu": runtime.cpu_name(), "gpu": gpu, "threads": torch.get_num_threads()}


class Watch(Hooks):
    """Saves a run that has a folder, and stops it after the step in which a signal arrived.

    Parameters
    ----------
    run : Run
    folder : Path
        The run folder.
    progress : Progress
        Where the run starts.
    checkpoint_every : int, optional
        Steps between checkpoints; by default one every two minutes.
    show_bar : bool
        Whether to show a progress bar if stderr is a terminal.
    """

    def __init__(self, run: Run, folder: Path, progress: Progress,
                 checkpoint_every: Optional[int] = None, show_bar: bool = True) -> None:
        super().__init__(progress, show_bar)
        self.run, self.folder, self.checkpoint_every = run, folder, checkpoint_every
        self.steps, self.stop = 0, StopOnSignal(run.settings.epochs)
        self.step: Optional[TrainingStep] = None  # with the sums of the epoch under way
        self.saved, self.saved_at = time.monotonic(), (progress.epoch, progress.step)

    def train(self) -> List[EpochRecord]:
        """Train; if something stops the run between two steps, save it and pass that on."""
        if self.progress.history and not self.progress.step:
            self.save_epoch()  # the run may have been killed while it saved
        with self.stop:
            try:
                return self.run.train(self)
            except (Stopped, BrokenPipeError):
                self.save()
                raise

    def on_train_batch_end(self, step: TrainingStep) -> None:
        self.step = step
        self.steps += 1
        if self.checkpoint_every:
            due = self.steps % self.checkpoint_every == 0
        else:
            due = time.monotonic() - self.saved > CHECKPOINT_SECONDS
        if due:
            self.save()
        self.stop.stop_if_asked()

    def on_test_batch_end(self) -> None:
        self.stop.stop_if_asked()

    def on_epoch_end(self) -> None:
        self.save()
        self.save_epoch()
        self.stop.on_epoch_end(self.progress.history)

    def save(self) -> None:
        """Write a checkpoint, unless nothing was trained since the last one."""
        at = (self.progress.epoch, self.progress.step)
        if at == self.saved_at:
            return
        if self.progress.step and self.step:
            self.progress.collect(self.step)
        checkpoint.save(self.folder, self.run.net, self.progress, self.run.device)
        self.saved, self.saved_at = time.monotonic(), at

    def save_epoch(self) -> None:
        """Write what a run has after an epoch: model, history and curves."""
        state, history, settings = (self.run.net.state_dict(), self.progress.history,
                                    self.run.settings)
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with replacing(self.folder / "model.pt") as path:
            path.write_bytes(buffer.getvalue())
        checkpoint.write_tensors(self.folder / "model.safetensors", state, {"format": "pt"})
        write_history(self.folder / "history.jsonl", history)
        title = (f"nin on {settings.dataset}, {settings.resize}x{settings.resize}, PyTorch, "
                 f"{settings.dtype}")
        plots.save(plots.draw_curves(history, title), self.folder / "curves.png")
