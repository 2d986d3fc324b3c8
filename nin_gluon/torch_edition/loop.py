"""The PyTorch edition's loop: `train_ch6` and `evaluate_accuracy`.

That edition asks for the loss after every batch and so waits for the GPU each time. Here loss and
accuracy stay on the device until the epoch ends, and on a GPU the many small operations of a step
are recorded once and then replayed as one.
"""

import math
import time
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F
from tqdm import tqdm

from nin_gluon.torch_edition.device import try_gpu
from nin_gluon.torch_edition.net import init_weights
from nin_gluon.training.history import EpochRecord

__all__ = ["NonFiniteLoss", "SoFar", "TrainingStep", "evaluate_accuracy", "train_ch6"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class NonFiniteLoss(ArithmeticError):
    """Training has diverged: the loss or a parameter is no longer a finite number."""


@dataclass
class SoFar:
    """What the finished epochs of a run came to."""

    history: list = field(default_factory=list)  # of EpochRecord
    seconds: float = 0.0  # spent training; evaluation and preparation left out


def train_ch6(net, train_iter, test_iter, num_epochs, lr, device=None, dtype="float32",
              mode="auto", init=init_weights, so_far=None, after_epoch=None, progress=False):
    """Initialize, train and evaluate a net; print that edition's lines and one for each epoch.

    The first six parameters are d2l's.

    Parameters
    ----------
    net : nn.Module
        X (batch, channels, height, width) -> scores (batch, classes).
    train_iter, test_iter : BatchLoader
    num_epochs : int
    lr : float
        Of SGD without momentum.
    device : torch.device or str, optional
        The first GPU, or the CPU where there is none.
    dtype : {"float32", "bfloat16"}
        bfloat16: convolutions in it, parameters, sums and loss in float32 (``torch.autocast``).
    mode : {"auto", "eager", "graph", "compile"}
        See `TrainingStep`.
    init : callable or None
        Called with the net first. None keeps its parameters as they are.
    so_far : SoFar, optional
        The epochs that are done already; their lines are printed again and training goes on after
        them. The next epochs are added to it.
    after_epoch : callable, optional
        Called with `so_far` after every epoch. What it raises ends the run.
    progress : bool
        Show a bar of the batches handed to the device, where stderr is a terminal.

    Returns
    -------
    list of EpochRecord

    Raises
    ------
    NonFiniteLoss
        The loss or a parameter is no longer finite at the end of an epoch.
    """
    device = torch.device(device or try_gpu())
    so_far = so_far or SoFar()
    if init:
        init(net)
    print("training on", device, flush=True)
    for record in so_far.history:
        print(record)
    net.to(device, memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = True  # sizes do not change: let cuDNN look for the fastest
    step = TrainingStep(net, lr, device, dtype, mode)
    step.prepare(train_iter.shapes)
    for epoch in range(len(so_far.history) + 1, num_epochs + 1):
        started = time.perf_counter()
        net.train()
        for X, y in tqdm(train_iter, f"epoch {epoch}/{num_epochs}", leave=False, unit=" batches",
                         dynamic_ncols=True, disable=None if progress else True):
            step(X, y)
        loss, correct = step.collect(epoch)  # the first time that the host waits
        so_far.seconds += time.perf_counter() - started
        n = len(train_iter.labels)
        test_acc = evaluate_accuracy(net, test_iter, dtype)
        so_far.history.append(EpochRecord(epoch, loss / n, correct / n, test_acc,
                                          time.perf_counter() - started))
        print(so_far.history[-1], flush=True)
        if after_epoch:
            after_epoch(so_far)
    if so_far.history:
        last, images = so_far.history[-1], len(so_far.history) * len(train_iter.labels)
        print(f"loss {last.loss:.3f}, train acc {last.train_acc:.3f}, "
              f"test acc {last.test_acc:.3f}")
        print(f"{images / so_far.seconds:.1f} examples/sec on {device}")
    return so_far.history


def evaluate_accuracy(net, data_iter, dtype="float32"):
    """Fraction of the images in `data_iter` that `net` classifies right, in [0, 1].

    Parameters
    ----------
    net : nn.Module
        On the device of the batches; left in the mode (training or evaluation) it was in.
    data_iter : iterable of (X, y)
    dtype : {"float32", "bfloat16"}
    """
    training, correct, images = net.training, 0, 0
    net.eval()
    with torch.inference_mode():
        for X, y in data_iter:
            with autocast(X.device, dtype):
                y_hat = net(X)
            correct = correct + count_correct(y_hat, y)  # on the device
            images += len(y)
    net.train(training)
    return int(correct) / images if images else 0.0


def count_correct(y_hat, y):
    """How many scores (batch, classes) are highest at the label: a Tensor of no dimensions."""
    return (y_hat.argmax(dim=1) == y).sum()


def autocast(device, dtype):
    """Arithmetic in `dtype` inside the block."""
    # Its cache of converted weights would outlive a recording; each is used once anyway.
    return torch.autocast(device.type, DTYPES[dtype], enabled=dtype != "float32",
                          cache_enabled=False)


class TrainingStep:
    """One step of SGD: scores, loss, gradients, update, and the epoch's sums, on the device.

    Parameters
    ----------
    net : nn.Module
        On `device`.
    lr : float
    device : torch.device
    dtype : {"float32", "bfloat16"}
    mode : {"auto", "eager", "graph", "compile"}
        eager: PyTorch as it is. graph: the step is recorded as a CUDA graph, once for each shape of
        X, and replayed, so that Python and the launching of kernels cost nothing. compile: the net
        goes through ``torch.compile``, which merges small operations, and on a GPU is recorded
        besides. auto: graph on a GPU, eager on the CPU.
    """

    def __init__(self, net, lr, device, dtype="float32", mode="auto"):
        gpu = device.type == "cuda"
        if mode == "auto":
            mode = "graph" if gpu else "eager"
        self.net = torch.compile(net, dynamic=False) if mode == "compile" else net
        self.parameters = list(net.parameters())
        self.optimizer = torch.optim.SGD(self.parameters, lr=lr)
        self.device, self.dtype, self.mode = device, dtype, mode
        self.records = gpu and mode != "eager"
        self.recorded = {}  # shape of X -> (X, y, replay)
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss, correct

    def __call__(self, X, y):
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

    def collect(self, epoch):
        """Wait for the device; return the epoch's loss (sum over the images) and correct images.

        Raises
        ------
        NonFiniteLoss
        """
        finite = torch.stack([p.detach().isfinite().all() for p in self.parameters]).all()
        loss, correct, finite = torch.cat([self.sums, finite.double().reshape(1)]).tolist()
        self.sums.zero_()
        if not math.isfinite(loss) or not finite:
            what = "a parameter" if math.isfinite(loss) else "the loss"
            raise NonFiniteLoss(f"{what} stopped being finite in epoch {epoch}")
        return loss, int(correct)

    def run(self, X, y):
        """The step itself."""
        y_hat, l = self.gradients(X, y)
        self.optimizer.step()
        with torch.no_grad():
            self.sums += torch.stack([l.double() * len(y), count_correct(y_hat, y).double()])

    def gradients(self, X, y):
        """Scores, mean loss, and new gradients in the parameters."""
        self.optimizer.zero_grad()
        with autocast(self.device, self.dtype):
            y_hat = self.net(X)
        l = F.cross_entropy(y_hat.float(), y)
        l.backward()
        return y_hat, l

    def prepare(self, shapes):
        """Do what the first step would pay for (recording, compiling, choice of algorithms).

        No parameter changes and no random number is used up.
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

    def record(self, X, y):
        """Record the step as a CUDA graph that reads X and y; return the function to replay it.

        In the way that PyTorch's notes on CUDA graphs lay down: some passes in a stream of their
        own come first, in which libraries set themselves up, and no gradient may be there before.
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
