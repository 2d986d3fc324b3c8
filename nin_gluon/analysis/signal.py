"""The signal through an untrained net: its size after each ReLU, and the gradients that come back.

MXNet is imported when a signal is measured, not before: a recorded `Signal` can be read without it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Tuple

import numpy as np

from nin_gluon.settings import Settings

if TYPE_CHECKING:
    from mxnet import nd

__all__ = ["Signal", "measure"]

IMAGES = 64


@dataclass(frozen=True)
class Signal:
    """What arrives where in one untrained net."""

    init: str
    seed: int
    resize: int
    dataset: str
    # After each ReLU: the root mean square, in units of the input's.
    size: Tuple[float, ...]
    # After each ReLU: the part of it that differs from image to image, in units of the input's.
    spread: Tuple[float, ...]
    # Of each layer's weights: root mean square of the loss's gradient over that of the weights.
    gradient: Tuple[float, ...]

    @property
    def key(self) -> Tuple[str, int, int, str]:
        """What tells one signal from another."""
        return self.init, self.seed, self.resize, self.dataset


def measure(init: str, seed: int, settings: Settings, data_dir: Optional[str] = None) -> Signal:
    """Send images through a net before it has learned anything, on the CPU in float32.

    Parameters
    ----------
    init : str
        Initialization, as `nin_gluon.models.initializer` knows it.
    seed : int
    settings : Settings
        The net, the data set and the image size; the rest is not used.
    data_dir : str, optional
        Folder with the data set's files.

    Returns
    -------
    Signal
    """
    import mxnet as mx
    from mxnet import autograd, gluon

    from nin_gluon.data import load_data
    from nin_gluon.models import get_model, initializer
    from nin_gluon.models.geometry import leaves

    mx.random.seed(seed % 2**31)  # as the train command does
    np.random.seed(seed % 2**31)
    # No dropout: its noise is no part of the signal. (The net is built without it because MXNet's
    # gradient through a dropout that is not training differs from call to call.)
    net = get_model(settings.model, dropout=0.0)
    net.initialize(initializer(init, net))
    dataset = settings.dataset or "fashion-mnist"
    _, images = load_data(dataset, IMAGES, settings.resize, root=data_dir, limit=IMAGES)
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
    return Signal(init, seed, X.shape[2], dataset,
                  tuple(size / sizes[0] for size in sizes[1:]),
                  tuple(each / spreads[0] for each in spreads[1:]),
                  tuple(rms(weight.grad()) / rms(weight.data()) for weight in weights))


def rms(array: "nd.NDArray") -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(array.asnumpy().astype("float64")).mean()))


def spread(x: "nd.NDArray") -> float:
    """How far values differ between images, (batch, ...): root mean square over all places."""
    return float(np.sqrt(x.asnumpy().astype("float64").var(axis=0).mean()))
