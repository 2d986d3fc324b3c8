"""From the maps of the classes to scores: the paper's three heads."""

from typing import List, Tuple

from mxnet.gluon import nn

from nin_gluon.models.geometry import leaves

__all__ = ["head_layers", "maps_and_head"]


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
