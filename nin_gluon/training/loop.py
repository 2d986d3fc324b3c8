"""The chapter's loop: `train_ch5` and `evaluate_accuracy`, with d2lzh's signatures and lines.

`fit` is the loop itself. It knows no framework: an `nin_gluon.training.engine.Engine` takes the
steps.
"""

from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Tuple

from nin_gluon.training.engine import Engine
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.hooks import Hooks
from nin_gluon.training.tally import NonFiniteLoss, Tally

if TYPE_CHECKING:
    from mxnet.gluon import Block, Trainer

    from nin_gluon.training.gluon_engine import Devices

__all__ = ["NonFiniteLoss", "Tally", "evaluate", "evaluate_accuracy", "fit", "train_ch5"]

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
        test_acc = evaluate(engine, test_iter, hooks)
        history.append(EpochRecord(epoch, tally.loss, tally.accuracy, test_acc, tally.seconds))
        tally = None
        print(history[-1], flush=True)
        hooks.on_epoch_end(history)
    return history


def evaluate(engine: Engine, data_iter: Batches, hooks: Optional[Hooks] = None) -> float:
    """Fraction of the images in `data_iter` that the engine's net classifies correctly.

    With several workers `data_iter` yields this worker's part of the images, and the fraction is
    that of all.
    """
    hooks = hooks or Hooks()
    test_step, counts, images = engine.start_evaluation(), [], 0
    for X, y in data_iter:
        counts.append(test_step(X, y))
        images += len(X)
        hooks.on_test_batch_end()
    correct, images = engine.sum_over_workers([int(engine.fetch(counts).sum()), images])
    return correct / images if images else 0.0


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


def evaluate_accuracy(data_iter: Batches, net: "Block", ctx: "Optional[Devices]" = None,
                      hooks: Optional[Hooks] = None) -> float:
    """Fraction of the images in `data_iter` that a Gluon net classifies correctly, in [0, 1].

    Parameters
    ----------
    data_iter : iterable of (X, y)
    net : Block
    ctx : mxnet.Context or list of mxnet.Context
        The device or devices of `net`; the CPU by default.
    hooks : Hooks, optional
        As for `train_ch5`.
    """
    import mxnet as mx

    from nin_gluon.training.gluon_engine import GluonEngine

    return evaluate(GluonEngine(net, ctx or mx.cpu()), data_iter, hooks)
