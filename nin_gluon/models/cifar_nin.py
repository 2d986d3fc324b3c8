"""The paper's net for CIFAR-10.

Source: Lin, Chen and Yan, "Network In Network", arXiv 1312.4400 (2013), figure 2; layer sizes as
in the configuration that the first author published for Caffe.
"""

from typing import Sequence

from mxnet.gluon import nn

from nin_gluon.model_options import check_options
from nin_gluon.models.base import NiN
from nin_gluon.models.head import head_layers

__all__ = ["cifar_nin"]


def mlpconv_layer(channels: Sequence[int], kernel_size: int) -> nn.HybridSequential:
    """A convolution that keeps the size, then 1x1 convolutions; a ReLU after each."""
    first, *rest = channels
    blk = nn.HybridSequential()
    blk.add(nn.Conv2D(first, kernel_size, padding=kernel_size // 2, activation="relu"),
            *(nn.Conv2D(n, kernel_size=1, activation="relu") for n in rest))
    return blk


def cifar_nin(classes: int = 10, dropout: float = 0.5, head: str = "gap") -> nn.HybridSequential:
    """The Network in Network of the paper: 966,986 parameters for 10 classes of colour images.

    Parameters
    ----------
    classes : int
        Number of classes; the last mlpconv layer makes one map for each.
    dropout : float
        Share of the values that dropout sets to zero in training, in [0, 1).
    head : {"gap", "fc", "fc_dropout"}
        Turns the maps of the classes into scores; see `nin_gluon.models.head.head_layers`.

    Returns
    -------
    HybridSequential
        (batch, channels, height, width) float32 -> scores (batch, classes). The published input is
        (batch, 3, 32, 32), which gives maps of 8x8. Height and width are at least 6 pixels; a
        smaller input raises `InputError`.

    Raises
    ------
    InputError
        The net cannot be built with these options.
    """
    check_options(classes, dropout, head)
    net = NiN()
    net.add(
        mlpconv_layer((192, 160, 96), kernel_size=5),
        # Rounded up, as in Caffe: 32 pixels become 16, then 8.
        nn.MaxPool2D(pool_size=3, strides=2, ceil_mode=True),
        nn.Dropout(dropout),
        mlpconv_layer((192, 192, 192), kernel_size=5),
        nn.AvgPool2D(pool_size=3, strides=2, ceil_mode=True),
        nn.Dropout(dropout),
        mlpconv_layer((192, 192, classes), kernel_size=3),
        *head_layers(head, classes),
    )
    return net
