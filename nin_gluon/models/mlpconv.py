"""The mlpconv edition's net: the chapter's, with each max pooling inside its block.

Source: "MXNet deep learning framework, part 21: NiN with gluon", its final listing. (In the first
one the block's padding goes to the 1x1 convolutions too, which enlarges the maps.)

The article reports the mean of the batches' accuracies, this package the fraction of the images.
In the mean an image of the last, smaller batch weighs more: with batches of 128 one of the last 16
of 10,000 test images weighs as much as eight others, and the two differ by up to 0.0111; on 60,000
training images, with 96 in the last batch, by up to 0.0006. See notebooks/mlpconv.ipynb.
"""

from mxnet.gluon import nn

from nin_gluon.models.geometry import NiN
from nin_gluon.models.head import check_options, head_layers
from nin_gluon.models.nin import nin_block

__all__ = ["mlpconv", "mlpconv_nin"]


def mlpconv(channels, kernel_size, padding, strides=1, max_pooling=True):
    """One convolution, two 1x1 convolutions, and unless told otherwise a 3x3 max pooling.

    Parameters
    ----------
    channels : int
        Output channels of each of the three convolutions.
    kernel_size, padding, strides : int or (int, int)
        Of the first convolution, in pixels.
    max_pooling : bool
        Of stride 2.

    Returns
    -------
    HybridSequential
        (batch, channels', height, width) -> (batch, channels, height', width'), ReLU after each
        convolution.
    """
    blk = nn.HybridSequential()
    blk.add(*nin_block(channels, kernel_size, strides, padding))
    if max_pooling:
        blk.add(nn.MaxPool2D(pool_size=3, strides=2))
    return blk


def mlpconv_nin(classes=10, dropout=0.5, head="gap"):
    """The mlpconv edition's net: seven layers, with the parameters of the chapter's.

    Parameters
    ----------
    classes : int
    dropout : float
        Share of the values that dropout sets to zero in training, in [0, 1).
    head : {"gap", "fc", "fc_dropout"}
        What makes scores of the classes' maps; see `nin_gluon.models.head.head_layers`.

    Returns
    -------
    HybridSequential
        (batch, channels, height, width) float32 -> scores (batch, classes). The published input is
        (batch, 1, 112, 112); below 67 pixels it raises `InputError`.

    Raises
    ------
    InputError
        An option has a value that it cannot have.
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
