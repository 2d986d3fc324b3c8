"""The PyTorch edition's `train_ch6` and `evaluate_accuracy`, with d2l's signatures and lines.

The loop is that of `nin_gluon.training.loop`. That edition asks for the loss after every batch and
so waits for the GPU each time. Here loss and accuracy stay on the device until the epoch ends.
"""

from typing import Callable, Iterable, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from nin_gluon.runtime.torch_device import try_gpu
from nin_gluon.torch_edition.data import BatchLoader
from nin_gluon.torch_edition.engine import EditionEngine
from nin_gluon.torch_edition.net import init_weights
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Hooks
from nin_gluon.training.loop import evaluate, fit
from nin_gluon.training.tally import NonFiniteLoss
from nin_gluon.training.torch_step import choose_mode

__all__ = ["NonFiniteLoss", "evaluate_accuracy", "print_summary", "train_ch6"]


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
        See `nin_gluon.training.torch_step`.
    init : callable or None
        Called with the net first. None keeps the parameters that it has.
    hooks : Hooks, optional
        Lets a run be watched and stopped.

    Returns
    -------
    list of EpochRecord

    Raises
    ------
    NonFiniteLoss
        The loss or a parameter is no longer finite at the end of an epoch.
    """
    device = torch.device(device or try_gpu())
    if init:
        init(net)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.backends.cudnn.benchmark = True  # sizes do not change: let cuDNN look for the fastest
    engine = EditionEngine(net, device, lr, dtype, choose_mode(mode, device, workers=1))
    history = fit(engine, train_iter, test_iter, num_epochs, hooks)
    print_summary(history, len(train_iter.labels), device)
    return history


def print_summary(history: List[EpochRecord], images: int, device: torch.device) -> None:
    """Print that edition's two closing lines, for this many training images."""
    if history:
        last, seconds = history[-1], sum(record.training_seconds or 0 for record in history)
        print(f"loss {last.loss:.3f}, train acc {last.train_acc:.3f}, "
              f"test acc {last.test_acc:.3f}")
        print(f"{len(history) * images / max(seconds, 1e-9):.1f} examples/sec on {device}")


def evaluate_accuracy(net: nn.Module, data_iter: Iterable[Tuple[Tensor, Tensor]],
                      dtype: str = "float32") -> float:
    """Fraction of the images in `data_iter` that `net` classifies correctly, in [0, 1].

    Parameters
    ----------
    net : nn.Module
        On the device of the batches. It stays in its mode, training or evaluation.
    data_iter : iterable of (X, y)
    dtype : {"float32", "bfloat16"}
    """
    training, device = net.training, next(net.parameters()).device
    accuracy = evaluate(EditionEngine(net, device, dtype=dtype), data_iter).accuracy
    net.train(training)
    return accuracy
