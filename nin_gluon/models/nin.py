"""The chapter's net.

Source: Lin, Chen and Yan, "Network In Network", arXiv 1312.4400 (2013); layer sizes as in Dive
into Deep Learning, section 7.3, which takes its first kernels from AlexNet.
"""

from typing import Tuple, Union

from mxnet.gluon import nn

from nin_gluon.model_options import check_options
from nin_gluon.models.base import NiN
from nin_gluon.models.head import head_layers
from nin_gluon.models.trained import give_packaged_weights

__all__ = ["nin", "nin_block"]

Size = Union[int, Tuple[int, int]]  # in pixels: one number for both axes, or (height, width)


def nin_block(num_channels: int, kernel_size: Size, strides: Size,
              padding: Size) -> nn.HybridSequential:
    """One convolution, then two 1x1 convolutions: a dense net of two layers at every pixel.

    Parameters
    ----------
    num_channels : int
        Output channels of each of the three convolutions.
    kernel_size, strides, padding : int or (int, int)
        Of the first convolution, in pixels.

    Returns
    -------
    HybridSequential
        (batch, channels, height, width) -> (batch, num_channels, height', width'), with a ReLU
        after each convolution.
    """
    blk = nn.HybridSequential()
    blk.add(
        nn.Conv2D(num_channels, kernel_size, strides, padding, activation="relu"),
        nn.Conv2D(num_channels, kernel_size=1, activation="relu"),
        nn.Conv2D(num_channels, kernel_size=1, activation="relu"),
    )
    return blk


def nin(classes: int = 10, dropout: float = 0.5, head: str = "gap", *,
        pretrained: bool = False) -> nn.HybridSequential:
    """The Network in Network of the chapter: ten layers, 1,992,166 parameters for 10 classes.

    Parameters
    ----------
    classes : int
        Number of classes; the last block has one channel for each.
    dropout : float
        Share of the values that dropout sets to zero in training, in [0, 1).
    head : {"gap", "fc", "fc_dropout"}
        Turns the maps of the classes into scores: the chapter's global average pooling, or a dense
        layer; see `nin_gluon.models.head.head_layers`.
    pretrained : bool
        Whether the net has the parameters of the trained net that comes with the package, on
        MXNet's current context; otherwise it is not initialized. docs/reference/model-card.md
        says what that net was trained on, and `nin_gluon.pretrained.read_packaged` how images are
        prepared for it.

    Returns
    -------
    HybridSequential
        (batch, channels, height, width) float32 -> scores (batch, classes). The published input
        is (batch, 1, 224, 224). The head averages over maps of any size, so any height and width
        of at least 67 pixels will do; a smaller input raises `InputError`.

    Raises
    ------
    InputError
        The net cannot be built with these options, or the trained net is missing or damaged.
    """
    check_options(classes, dropout, head)
    net = NiN()
    net.add(
        nin_block(96, kernel_size=11, strides=4, padding=0),
        nn.MaxPool2D(pool_size=3, strides=2),
        nin_block(256, kernel_size=5, strides=1, padding=2),
        nn.MaxPool2D(pool_size=3, strides=2),
        nin_block(384, kernel_size=3, strides=1, padding=1),
        nn.MaxPool2D(pool_size=3, strides=2),
        nn.Dropout(dropout),
        # As many channels as classes: each becomes the map of one class ...
        nin_block(classes, kernel_size=3, strides=1, padding=1),
        # ... and the average of the map is its score. There are no dense layers.
        *head_layers(head, classes),
    )
    return give_packaged_weights(net, "nin") if pretrained else net
