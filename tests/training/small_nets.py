"""A net of two parameters and its trainers, for tests of what saves them."""

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from nin_gluon.training import checkpoint
from nin_gluon.training.engine import step_seed
from nin_gluon.training.gluon_engine import GluonEngine
from nin_gluon.training.tally import Tally

COSINE = mx.lr_scheduler.CosineScheduler
OPTIMIZERS = {
    "sgd": lambda: ("sgd", {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.01,
                            "lr_scheduler": COSINE(10, 0.1, warmup_steps=2)}),
    "plain sgd": lambda: ("sgd", {"learning_rate": 0.1}),
    "steps": lambda: ("sgd", {"learning_rate": 0.1, "momentum": 0.5, "lr_scheduler":
                              mx.lr_scheduler.MultiFactorScheduler([2, 5], 0.1, 0.1)}),
    "adam": lambda: ("adam", {"learning_rate": 0.01}),
    "adam, cosine": lambda: ("adam", {"learning_rate": 0.01, "lr_scheduler": COSINE(10, 0.01)}),
}


def net_and_trainer(units=3, optimizer="sgd", ctx=None):
    net = nn.HybridSequential()
    net.add(nn.Dense(units), nn.Dropout(0.5))
    net.initialize(mx.init.Xavier(), ctx)
    for device in ctx or [mx.cpu()]:
        net(nd.zeros((1, 2), device)).wait_to_read()
    return net, gluon.Trainer(net.collect_params(), *OPTIMIZERS[optimizer](),
                              update_on_kvstore=False)


def train_steps(net, trainer, first, last):
    for step in range(first, last):
        mx.random.seed(step_seed(0, 1, step))
        with autograd.record():
            losses = [net(nd.array([[1, 2], [3, step]], ctx)).square()
                      for ctx in net.collect_params().list_ctx()]
        autograd.backward(losses)
        trainer.step(2)
    return values(net)


def values(net):
    return [p.list_data()[-1].asnumpy() for p in net.collect_params().values()]


def save(run, net, trainer, tally=None, history=()):
    return checkpoint.save(run, engine(net, trainer), tally or Tally(), history,
                           np.random.get_state())


def engine(net, trainer):
    return GluonEngine(net, net.collect_params().list_ctx(), trainer)
