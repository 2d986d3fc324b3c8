"""The chapter's loop: `train_ch5` and `evaluate_accuracy`, with d2lzh's signatures and lines.

`fit` is the loop itself. It knows no framework: an `nin_gluon.training.engine.Engine` takes the
steps.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Tuple

import numpy as np

from nin_gluon.training.engine import Engine
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Hooks
from nin_gluon.training.tally import NonFiniteLoss, Tally

if TYPE_CHECKING:
    from mxnet.gluon import Block, Trainer

    from nin_gluon.training.gluon_engine import Devices

__all__ = ["Evaluation", "NonFiniteLoss", "Tally", "evaluate", "evaluate_accuracy", "fit",
           "train_ch5"]

Batches = Iterable[Tuple[Any, Any]]


def fit(engine: Engine, train_iter: Batches, test_iter: Batches, num_epochs: int,
        hooks: Optional[Hooks] = None) -> List[EpochRecord]:
    """Train and evaluate the net of an engine; print d2lzh's lines.

    Parameters
    ----------
    engine : Engine
    train_iter, test_iter : iterable of (X, y)
    num_epochs : int
    hooks : Hooks, optional
        Lets a run be watched, stopped and resumed.

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
    print("training on", ", ".join(engine.devices), flush=True)
    history, tally = list(hooks.history), hooks.tally
    for record in history:
        print(record)
    for epoch in range(len(history) + 1, num_epochs + 1):
        tally = tally or Tally(epoch)
        tally.start_clock()
        for X, y in train_iter:
            tally.add(engine.train_step(X, y))
            hooks.on_train_batch_end(tally)
        tally.collect(engine, parameters=True)
        training_seconds = tally.seconds
        test = evaluate(engine, test_iter, hooks)
        history.append(EpochRecord(epoch, tally.loss, tally.accuracy, test.accuracy, tally.seconds,
                                   test.living, test.class_acc, training_seconds))
        tally = None
        print(history[-1], flush=True)
        hooks.on_epoch_end(history)
    return history


@dataclass(frozen=True)
class Evaluation:
    """How a net does on some images."""

    accuracy: float  # fraction that it classifies correctly, 0 if there are no images
    class_acc: Tuple[Optional[float], ...]  # the same of each class, None where it has no image
    living: Tuple[int, ...]  # classes with a score above zero for any image


def evaluate(engine: Engine, data_iter: Batches, hooks: Optional[Hooks] = None) -> Evaluation:
    """Let the engine's net classify the images in `data_iter`.

    With several workers `data_iter` yields this worker's part of the images, and the result is that
    of all.
    """
    hooks = hooks or Hooks()
    test_step, counts, images = engine.start_evaluation(), [], 0
    for X, y in data_iter:
        counts.append(test_step(X, y))
        images += len(X)
        hooks.on_test_batch_end()
    if not counts:
        return Evaluation(0.0, (), ())
    here = engine.fetch(counts).sum(axis=(0, 1)).astype(int).tolist()
    images, *everywhere = engine.sum_over_workers([images, *here])
    correct, of_class, above_zero = np.reshape(everywhere, (3, -1)).tolist()
    return Evaluation(
        accuracy=sum(correct) / images,
        class_acc=tuple(right / total if total else None
                        for right, total in zip(correct, of_class)),
        living=tuple(number for number, count in enumerate(above_zero) if count))


def train_ch5(net: "Block", train_iter: Batches, test_iter: Batches, batch_size: int,
              trainer: "Trainer", ctx: "Devices", num_epochs: int,
              hooks: Optional[Hooks] = None) -> List[EpochRecord]:
    """Train and evaluate a Gluon net; print d2lzh's lines.

    The first seven parameters are d2lzh's.

    Parameters
    ----------
    net : Block
        Initialized on `ctx`. X (batch, channels, height, width) -> scores (batch, classes).
    train_iter, test_iter : iterable of (X, y)
    batch_size : int
        The gradient is divided by it, for the last, smaller batch too, as in d2lzh.
    trainer : gluon.Trainer
    ctx : mxnet.Context or list of mxnet.Context
        With several devices each takes a part of every batch.
    num_epochs : int
    hooks : Hooks, optional
        Lets a run be watched, stopped and resumed.

    Returns
    -------
    list of EpochRecord
        One for each epoch, those in ``hooks.history`` first.

    Raises
    ------
    NonFiniteLoss
        The loss or a parameter is no longer finite.
    """
    from nin_gluon.training.gluon_engine import GluonEngine  # here: `fit` must not need MXNet

    return fit(GluonEngine(net, ctx, trainer, batch_size), train_iter, test_iter, num_epochs,
               hooks)


def evaluate_accuracy(data_iter: Batches, net: "Block", ctx: "Optional[Devices]" = None) -> float:
    """Fraction of the images in `data_iter` that a Gluon net classifies correctly, in [0, 1].

    Parameters
    ----------
    data_iter : iterable of (X, y)
    net : Block
    ctx : mxnet.Context or list of mxnet.Context
        The device or devices of `net`; the CPU by default.
    """
    import mxnet as mx

    from nin_gluon.training.gluon_engine import GluonEngine

    return evaluate(GluonEngine(net, ctx or mx.cpu()), data_iter).accuracy
