"""The chapter's net in PyTorch, initialized as the PyTorch edition of the book does.

`nin_gluon.torch_models` has the nets with Gluon's options. Their layers learn the number of their
input channels from the first batch and get Gluon's initial values. These draw PyTorch's as they are
made, which decides the biases.

Source: Lin, Chen and Yan, "Network In Network", arXiv 1312.4400 (2013); layer sizes as in Dive
into Deep Learning 2.0, section 7.3.
"""

from typing import Tuple, Union

from torch import nn

__all__ = ["SMALLEST_INPUT", "init_weights", "nin", "nin_block"]

SMALLEST_INPUT = 67  # pixels; with fewer, nothing would be left before the average

Size = Union[int, Tuple[int, int]]  # in pixels: one number for both axes, or (height, width)


def nin_block(in_channels: int, out_channels: int, kernel_size: Size, strides: Size,
              padding: Size) -> nn.Sequential:
    """One convolution, then two 1x1 convolutions: a dense net of two layers at every pixel.

    Parameters
    ----------
    in_channels, out_channels : int
        Each of the three convolutions has `out_channels`.
    kernel_size, strides, padding : int or (int, int)
        Of the first convolution, in pixels.

    Returns
    -------
    nn.Sequential
        (batch, in_channels, height, width) -> (batch, out_channels, height', width'), with a ReLU
        after each convolution.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, strides, padding), nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1), nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1), nn.ReLU(),
    )


def nin(classes: int = 10, dropout: float = 0.5, in_channels: int = 1) -> nn.Sequential:
    """The Network in Network of the chapter: ten layers, 1,992,166 parameters for 10 classes.

    Parameters
    ----------
    classes : int
        Number of classes; the last block has one channel for each.
    dropout : float
        Share of the values that dropout sets to zero in training, in [0, 1).
    in_channels : int
        Channels of the images: 1 if they are grey.

    Returns
    -------
    nn.Sequential
        (batch, in_channels, height, width) float32 -> scores (batch, classes), for any height and
        width of at least 67 pixels. The published input is (batch, 1, 224, 224).
    """
    return nn.Sequential(
        nin_block(in_channels, 96, kernel_size=11, strides=4, padding=0),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nin_block(96, 256, kernel_size=5, strides=1, padding=2),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nin_block(256, 384, kernel_size=3, strides=1, padding=1),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Dropout(dropout),
        # As many channels as classes: each becomes the map of one class ...
        nin_block(384, classes, kernel_size=3, strides=1, padding=1),
        # ... and the average of the map is its score. There are no dense layers.
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )


def init_weights(net: nn.Module) -> None:
    """Initialize all convolutions and dense layers in `net` as that edition does.

    The weights are drawn by Xavier's rule (Glorot and Bengio 2010, uniform), as in the Gluon
    edition. The biases stay as PyTorch drew them, uniform within 1/sqrt(fan_in) of zero. Gluon's
    are zero.
    """
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
