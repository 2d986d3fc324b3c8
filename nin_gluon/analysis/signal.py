"""The signal through an untrained net: how large it is after each ReLU, and what comes back."""

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from nin_gluon.experiments.exercises.results import Signal
from nin_gluon.models import get_model, initializer
from nin_gluon.models.geometry import leaves

__all__ = ["measure"]

IMAGES = 64


def measure(init, seed, settings, data_dir=None):
    """Send images through the net before it has learned anything, on the CPU in float32.

    Parameters
    ----------
    init : str
        As `nin_gluon.models.initializer` knows it.
    seed : int
    settings : dict
        Of the train command: the net, the data set and the size.
    data_dir : str, optional

    Returns
    -------
    Signal
    """
    from nin_gluon.data import load_data

    mx.random.seed(seed % 2**31)  # as the train command does
    np.random.seed(seed % 2**31)
    # No dropout: its noise is not the signal's. (Left out, for MXNet's gradient through a dropout
    # that is not training is not even the same from call to call.)
    net = get_model(settings["model"], dropout=0.0)
    net.initialize(initializer(init, net))
    _, images = load_data(settings["dataset"], IMAGES, settings["resize"], data_dir, limit=IMAGES)
    X, y = next(iter(images))
    x, sizes, spreads = X, [rms(X)], [spread(X)]
    weights = []
    for layer in leaves(net):
        x = layer(x)
        if hasattr(layer, "weight"):  # a convolution, which ends in its ReLU
            weights.append(layer.weight)
            sizes.append(rms(x))
            spreads.append(spread(x))
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    with autograd.record():
        mean = loss(net(X), y).mean()
    mean.backward()
    return Signal(init, seed, settings["resize"], settings["dataset"],
                  tuple(size / sizes[0] for size in sizes[1:]),
                  tuple(each / spreads[0] for each in spreads[1:]),
                  tuple(rms(weight.grad()) / rms(weight.data()) for weight in weights))


def rms(array):
    """Root mean square."""
    return float(np.sqrt(np.square(array.asnumpy().astype("float64")).mean()))


def spread(x):
    """How far values differ from image to image, (batch, ...): root mean square over places."""
    return float(np.sqrt(x.asnumpy().astype("float64").var(axis=0).mean()))
