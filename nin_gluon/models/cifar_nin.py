"""The paper's net for CIFAR-10.

Source: Lin, Chen and Yan, "Network In Network", arXiv 1312.4400 (2013), figure 2; layer sizes as
in the configuration that the first author published for Caffe.
"""

from mxnet.gluon import nn

from nin_gluon.models.geometry import NiN
from nin_gluon.models.head import check_options, head_layers

__all__ = ["cifar_nin"]


def mlpconv_layer(channels, kernel_size):
    """A convolution that keeps the size and two 1x1 convolutions, ReLU after each."""
    first, *rest = channels
    blk = nn.HybridSequential()
    blk.add(nn.Conv2D(first, kernel_size, padding=kernel_size // 2, activation="relu"),
            *(nn.Conv2D(n, kernel_size=1, activation="relu") for n in rest))
    return blk


def cifar_nin(classes=10, dropout=0.5, head="gap"):
    """The Network in Network of the paper: 966,986 parameters for 10 classes of colour images.

    Parameters
    ----------
    classes : int
        Number of classes; the last mlpconv layer has one map for each.
    dropout : float
        Share of the values that dropout sets to zero in training, in [0, 1).
    head : {"gap", "fc", "fc_dropout"}
        What makes scores of the classes' maps; see `nin_gluon.models.head.head_layers`.

    Returns
    -------
    HybridSequential
        (batch, channels, height, width) float32 -> scores (batch, classes). The published input is
        (batch, 3, 32, 32), whose maps are 8x8; below 6 pixels it raises `InputError`.

    Raises
    ------
    InputError
        An option has a value that it cannot have.
    """
    check_options(classes, dropout, head)
    net = NiN()
    net.add(
        mlpconv_layer((192, 160, 96), kernel_size=5),
        # Caffe rounds the size up: 32 pixels become 16, then 8.
        nn.MaxPool2D(pool_size=3, strides=2, ceil_mode=True),
        nn.Dropout(dropout),
        mlpconv_layer((192, 192, 192), kernel_size=5),
        nn.AvgPool2D(pool_size=3, strides=2, ceil_mode=True),
        nn.Dropout(dropout),
        mlpconv_layer((192, 192, classes), kernel_size=3),
        *head_layers(head, classes),
    )
    return net
