"""Variants of the chapter's net for its exercises; the net itself is `nin_gluon.models.nin.nin`."""

from typing import Sequence

import mxnet as mx
from mxnet.gluon import nn

from nin_gluon.model_options import check_inner, check_last, check_options, last_channels
from nin_gluon.models.base import NiN
from nin_gluon.models.head import head_layers

__all__ = ["nin_variant"]


def nin_variant(classes: int = 10, dropout: float = 0.5, head: str = "gap", inner: int = 2,
                inner_kernel: int = 1, reduce: str = "", last_relu: int = 1,
                last_bias: float = 0.0) -> nn.HybridSequential:
    """The chapter's net with other convolutions inside its blocks; by default the chapter's net.

    Parameters
    ----------
    classes : int
    dropout : float
        Share of the values that dropout sets to zero in training, in [0, 1).
    head : {"gap", "fc", "fc_dropout"}
        Turns the maps of the classes into scores; see `nin_gluon.models.head.head_layers`.
    inner : int
        How many convolutions follow the first one of each block. The chapter has 2.
    inner_kernel : int
        Their kernel size, which is odd; the padding keeps height and width. The chapter has 1: a
        dense net at every pixel. With 3 they see the neighbours, too: depth without NiN's idea.
    reduce : str
        Output channels of the last block's convolutions, such as ``96-96-10``. The last number is
        that of the classes. The chapter makes the maps of the classes at once: ``10-10-10``, which
        an empty string stands for.
    last_relu : {1, 0}
        0 leaves out the ReLU after the last convolution, so that scores may be negative.
    last_bias : float
        What the biases of the last block start from.

    Returns
    -------
    HybridSequential
        As `nin_gluon.models.nin.nin`.

    Raises
    ------
    InputError
        The net cannot be built with these options.
    """
    check_options(classes, dropout, head)
    check_inner(inner, inner_kernel)
    check_last(last_relu, last_bias)
    last = last_channels(classes, inner, reduce)

    def block(channels: Sequence[int], kernel_size: int, strides: int, padding: int,
              bias: float = 0.0, last_relu: int = 1) -> nn.HybridSequential:
        kernels = [(kernel_size, strides, padding), *[(inner_kernel, 1, inner_kernel // 2)] * inner]
        relus = ["relu"] * inner + ["relu" if last_relu else None]
        blk = nn.HybridSequential()
        for number, kernel, relu in zip(channels, kernels, relus):
            blk.add(nn.Conv2D(number, *kernel, activation=relu,
                              bias_initializer=mx.init.Constant(bias) if bias else "zeros"))
        return blk

    net = NiN()
    net.add(
        block([96] * (1 + inner), kernel_size=11, strides=4, padding=0),
        nn.MaxPool2D(pool_size=3, strides=2),
        block([256] * (1 + inner), kernel_size=5, strides=1, padding=2),
        nn.MaxPool2D(pool_size=3, strides=2),
        block([384] * (1 + inner), kernel_size=3, strides=1, padding=1),
        nn.MaxPool2D(pool_size=3, strides=2),
        nn.Dropout(dropout),
        block(last, kernel_size=3, strides=1, padding=1, bias=last_bias, last_relu=last_relu),
        *head_layers(head, classes),
    )
    return net
