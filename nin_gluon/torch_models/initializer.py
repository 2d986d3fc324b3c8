"""Gluon's initializations for PyTorch nets: weights from the same ranges, biases zero
or what the net names.

`nin_gluon.models.initializer` describes them. The numbers come from PyTorch's generator, so one
seed gives other weights here than in Gluon.
"""

import math
from typing import List, Set, Union

import torch
from torch import Tensor, nn

__all__ = ["initialize"]

CLASS_SCALE = 10  # as in `nin_gluon.models.initializer.IdentityInitializer`

Layer = Union[nn.Conv2d, nn.Linear]


def initialize(net: nn.Module, name: str) -> None:
    """Draw all parameters of a net.

    Parameters
    ----------
    net : nn.Module
        Of known shapes.
    name : {"xavier", "he", "identity", "normal"}
    """
    draw = {"xavier": xavier, "he": he, "normal": normal}
    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    maps = maps_of_classes(layers)
    with torch.no_grad():
        for layer in layers:
            if layer.bias is not None:
                layer.bias.fill_(getattr(layer, "first_bias", 0.0))
            if name == "identity":
                identity(layer, layer in maps)
            else:
                draw[name](layer.weight)


def fans(weight: Tensor) -> List[int]:
    """Inputs and outputs that a weight connects: (fan in, fan out)."""
    out, channels, *kernel = weight.shape
    return [channels * math.prod(kernel), out * math.prod(kernel)]


def xavier(weight: Tensor) -> None:
    scale = math.sqrt(3 / (sum(fans(weight)) / 2))
    weight.uniform_(-scale, scale)


def he(weight: Tensor) -> None:
    weight.normal_(0, math.sqrt(2 / fans(weight)[0]))


def normal(weight: Tensor) -> None:
    weight.normal_(0, 0.05)


def identity(layer: Layer, makes_maps: bool) -> None:
    """`makes_maps`: the layer is one of the last convolutions, those of the maps of the classes."""
    weight = layer.weight
    out, channels, *kernel = weight.shape
    if makes_maps and out < channels:
        weight.fill_(CLASS_SCALE / weight[0].numel())
    elif kernel and out <= channels <= 2 * out and (kernel == [1, 1] or makes_maps):
        weight.zero_()
        weight[:, :, kernel[0] // 2, kernel[1] // 2] = torch.eye(out, channels)
    else:
        he(weight)
        if not kernel:
            weight.div_(CLASS_SCALE)


def maps_of_classes(layers: List[Layer]) -> Set[Layer]:
    """The last convolutions, as far as they have as many output channels as the last one."""
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    found: Set[Layer] = set()
    for layer in reversed(convolutions):
        if layer.out_channels != convolutions[-1].out_channels:
            break
        found.add(layer)
    return found
