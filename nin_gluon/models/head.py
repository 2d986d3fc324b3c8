"""From the classes' maps to scores: the paper's three heads, and where in a net the head begins."""

from mxnet.gluon import nn

from nin_gluon.errors import InputError
from nin_gluon.models.geometry import leaves

__all__ = ["HEADS", "check_options", "head_layers", "maps_and_head"]

HEADS = ("gap", "fc", "fc_dropout")
MOST_CLASSES = 10**6


def head_layers(head, classes):
    """The layers that make scores of maps (batch, classes, height, width).

    Parameters
    ----------
    head : {"gap", "fc", "fc_dropout"}
        Global average pooling, or in its place, as in section 4.6 of the paper, a dense layer on
        the values of all maps, without or with dropout of 0.5 before it. A dense layer fixes the
        size of the images to that of the first batch.
    classes : int

    Returns
    -------
    list of HybridBlock
    """
    if head == "gap":
        return [nn.GlobalAvgPool2D(), nn.Flatten()]
    dropout = [nn.Dropout(0.5)] if head == "fc_dropout" else []
    return [nn.Flatten(), *dropout, nn.Dense(classes)]


def check_options(classes, dropout, head):
    """Raise `InputError` unless a net can be built with these options."""
    if not isinstance(classes, int) or not 1 <= classes <= MOST_CLASSES:
        raise InputError(f"classes is {classes!r}; it is a whole number from 1 to {MOST_CLASSES}.")
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout!r}; it is a share from 0 to below 1.")
    if head not in HEADS:
        raise InputError(f"unknown head {head!r}; the heads are: {', '.join(HEADS)}.")


def maps_and_head(net):
    """A net in two parts, which share its layers: up to the classes' maps, and the head.

    Parameters
    ----------
    net : HybridSequential
        Any of ours, or any whose head begins after its last child that has a convolution in it.

    Returns
    -------
    maps : HybridSequential
        (batch, channels, height, width) -> (batch, classes, height', width'), the maps that come
        out of the last mlpconv layer.
    head : HybridSequential
        These maps -> scores (batch, classes).
    """
    end = 1 + max(i for i, layer in enumerate(net)
                  if any(isinstance(leaf, nn.Conv2D) for leaf in leaves(layer)))
    return net[:end], net[end:]
