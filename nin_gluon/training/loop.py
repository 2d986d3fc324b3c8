"""The chapter's loop: `train_ch5` and `evaluate_accuracy`, with d2lzh's signatures and lines."""

import contextlib
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Tuple, Union

import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.contrib import amp

from nin_gluon.models.cpu_optimization import optimize_for_inference
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Hooks
from nin_gluon.training.tally import NonFiniteLoss, Tally, count_correct, to_host

if TYPE_CHECKING:
    from mxnet.gluon import Block, Trainer

__all__ = ["NonFiniteLoss", "Tally", "evaluate_accuracy", "train_ch5"]

Batches = Iterable[Tuple[nd.NDArray, nd.NDArray]]
Devices = Union[mx.Context, List[mx.Context]]

# Python runs ahead of the device, and what it has queued takes memory: the batches, and for each
# unfinished step the activations of a whole batch, which are twenty times as large. So Python waits
# when the queued batches come to this many bytes. A GPU has to be kept busier.
MAX_QUEUED_BYTES = {"cpu": 16 * 2**20, "gpu": 64 * 2**20}


def train_ch5(net: "Block", train_iter: Batches, test_iter: Batches, batch_size: int,
              trainer: "Trainer", ctx: Devices, num_epochs: int,
              hooks: Optional[Hooks] = None) -> List[EpochRecord]:
    """Train and evaluate a net; print d2lzh's lines.

    The first seven parameters are d2lzh's.

    Parameters
    ----------
    net : Block
        Initialized on `ctx`. X (batch, channels, height, width) -> scores (batch, classes).
    train_iter, test_iter : iterable of (X, y)
    batch_size : int
        The gradient is divided by it, for the last, smaller batch too, as in d2lzh. With several
        workers it is that of all workers together.
    trainer : gluon.Trainer
    ctx : mxnet.Context or list of mxnet.Context
        With several devices each takes a part of every batch.
    num_epochs : int
    hooks : Hooks, optional
        Lets a run be watched, stopped, resumed and shared among workers.

    Returns
    -------
    list of EpochRecord
        One for each epoch, those in ``hooks.history`` first.

    Raises
    ------
    NonFiniteLoss
        The loss or a parameter is no longer finite.
    """
    hooks = hooks or Hooks()
    devices = list(ctx) if isinstance(ctx, (list, tuple)) else [ctx]
    print("training on", ", ".join(map(str, devices)), flush=True)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    forward, queue = hooks.forward_of(net), Queue()
    history, tally = list(hooks.history), hooks.tally
    for record in history:
        print(record)
    for epoch in range(len(history) + 1, num_epochs + 1):
        tally = tally or Tally(epoch)
        tally.start_clock()
        for X, y in train_iter:
            Xs, ys = split(X, devices), split(y, devices)
            with autograd.record():
                y_hats = [forward(X) for X in Xs]
                ls = [loss(y_hat, y) for y_hat, y in zip(y_hats, ys)]
                with scaled(ls, trainer) as heads:
                    autograd.backward(heads)
            trainer.step(batch_size)
            tally.add(ls, y_hats, ys, hooks.all_reduce)
            queue.add(X, first_parameter(trainer))  # the last one to get its gradient
            hooks.on_train_batch_end(tally)
        tally.collect(net)
        test_acc = evaluate_accuracy(test_iter, net, ctx, hooks)
        history.append(EpochRecord(epoch, tally.loss, tally.accuracy, test_acc, tally.seconds))
        tally = None
        print(history[-1], flush=True)
        hooks.on_epoch_end(history)
    return history


def evaluate_accuracy(data_iter: Batches, net: "Block", ctx: Optional[Devices] = None,
                      hooks: Optional[Hooks] = None) -> float:
    """Fraction of the images in `data_iter` that `net` classifies correctly, in [0, 1].

    Parameters
    ----------
    data_iter : iterable of (X, y)
        With several workers it yields this worker's part of the images.
    net : Block
    ctx : mxnet.Context or list of mxnet.Context
        The device or devices of `net`; the CPU by default.
    hooks : Hooks, optional
        As for `train_ch5`.
    """
    hooks = hooks or Hooks()
    devices = list(ctx) if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
    forward, queue = optimize_for_inference(net), Queue()
    counts, images = [], 0
    for X, y in data_iter:
        for X_part, y_part in zip(split(X, devices), split(y, devices)):
            counts.append(count_correct(forward(X_part), y_part))
        images += len(X)
        queue.add(X, counts[-1])
        hooks.on_test_batch_end()
    correct = int(to_host(counts).sum())
    if hooks.all_reduce:
        sums = hooks.all_reduce([nd.array([0, correct, images])])
        _, correct, images = sums.asnumpy().tolist()
    return correct / images if images else 0.0


def split(batch: nd.NDArray, devices: List[mx.Context]) -> List[nd.NDArray]:
    """One part of the batch for each device; for one device, the batch itself."""
    return gluon.utils.split_and_load(batch, devices, even_split=False)


def first_parameter(trainer: "Trainer") -> nd.NDArray:
    """The first parameter that is trained; a frozen one would never have to wait."""
    return next(p for p in trainer._params if p.grad_req != "null").list_data()[-1]


def scaled(losses: List[nd.NDArray], trainer: "Trainer") -> Any:
    """The losses as they enter the backward pass: scaled in float16, otherwise unchanged.

    ``amp.init_trainer`` prepared the trainer, which divides the gradients by the same factor and
    looks for a smaller factor when they overflow.
    """
    float16 = getattr(trainer, "_amp_loss_scaler", None) is not None
    return amp.scale_loss(losses, trainer) if float16 else contextlib.nullcontext(losses)


class Queue:
    """Keeps Python from queueing more than `MAX_QUEUED_BYTES` of batches ahead of the device."""

    def __init__(self) -> None:
        self.queued = 0

    def add(self, X: nd.NDArray, result: nd.NDArray) -> None:
        """Note that X was queued; once it is too much, wait for the last result."""
        self.queued += X.size * 4
        if self.queued > MAX_QUEUED_BYTES[result.context.device_type]:
            result.wait_to_read()
            self.queued = 0
