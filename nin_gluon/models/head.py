"""From the maps of the classes to scores: the paper's three heads."""

from typing import Any, List, Tuple

from mxnet.gluon import nn

from nin_gluon.errors import InputError
from nin_gluon.models.geometry import leaves

__all__ = ["HEADS", "check_options", "head_layers", "maps_and_head"]

HEADS = ("gap", "fc", "fc_dropout")
MAX_CLASSES = 10**6


def head_layers(head: str, classes: int) -> List[nn.HybridBlock]:
    """The layers that turn maps (batch, classes, height, width) into scores (batch, classes).

    Parameters
    ----------
    head : {"gap", "fc", "fc_dropout"}
        gap: global average pooling. fc: instead of it, as in section 4.6 of the paper, a dense
        layer on the values of all maps. fc_dropout: the same with dropout of 0.5 before it. After
        the first batch a dense layer accepts only images of the same size.
    classes : int
    """
    if head == "gap":
        return [nn.GlobalAvgPool2D(), nn.Flatten()]
    dropout = [nn.Dropout(0.5)] if head == "fc_dropout" else []
    return [nn.Flatten(), *dropout, nn.Dense(classes)]


def check_options(classes: Any, dropout: Any, head: Any) -> None:
    """Raise `InputError` unless a net can be built with these options."""
    if not isinstance(classes, int) or not 1 <= classes <= MAX_CLASSES:
        raise InputError(f"classes is {classes!r}; it is a whole number from 1 to {MAX_CLASSES}.")
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout!r}; it is a share from 0 to below 1.")
    if head not in HEADS:
        raise InputError(f"unknown head {head!r}; the heads are: {', '.join(HEADS)}.")


def maps_and_head(net: nn.HybridSequential) -> Tuple[nn.HybridSequential, nn.HybridSequential]:
    """Split a net in two: up to the maps of the classes, and the head.

    Parameters
    ----------
    net : HybridSequential
        One of `nin_gluon.models.MODELS`, or any net whose head begins after the last child with a
        convolution in it.

    Returns
    -------
    maps : HybridSequential
        Images (batch, channels, height, width) -> maps (batch, classes, height', width'), the
        output of the last mlpconv layer.
    head : HybridSequential
        Maps -> scores (batch, classes). Both parts share their layers with `net`.
    """
    end = 1 + max(i for i, layer in enumerate(net)
                  if any(isinstance(leaf, nn.Conv2D) for leaf in leaves(layer)))
    return net[:end], net[end:]
