"""Variants of the chapter's net for its exercises; the net itself is `nin_gluon.models.nin.nin`."""

import re
from typing import List, Sequence

from mxnet.gluon import nn

from nin_gluon.errors import InputError
from nin_gluon.models.base import NiN
from nin_gluon.models.head import check_options, head_layers

__all__ = ["nin_variant"]


def nin_variant(classes: int = 10, dropout: float = 0.5, head: str = "gap", inner: int = 2,
                inner_kernel: int = 1, reduce: str = "") -> nn.HybridSequential:
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
    if inner < 0 or inner_kernel < 1 or inner_kernel % 2 == 0:
        raise InputError(f"inner={inner} convolutions of inner_kernel={inner_kernel} cannot be "
                         "built; use 0 or more, of an odd size.")
    last = last_channels(classes, inner, reduce)

    def block(channels: Sequence[int], kernel_size: int, strides: int,
              padding: int) -> nn.HybridSequential:
        blk = nn.HybridSequential()
        blk.add(nn.Conv2D(channels[0], kernel_size, strides, padding, activation="relu"))
        for number in channels[1:]:
            blk.add(nn.Conv2D(number, inner_kernel, padding=inner_kernel // 2, activation="relu"))
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
        block(last, kernel_size=3, strides=1, padding=1),
        *head_layers(head, classes),
    )
    return net


def last_channels(classes: int, inner: int, reduce: str) -> List[int]:
    """Output channels of the last block's convolutions; `InputError` if `reduce` does not fit."""
    if not reduce:
        return [classes] * (1 + inner)
    if not re.fullmatch(r"[1-9]\d{0,4}(-[1-9]\d{0,4})*", reduce):
        raise InputError(f"reduce={reduce!r} is no list of channels such as 96-96-10.")
    channels = [int(number) for number in reduce.split("-")]
    if channels[-1] != classes or len(channels) != 1 + inner:
        raise InputError(f"reduce={reduce} should name {1 + inner} numbers of channels, the last "
                         f"of them the {classes} classes.")
    return channels
