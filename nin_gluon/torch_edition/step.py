"""One training step of SGD, which a GPU can replay as one recorded CUDA graph."""

import math
from typing import Any, Iterable, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nin_gluon.runtime.torch_precision import arithmetic
from nin_gluon.training.tally import NonFiniteLoss
from nin_gluon.training.torch_engine import count_correct
from nin_gluon.training.torch_step import Replay, choose_mode

__all__ = ["TrainingStep"]


class TrainingStep:
    """One step of SGD: scores, loss, gradients, update, and the epoch's sums, on the device.

    Parameters
    ----------
    net : nn.Module
        On `device`.
    lr : float
        Learning rate.
    device : torch.device
    dtype : {"float32", "bfloat16"}
    mode : {"auto", "eager", "graph", "compile"}
        eager: plain PyTorch. graph: the step is recorded as a CUDA graph, once for each shape of X,
        and replayed, so that Python and the launching of kernels cost nothing. compile: the net
        goes through ``torch.compile``, which merges small operations; on a GPU it is recorded,
        too. auto: graph on a GPU, eager on the CPU.

    Attributes
    ----------
    sums : Tensor, (2,), float64
        Cross-entropy in nats and correct images, summed over the images of the epoch so far.
    """

    def __init__(self, net: nn.Module, lr: float, device: torch.device, dtype: str = "float32",
                 mode: str = "auto") -> None:
        if mode == "auto":
            mode = choose_mode(mode, device, workers=1)
        self.net: Any = torch.compile(net, dynamic=False) if mode == "compile" else net
        self.parameters = list(net.parameters())
        self.optimizer = torch.optim.SGD(self.parameters, lr=lr)
        self.device, self.dtype, self.mode = device, dtype, mode
        self.records = device.type == "cuda" and mode != "eager"
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)
        self.replay = Replay(self.run, device, [*self.parameters, self.sums])

    def __call__(self, X: Tensor, y: Tensor) -> None:
        """Train on X (batch, channels, height, width) and y (batch,), without waiting."""
        (self.replay if self.records else self.run)(X, y)

    def reset(self, loss_sum: float = 0.0, correct: int = 0) -> None:
        """Let the epoch's sums begin here. They stay in place, where a recording finds them."""
        self.sums[0], self.sums[1] = loss_sum, correct

    def read(self, epoch: int) -> Tuple[float, int]:
        """Wait for the device; return the epoch's sums so far, of the loss and of correct images.

        Raises
        ------
        NonFiniteLoss
            The loss or a parameter is not finite. The message names `epoch`.
        """
        finite = torch.stack([p.detach().isfinite().all() for p in self.parameters]).all()
        loss, correct, finite = torch.cat([self.sums, finite.double().reshape(1)]).tolist()
        if not math.isfinite(loss) or not finite:
            what = "a parameter" if math.isfinite(loss) else "the loss"
            raise NonFiniteLoss(f"{what} stopped being finite in epoch {epoch}")
        return loss, int(correct)

    def run(self, X: Tensor, y: Tensor) -> Tensor:
        """The step itself; returns the sums."""
        y_hat, l = self.gradients(X, y)
        self.optimizer.step()
        with torch.no_grad():
            self.sums += torch.stack([l.double() * len(y), count_correct(y_hat, y).double()])
        return self.sums

    def gradients(self, X: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
        """Scores, mean loss, and new gradients in the parameters."""
        self.optimizer.zero_grad()
        with arithmetic(self.dtype, self.device):
            y_hat = self.net(X)
        l = F.cross_entropy(y_hat.float(), y)
        l.backward()
        return y_hat, l

    def prepare(self, shapes: Iterable[Tuple[int, ...]]) -> None:
        """Do what the first step would pay for (recording, compiling, choice of algorithms).

        No parameter changes, and no random numbers are used up.
        """
        if self.device.type == "cpu" and self.mode == "eager":
            return
        devices = [self.device] if self.device.type == "cuda" else []
        self.net.train()
        with torch.random.fork_rng(devices):
            for shape in shapes:
                X = torch.empty(shape, device=self.device, memory_format=torch.channels_last)
                X.zero_()
                y = torch.zeros(len(X), dtype=torch.int64, device=self.device)
                if self.records:
                    self.replay.prepare(X, y)
                else:
                    self.gradients(X, y)
