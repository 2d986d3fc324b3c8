"""One training step of SGD, which a GPU can replay as one recorded CUDA graph."""

import math
from typing import Any, Callable, Dict, Iterable, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["NonFiniteLoss", "TrainingStep", "autocast", "count_correct"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class NonFiniteLoss(ArithmeticError):
    """Training has diverged: the loss or a parameter is no longer a finite number."""


def count_correct(y_hat: Tensor, y: Tensor) -> Tensor:
    """How many scores (batch, classes) are highest at the label: an integer of no dimensions."""
    return (y_hat.argmax(dim=1) == y).sum()


def autocast(device: torch.device, dtype: str) -> Any:
    """A context manager: arithmetic in `dtype` inside the block."""
    # Its cache of converted weights would outlive a recording, and each is used only once anyway.
    return torch.autocast(device.type, DTYPES[dtype], enabled=dtype != "float32",
                          cache_enabled=False)


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
        gpu = device.type == "cuda"
        if mode == "auto":
            mode = "graph" if gpu else "eager"
        self.net: Any = torch.compile(net, dynamic=False) if mode == "compile" else net
        self.parameters = list(net.parameters())
        self.optimizer = torch.optim.SGD(self.parameters, lr=lr)
        self.device, self.dtype, self.mode = device, dtype, mode
        self.records = gpu and mode != "eager"
        # shape of X -> (X, y, replay)
        self.recorded: Dict[torch.Size, Tuple[Tensor, Tensor, Callable[[], None]]] = {}
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)

    def __call__(self, X: Tensor, y: Tensor) -> None:
        """Train on X (batch, channels, height, width) and y (batch,), without waiting."""
        if not self.records:
            self.run(X, y)
            return
        if X.shape not in self.recorded:
            self.prepare([X.shape])
        static_X, static_y, replay = self.recorded[X.shape]
        static_X.copy_(X)
        static_y.copy_(y)
        replay()

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

    def run(self, X: Tensor, y: Tensor) -> None:
        """The step itself."""
        y_hat, l = self.gradients(X, y)
        self.optimizer.step()
        with torch.no_grad():
            self.sums += torch.stack([l.double() * len(y), count_correct(y_hat, y).double()])

    def gradients(self, X: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
        """Scores, mean loss, and new gradients in the parameters."""
        self.optimizer.zero_grad()
        with autocast(self.device, self.dtype):
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
                    self.recorded[X.shape] = X, y, self.record(X, y)
                else:
                    self.gradients(X, y)

    def record(self, X: Tensor, y: Tensor) -> Callable[[], None]:
        """Record the step as a CUDA graph that reads X and y; return the function to replay it.

        As PyTorch's notes on CUDA graphs prescribe: some passes in a separate stream come first, in
        which libraries set themselves up, and no gradient may exist before the recording.
        """
        with torch.cuda.device(self.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self.gradients(X, y)
            torch.cuda.current_stream().wait_stream(stream)
            self.optimizer.zero_grad()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.run(X, y)
        return graph.replay
