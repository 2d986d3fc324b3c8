"""The chapter's loop: `train_ch5` and `evaluate_accuracy`, with d2lzh's signatures and lines.

MXNet queues work and returns at once. d2lzh asks for the loss after every batch and so waits for
the device each time; here loss and accuracy stay on the device until the epoch ends.
"""

import contextlib
import math
import time

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.contrib import amp

from nin_gluon.models.cpu_optimization import inference_form
from nin_gluon.training.history import EpochRecord

__all__ = ["NonFiniteLoss", "Tally", "evaluate_accuracy", "train_ch5"]

# Python runs ahead of the device. What it has queued takes memory: the batches, and for each step
# that has not ended the activations of a whole batch, twenty times as much. So it waits when the
# batches in the queue come to this many bytes; on a GPU, which has to be kept busy, to more.
QUEUE_BYTES = {"cpu": 16 * 2**20, "gpu": 64 * 2**20}

MOST_ARRAYS = 200  # that nd.multi_all_finite has room for; with more it ends the process


class NonFiniteLoss(ArithmeticError):
    """Training has diverged: the loss or a parameter is no longer a finite number."""


def train_ch5(net, train_iter, test_iter, batch_size, trainer, ctx, num_epochs,
              history=(), tally=None, watch=None, allreduce=None, form=None):
    """Train and evaluate a net; print d2lzh's lines.

    The first seven parameters are d2lzh's. The others let a run be watched, stopped and resumed.

    Parameters
    ----------
    net : Block
        Initialized on `ctx`. X (batch, channels, height, width) -> scores (batch, classes).
    train_iter, test_iter : iterable of (X, y)
    batch_size : int
        What the gradient is divided by, for the last, smaller batch too, as in d2lzh.
    trainer : gluon.Trainer
    ctx : mxnet.Context or list of mxnet.Context
        Of several devices each takes a part of every batch.
    num_epochs : int
    history : sequence of EpochRecord
        The epochs that are done already; their lines are printed again and training goes on
        after them.
    tally : Tally, optional
        Of the epoch that was stopped half way, if one was; `train_iter` then gives its rest.
    watch : object, optional
        Its ``step(tally)`` is called after every training step, ``evaluating()`` after every
        test batch, and ``epoch(history)`` after every epoch. What they raise ends the run.
    allreduce : callable, optional
        Where several workers train this net, each on its part of every batch: sums the NDArrays
        that it is given, one a device, over these and over all workers. `batch_size` is then that
        of all workers together, and the history theirs.
    form : callable, optional
        Makes of the net the function that is trained: `training_form` for a
        faster one. By default it is the net itself, and a run agrees with d2lzh's to the last bit.

    Returns
    -------
    list of EpochRecord
        `history` and what was added to it.

    Raises
    ------
    NonFiniteLoss
        The loss or a parameter is no longer finite.
    """
    devices = ctx if isinstance(ctx, (list, tuple)) else [ctx]
    print("training on", ctx if isinstance(ctx, mx.Context) else ", ".join(map(str, ctx)),
          flush=True)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    forward, pace = form(net) if form else net, Pace()
    history = list(history)
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
            tally.add(ls, y_hats, ys, allreduce)
            pace.keep(X, first_parameter(trainer))  # which is the last to get its gradient
            if watch:
                watch.step(tally)
        tally.collect(net)
        test_acc = evaluate_accuracy(test_iter, net, ctx, watch and watch.evaluating, allreduce)
        history.append(EpochRecord(epoch, tally.loss, tally.accuracy, test_acc, tally.seconds))
        tally = None
        print(history[-1], flush=True)
        if watch:
            watch.epoch(history)
    return history


def evaluate_accuracy(data_iter, net, ctx=None, after_batch=None, allreduce=None):
    """Fraction of the images in `data_iter` that `net` classifies right, in [0, 1].

    Parameters
    ----------
    data_iter : iterable of (X, y)
    net : Block
    ctx : mxnet.Context or list of mxnet.Context
        The device or devices of `net`; the CPU by default.
    after_batch : callable, optional
        Called without arguments after each batch.
    allreduce : callable, optional
        As for `train_ch5`; each worker's `data_iter` then gives its part of the images.
    """
    devices = ctx if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
    forward = inference_form(net)
    counts, images, pace = [], 0, Pace()
    for X, y in data_iter:
        for X_part, y_part in zip(split(X, devices), split(y, devices)):
            counts.append(count_correct(forward(X_part), y_part))
        images += len(X)
        pace.keep(X, counts[-1])
        if after_batch:
            after_batch()
    correct = int(to_host(counts).sum())
    if allreduce:
        _, correct, images = allreduce([nd.array([0, correct, images])]).asnumpy().tolist()
    return correct / images if images else 0.0


def split(batch, devices):
    """One part of the batch for each device; with one device, the batch itself."""
    return gluon.utils.split_and_load(batch, devices, even_split=False)


def first_parameter(trainer):
    """The first parameter that is trained, as NDArray; one that is frozen never has to wait."""
    return next(p for p in trainer._params if p.grad_req != "null").list_data()[-1]


def scaled(losses, trainer):
    """The losses as they go into the backward pass: scaled for float16, else as they are.

    The trainer, prepared by ``amp.init_trainer``, divides the gradients by the same factor, and
    looks for a smaller one whenever they have overflowed.
    """
    float16 = getattr(trainer, "_amp_loss_scaler", None) is not None
    return amp.scale_loss(losses, trainer) if float16 else contextlib.nullcontext(losses)


def count_correct(y_hat, y):
    """How many scores (batch, classes) are highest at the label: NDArray of shape (1,)."""
    return (y_hat.argmax(axis=1) == y.reshape((-1,)).astype("float32")).sum()


def to_host(arrays):
    """NDArrays of one shape, from any devices, as one NumPy array; the only wait there is."""
    if not arrays:
        return np.empty(0)
    return nd.stack(*[array.as_in_context(mx.cpu()) for array in arrays]).asnumpy()


class Pace:
    """Keeps Python from queueing more than `QUEUE_BYTES` of batches ahead of the device."""

    queued = 0

    def keep(self, X, result):
        """Note that X was queued; once it is too much, wait for the result of all that is."""
        self.queued += X.size * 4
        if self.queued > QUEUE_BYTES[result.context.device_type]:
            result.wait_to_read()
            self.queued = 0


class Tally:
    """Running sums of an epoch, kept on the device until `collect` brings them to the host."""

    def __init__(self, epoch=1, step=0, loss_sum=0.0, correct=0, images=0, seconds=0.0):
        self.epoch, self.step = epoch, step  # step: batches done in this epoch
        self.loss_sum, self.correct, self.images = loss_sum, correct, images
        self.seconds_before, self.started = seconds, None
        self.pending = []  # a batch's sums on each device

    def state(self):
        """The sums as a dict that the constructor takes, JSON-ready; call after `collect`."""
        return {"epoch": self.epoch, "step": self.step, "loss_sum": self.loss_sum,
                "correct": self.correct, "images": self.images, "seconds": self.seconds}

    def start_clock(self):
        self.started = time.time()

    @property
    def seconds(self):
        """Wall-clock seconds since `start_clock`, and those of the parts run before."""
        return self.seconds_before + (time.time() - self.started if self.started else 0)

    @property
    def loss(self):
        """Mean loss of the images collected so far."""
        return self.loss_sum / max(self.images, 1)

    @property
    def accuracy(self):
        """Fraction of the images collected so far that were classified right."""
        return self.correct / max(self.images, 1)

    def add(self, losses, y_hats, ys, allreduce=None):
        """Take in one batch, without waiting for it; the lists have one entry a device."""
        sums = [nd.concat(l.sum(), count_correct(y_hat, y), nd.full(1, len(y), l.context), dim=0)
                for l, y_hat, y in zip(losses, y_hats, ys)]
        if allreduce:
            sums = [allreduce(sums)]
        self.pending.append(sums)
        self.step += 1

    def collect(self, net=None, keep=0):
        """Wait for the device, once, and add up what was pending.

        Parameters
        ----------
        net : Block, optional
            Its parameters are to be looked at too.
        keep : int
            Leave so many of the last batches pending, for the device to go on with.

        Raises
        ------
        NonFiniteLoss
            The loss of a batch, or a parameter of `net` after the last one, is not finite. The
            parameters must be looked at because MXNet's ReLU turns NaN into 0, and a ruined net
            may go on reporting a loss of ln 10.
        """
        first = self.step - len(self.pending) + 1
        split_at = max(0, len(self.pending) - keep)
        done, self.pending = self.pending[:split_at], self.pending[split_at:]
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


def parameters_are_finite(net):
    """Whether every parameter of the net is finite; waits for the device."""
    arrays = [p.list_data()[0] for p in net.collect_params().values()]
    parts = [arrays[i : i + MOST_ARRAYS] for i in range(0, len(arrays), MOST_ARRAYS)]
    return bool(to_host([nd.multi_all_finite(*p, num_arrays=len(p)) for p in parts]).all())
