"""The PyTorch edition's loop: `train_ch6` and `evaluate_accuracy`.

That edition asks for the loss after every batch and so waits for the GPU each time. Here loss and
accuracy stay on the device until the epoch ends.
"""

import time
from dataclasses import dataclass, field
from typing import Callable, Iterable, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nin_gluon.runtime.torch_device import try_gpu
from nin_gluon.runtime.torch_precision import arithmetic
from nin_gluon.torch_edition.data import BatchLoader
from nin_gluon.torch_edition.net import init_weights
from nin_gluon.torch_edition.step import TrainingStep
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.tally import NonFiniteLoss
from nin_gluon.training.torch_engine import count_correct

__all__ = ["Hooks", "NonFiniteLoss", "Progress", "TrainingStep", "evaluate_accuracy", "train_ch6"]


@dataclass
class Progress:
    """How far a run has come.

    Attributes
    ----------
    history : list of EpochRecord
        Of the finished epochs.
    training_seconds : float
        Spent training in the finished epochs; evaluation and preparation left out.
    step : int
        Batches done in the epoch under way.
    loss_sum : float
        Cross-entropy summed over the images of these batches, in nats. During an epoch it is on the
        device; `collect` brings it here.
    correct : int
        How many of these images were classified correctly; also after `collect`.
    seconds : float
        Spent in the epoch under way.
    order_state : Tensor or None
        PyTorch's random state on the CPU from before the order of this epoch was drawn.
    random_state : Tensor or None
        The same after `step` batches, in a run that goes on in the middle of an epoch.
    """

    history: List[EpochRecord] = field(default_factory=list)
    training_seconds: float = 0.0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    order_state: Optional[Tensor] = None
    random_state: Optional[Tensor] = None

    @property
    def epoch(self) -> int:
        """The epoch under way, from 1."""
        return len(self.history) + 1

    @property
    def started(self) -> bool:
        """Whether anything was trained yet."""
        return bool(self.history or self.step)

    def collect(self, step: TrainingStep) -> None:
        """Wait for the device and fetch the sums of the epoch under way.

        Raises
        ------
        NonFiniteLoss
        """
        self.loss_sum, self.correct = step.read(self.epoch)

    def finish_epoch(self, record: EpochRecord, training_seconds: float) -> None:
        self.history.append(record)
        self.training_seconds += training_seconds
        self.step, self.loss_sum, self.correct, self.seconds = 0, 0.0, 0, 0.0
        self.order_state = self.random_state = None


class Hooks:
    """What a run adds to the book's loop: where to start, and what to do at certain moments.

    Whatever a method raises ends the run.

    Parameters
    ----------
    progress : Progress, optional
        Epochs and batches that are done already. The lines of these epochs are printed again.
        `train_iter` then leaves out ``progress.step`` batches. The loop keeps it up to date.
    show_bar : bool
        Show a bar of the batches handed to the device, if stderr is a terminal.
    """

    def __init__(self, progress: Optional[Progress] = None, show_bar: bool = False) -> None:
        self.progress = progress or Progress()
        self.show_bar = show_bar

    def on_train_batch_end(self, step: TrainingStep) -> None:
        """After a training step, which the device may not have finished."""

    def on_test_batch_end(self) -> None:
        """After a batch of the evaluation."""

    def on_epoch_end(self) -> None:
        """After an epoch, its evaluation and its line."""


def train_ch6(net: nn.Module, train_iter: BatchLoader, test_iter: BatchLoader, num_epochs: int,
              lr: float, device: Union[None, str, torch.device] = None, dtype: str = "float32",
              mode: str = "auto", init: Optional[Callable[[nn.Module], None]] = init_weights,
              hooks: Optional[Hooks] = None) -> List[EpochRecord]:
    """Initialize, train and evaluate a net; print that edition's lines and one for each epoch.

    The first six parameters are d2l's.

    Parameters
    ----------
    net : nn.Module
        X (batch, channels, height, width) float32 -> scores (batch, classes).
    train_iter, test_iter : BatchLoader
    num_epochs : int
    lr : float
        Learning rate of SGD without momentum.
    device : torch.device or str, optional
        By default the first GPU, or the CPU if there is none.
    dtype : {"float32", "bfloat16"}
        bfloat16: convolutions in it; parameters, sums and loss in float32 (``torch.autocast``).
    mode : {"auto", "eager", "graph", "compile"}
        See `TrainingStep`.
    init : callable or None
        Called with the net first. None keeps the parameters that it has.
    hooks : Hooks, optional
        Lets a run be watched, stopped and resumed.

    Returns
    -------
    list of EpochRecord

    Raises
    ------
    NonFiniteLoss
        The loss or a parameter is no longer finite at the end of an epoch.
    """
    device, hooks = torch.device(device or try_gpu()), hooks or Hooks()
    progress = hooks.progress
    if init:
        init(net)
    print("training on", device, flush=True)
    for record in progress.history:
        print(record)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.backends.cudnn.benchmark = True  # sizes do not change: let cuDNN look for the fastest
    step = TrainingStep(net, lr, device, dtype, mode)
    step.prepare(train_iter.shapes)
    for epoch in range(progress.epoch, num_epochs + 1):
        started = time.perf_counter() - progress.seconds
        net.train()
        for X, y in batches(train_iter, step, hooks, f"epoch {epoch}/{num_epochs}"):
            step(X, y)
            progress.step, progress.seconds = progress.step + 1, time.perf_counter() - started
            hooks.on_train_batch_end(step)
        progress.collect(step)  # the first time that the host waits
        training_seconds = time.perf_counter() - started
        test_acc = evaluate_accuracy(net, test_iter, dtype, hooks)
        n = len(train_iter.labels)
        record = EpochRecord(epoch, progress.loss_sum / n, progress.correct / n, test_acc,
                             time.perf_counter() - started)
        print(record, flush=True)
        progress.finish_epoch(record, training_seconds)
        hooks.on_epoch_end()
    print_summary(progress, len(train_iter.labels), device)
    return progress.history


def batches(train_iter: BatchLoader, step: TrainingStep, hooks: Hooks,
            title: str) -> Iterable[Tuple[Tensor, Tensor]]:
    """The batches of an epoch under a progress bar; the rest of them if the epoch has begun."""
    progress = hooks.progress
    step.reset(progress.loss_sum, progress.correct)
    progress.order_state = torch.get_rng_state()
    rest = iter(train_iter)  # draws the order
    if progress.step and progress.random_state is not None:
        torch.set_rng_state(progress.random_state)  # dropout goes on where it was
    return tqdm(rest, title, len(train_iter), initial=progress.step, leave=False, unit=" batches",
                dynamic_ncols=True, disable=None if hooks.show_bar else True)


def print_summary(progress: Progress, images: int, device: torch.device) -> None:
    """Print that edition's two closing lines, for this many training images."""
    if progress.history:
        last, speed = progress.history[-1], len(progress.history) * images / (
            progress.training_seconds)
        print(f"loss {last.loss:.3f}, train acc {last.train_acc:.3f}, "
              f"test acc {last.test_acc:.3f}")
        print(f"{speed:.1f} examples/sec on {device}")


def evaluate_accuracy(net: nn.Module, data_iter: Iterable[Tuple[Tensor, Tensor]],
                      dtype: str = "float32", hooks: Optional[Hooks] = None) -> float:
    """Fraction of the images in `data_iter` that `net` classifies correctly, in [0, 1].

    Parameters
    ----------
    net : nn.Module
        On the device of the batches. It stays in its mode, training or evaluation.
    data_iter : iterable of (X, y)
    dtype : {"float32", "bfloat16"}
    hooks : Hooks, optional
        As for `train_ch6`.
    """
    hooks = hooks or Hooks()
    correct: Union[int, Tensor] = 0
    training, images = net.training, 0
    net.eval()
    with torch.inference_mode():
        for X, y in data_iter:
            with arithmetic(dtype, X.device):
                y_hat = net(X)
            correct = correct + count_correct(y_hat, y)  # on the device
            images += len(y)
            hooks.on_test_batch_end()
    net.train(training)
    return int(correct) / images if images else 0.0
