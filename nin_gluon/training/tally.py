"""Loss and accuracy of an epoch, summed on the device while it trains."""

import math
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet import nd

if TYPE_CHECKING:
    from mxnet.gluon import Block

__all__ = ["NonFiniteLoss", "Tally", "count_correct", "to_host"]

MAX_ARRAYS = 200  # nd.multi_all_finite crashes the process if it gets more


class NonFiniteLoss(ArithmeticError):
    """Training has diverged: the loss or a parameter is no longer a finite number."""


class Tally:
    """Running sums of an epoch, kept on the device until `collect` brings them to the host.

    MXNet queues work and returns at once. Asking for the loss after every batch, as d2lzh does,
    waits for the device every time.

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
        self.pending: List[List[nd.NDArray]] = []  # for each batch, its sums on each device

    def state(self) -> Dict[str, Any]:
        """The sums as a JSON-ready dict that the constructor takes; call after `collect`."""
        return {"epoch": self.epoch, "step": self.step, "loss_sum": self.loss_sum,
                "correct": self.correct, "images": self.images, "seconds": self.seconds}

    def start_clock(self) -> None:
        self.started = time.time()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since `start_clock`, plus those of earlier parts of the epoch."""
        return self.seconds_before + (time.time() - self.started if self.started else 0)

    @property
    def loss(self) -> float:
        """Mean loss of the images collected so far."""
        return self.loss_sum / max(self.images, 1)

    @property
    def accuracy(self) -> float:
        """Fraction of the images collected so far that were classified correctly."""
        return self.correct / max(self.images, 1)

    def add(self, losses: Sequence[nd.NDArray], y_hats: Sequence[nd.NDArray],
            ys: Sequence[nd.NDArray], all_reduce: Optional[Callable] = None) -> None:
        """Add one batch without waiting for it; each list has one entry per device."""
        sums = [nd.concat(l.sum(), count_correct(y_hat, y), nd.full(1, len(y), l.context), dim=0)
                for l, y_hat, y in zip(losses, y_hats, ys)]
        if all_reduce:
            sums = [all_reduce(sums)]
        self.pending.append(sums)
        self.step += 1

    def collect(self, net: "Optional[Block]" = None, keep: int = 0) -> None:
        """Wait for the device once and add up what was pending.

        Parameters
        ----------
        net : Block, optional
            Check its parameters, too.
        keep : int
            Leave this many of the last batches pending, so that the device has work meanwhile.

        Raises
        ------
        NonFiniteLoss
            The loss of a batch, or a parameter of `net`, is not finite. The parameters have to be
            checked because MXNet's ReLU turns NaN into 0: a ruined net may go on reporting a loss
            of ln 10.
        """
        first = self.step - len(self.pending) + 1
        cut = max(0, len(self.pending) - keep)
        done, self.pending = self.pending[:cut], self.pending[cut:]
        sums = to_host([sums_on_device for batch in done for sums_on_device in batch])
        for i, (loss, correct, images) in enumerate(sums.reshape(-1, 3).tolist()):
            if not math.isfinite(loss):
                step = first + i * len(done) // len(sums)
                raise NonFiniteLoss(f"the loss became {loss} in epoch {self.epoch}, step {step}")
            self.loss_sum += loss
            self.correct += int(correct)
            self.images += int(images)
        if net is not None and not parameters_are_finite(net):
            raise NonFiniteLoss(f"a parameter stopped being finite in epoch {self.epoch}, "
                                f"by step {self.step}")


def count_correct(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
    """How many scores (batch, classes) are highest at the label: NDArray of shape (1,)."""
    return (y_hat.argmax(axis=1) == y.reshape((-1,)).astype("float32")).sum()


def to_host(arrays: Sequence[nd.NDArray]) -> np.ndarray:
    """NDArrays of one shape, on any devices, as one NumPy array. This is the only wait."""
    if not arrays:
        return np.empty(0)
    return nd.stack(*[array.as_in_context(mx.cpu()) for array in arrays]).asnumpy()


def parameters_are_finite(net: "Block") -> bool:
    """Whether every parameter of the net is finite; waits for the device."""
    arrays = [p.list_data()[0] for p in net.collect_params().values()]
    parts = [arrays[i : i + MAX_ARRAYS] for i in range(0, len(arrays), MAX_ARRAYS)]
    return bool(to_host([nd.multi_all_finite(*p, num_arrays=len(p)) for p in parts]).all())
