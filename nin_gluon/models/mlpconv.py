"""The mlpconv edition's net: the chapter's, with each max pooling inside its block.

Source: "MXNet deep learning framework, part 21: NiN with gluon", its final listing. (In its first
listing the padding applies to the 1x1 convolutions, too, which enlarges the maps.)

The article reports the mean of the accuracies of the batches, this package the fraction of the
images that are classified correctly. In that mean an image of the last, smaller batch weighs more.
With batches of 128, each of the last 16 of 10,000 test images weighs as much as eight others, and
the two figures differ by up to 0.0111. On 60,000 training images, with 96 in the last batch, they
differ by up to 0.0006. See notebooks/mlpconv.ipynb.
"""

from mxnet.gluon import nn

from nin_gluon.model_options import check_options
from nin_gluon.models.base import NiN
from nin_gluon.models.head import head_layers
from nin_gluon.models.nin import Size, nin_block

__all__ = ["mlpconv", "mlpconv_nin"]


def mlpconv(channels: int, kernel_size: Size, padding: Size, strides: Size = 1,
            max_pooling: bool = True) -> nn.HybridSequential:
    """One convolution, two 1x1 convolutions, and a 3x3 max pooling of stride 2.

    Parameters
    ----------
    channels : int
        Output channels of each of the three convolutions.
    kernel_size, padding, strides : int or (int, int)
        Of the first convolution, in pixels.
    max_pooling : bool
        False leaves out the max pooling.

    Returns
    -------
    HybridSequential
        (batch, channels', height, width) -> (batch, channels, height', width'), with a ReLU after
        each convolution.
    """
    blk = nn.HybridSequential()
    blk.add(*nin_block(channels, kernel_size, strides, padding))
    if max_pooling:
        blk.add(nn.MaxPool2D(pool_size=3, strides=2))
    return blk


def mlpconv_nin(classes: int = 10, dropout: float = 0.5, head: str = "gap") -> nn.HybridSequential:
    """The mlpconv edition's net: seven layers with the parameters of the chapter's net.

    Parameters
    ----------
    classes : int
    dropout : float
        Share of the values that dropout sets to zero in training, in [0, 1).
    head : {"gap", "fc", "fc_dropout"}
        Turns the maps of the classes into scores; see `nin_gluon.models.head.head_layers`.

    Returns
    -------
    HybridSequential
        (batch, channels, height, width) float32 -> scores (batch, classes). The published input is
        (batch, 1, 112, 112). Height and width are at least 67 pixels; a smaller input raises
        `InputError`.

    Raises
    ------
    InputError
        The net cannot be built with these options.
    """
    check_options(classes, dropout, head)
    net = NiN()
    net.add(
        mlpconv(96, kernel_size=11, padding=0, strides=4),
        mlpconv(256, kernel_size=5, padding=2),
        mlpconv(384, kernel_size=3, padding=1),
        nn.Dropout(dropout),
        mlpconv(classes, kernel_size=3, padding=1, max_pooling=False),
        *head_layers(head, classes),
    )
    return net
