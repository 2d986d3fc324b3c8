"""From a run's settings to its net, data and trainer in MXNet Gluon."""

from typing import Any, Dict, List

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.contrib import amp

from nin_gluon import models
from nin_gluon.data import load_data
from nin_gluon.settings import Settings
from nin_gluon.training.gluon_engine import GluonEngine
from nin_gluon.training.run import Run, check_batches, check_classes
from nin_gluon.training.run_data import check_memory, load_settled
from nin_gluon.training.run_folder import RunConfig
from nin_gluon.training.workers import Workers

__all__ = ["optimizer_options", "prepare"]


def prepare(config: RunConfig, contexts: "List[mx.Context]", workers: Workers) -> Run:
    """Build the net, its trainer and the data of a run, all from the run's seed.

    Parameters
    ----------
    config : RunConfig
    contexts : list of mxnet.Context
        The devices of this process.
    workers : Workers

    Raises
    ------
    InputError
        The settings do not fit together, or the data cannot be had.
    """
    mx.random.seed(config.settings.seed % 2**31)
    np.random.seed(config.settings.seed % 2**31)
    net = models.get_model(config.settings.model)
    batch_size = config.settings.batch_size * workers.count
    # Batches go to the device at once; with several devices the loop splits them.
    ctx = contexts[0] if len(contexts) == 1 else None
    train_iter, test_iter, config = load_settled(config, lambda name, **options: load_data(
        name, batch_size, ctx=ctx, part=(workers.rank, workers.count), **options),
        workers.count == 1)
    settings, devices = config.settings, len(contexts) * workers.count
    for data_iter in (train_iter, test_iter):
        check_batches(len(data_iter.labels), batch_size, devices)
    channels = train_iter.images.shape[3]
    check_memory(settings, channels, len(train_iter.labels))
    initialize(net, settings, channels, contexts)
    # A list, in the net's order: gluon.Trainer would sort a dict by names that depend on what else
    # this process has built (conv10 before conv9), and a resumed run would mix up its momenta.
    trainer = gluon.Trainer(list(net.collect_params().values()), settings.optimizer,
                            optimizer_options(settings, settings.epochs * len(train_iter)),
                            kvstore=workers.kvstore, update_on_kvstore=False)
    if workers.distributed:
        share_parameters(trainer)
    if settings.dtype == "float16":
        amp.init_trainer(trainer)  # scales the loss, or small gradients would become 0
    forward_of = models.optimize_for_training if settings.dtype == "bfloat16" else None
    engine = GluonEngine(net, contexts, trainer, batch_size, forward_of,
                         workers.all_reduce if workers.distributed else None)
    return Run(config, workers, engine, train_iter, test_iter)


def initialize(net: gluon.HybridBlock, settings: Settings, channels: int,
               contexts: "List[mx.Context]") -> None:
    """Draw the parameters of a net for images with this many channels."""
    net.initialize(models.initializer(settings.init, net), ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    # One pass creates the parameters. It is a training pass, because oneDNN keeps the parameters of
    # other passes in its own layouts, which a distributed kvstore cannot send.
    with autograd.train_mode():
        for ctx in contexts:
            scores = net(mx.nd.zeros((1, channels, settings.resize, settings.resize), ctx=ctx))
    check_classes(settings, scores.shape[1])


def share_parameters(trainer: gluon.Trainer) -> None:
    """Give all workers the parameters of one of them, and wait until they have arrived.

    The trainer would do so in its first step, and not wait. The first sum of gradients, which goes
    under the same keys, could then overtake a parameter, and a worker would take it for that.
    """
    trainer._init_kvstore()
    trainer._init_params()
    for parameter in trainer._params:
        for array in parameter.list_data():
            array.wait_to_read()


def optimizer_options(settings: Settings, steps: int) -> Dict[str, Any]:
    """What `gluon.Trainer` passes to its optimizer, for a run of this many steps."""
    options: Dict[str, Any] = {"learning_rate": settings.lr, "wd": settings.wd}
    if settings.optimizer == "sgd":
        options["momentum"] = settings.momentum
    if settings.schedule == "cosine":
        options["lr_scheduler"] = mx.lr_scheduler.CosineScheduler(
            steps, base_lr=settings.lr, final_lr=0, warmup_steps=steps // 10)
    if settings.schedule == "warmup":
        options["lr_scheduler"] = mx.lr_scheduler.MultiFactorScheduler(
            [steps + 1], factor=1, base_lr=settings.lr, warmup_steps=steps // 10)
    if settings.schedule == "step":
        first = max(1, steps * 5 // 6)
        options["lr_scheduler"] = mx.lr_scheduler.MultiFactorScheduler(
            [first, max(first + 1, steps * 11 // 12)], factor=0.1, base_lr=settings.lr)
    return options
