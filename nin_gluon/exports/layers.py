"""A net as a plain list of its layers, the same for both frameworks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Tuple

from nin_gluon.errors import InputError
from nin_gluon.settings import Settings

if TYPE_CHECKING:
    from mxnet.gluon import Block
    from torch import nn as torch_nn

__all__ = ["Layer", "layers_of"]


@dataclass(frozen=True)
class Layer:
    """A layer as it computes outside of training; dropout is none.

    Attributes
    ----------
    kind : {"convolution", "max", "average", "global average", "flatten", "dense"}
        ``max`` and ``average`` are poolings. Convolutions and dense layers have a weight and a
        bias. The rest has no parameters.
    relu : bool
        Whether a ReLU follows.
    kernel, stride, pad : (int, int)
        Of a window, in pixels.
    ceil : bool
        Whether a pooling rounds the size of its output up.
    """

    kind: str
    relu: bool = False
    kernel: Tuple[int, int] = (1, 1)
    stride: Tuple[int, int] = (1, 1)
    pad: Tuple[int, int] = (0, 0)
    ceil: bool = False


def layers_of(settings: Settings) -> List[Layer]:
    """The layers of the net that these settings name, by the framework that trains it.

    Raises
    ------
    InputError
        The net is unknown, or has a layer that no export here knows.
    """
    if settings.engine == "torch":
        from nin_gluon.torch_models import nets

        return torch_layers(nets.get_model(settings.model))

    from nin_gluon import models

    return gluon_layers(models.get_model(settings.model))


def gluon_layers(net: "Block") -> List[Layer]:
    """The layers of a Gluon net of this package."""
    from nin_gluon.models.geometry import leaves

    return [gluon_layer(leaf) for leaf in leaves(net) if type(leaf).__name__ != "Dropout"]


def gluon_layer(leaf: Any) -> Layer:
    kind, window = type(leaf).__name__, getattr(leaf, "_kwargs", {})
    relu = getattr(leaf, "act", None) is not None
    if relu and leaf.act._act_type != "relu":
        raise unknown(leaf)
    if kind == "Conv2D" and window["num_group"] == 1 and window["dilate"] == (1, 1):
        return Layer("convolution", relu, window["kernel"], window["stride"], window["pad"])
    if kind in ("MaxPool2D", "AvgPool2D"):
        return Layer("max" if kind == "MaxPool2D" else "average", False, window["kernel"],
                     window["stride"], window["pad"], window["pooling_convention"] == "full")
    if kind == "Dense":
        return Layer("dense", relu)
    if kind in ("GlobalAvgPool2D", "Flatten"):
        return Layer("global average" if kind == "GlobalAvgPool2D" else "flatten")
    raise unknown(leaf)


def torch_layers(net: "torch_nn.Module") -> List[Layer]:
    """The layers of a PyTorch net of this package."""
    layers: List[Layer] = []
    for module in net.modules():
        kind = type(module).__name__.replace("Lazy", "")
        if kind == "ReLU" and layers and layers[-1].kind in ("convolution", "dense"):
            last = layers.pop()
            layers.append(Layer(last.kind, True, last.kernel, last.stride, last.pad))
        elif kind not in ("Sequential", "Dropout"):
            layers.append(torch_layer(module, kind))
    return layers


def torch_layer(module: Any, kind: str) -> Layer:
    if kind == "Conv2d" and module.groups == 1 and pair(module.dilation) == (1, 1):
        return Layer("convolution", False, pair(module.kernel_size), pair(module.stride),
                     pair(module.padding))
    if kind in ("MaxPool2d", "AvgPool2d"):
        return Layer("max" if kind == "MaxPool2d" else "average", False, pair(module.kernel_size),
                     pair(module.stride), pair(module.padding), module.ceil_mode)
    if kind == "Linear":
        return Layer("dense")
    if kind == "AdaptiveAvgPool2d" and pair(module.output_size) == (1, 1):
        return Layer("global average")
    if kind == "Flatten":
        return Layer("flatten")
    raise unknown(module)


def unknown(layer: Any) -> InputError:
    return InputError(f"a layer of this net cannot be exported: {layer}.")


def pair(size: Any) -> Tuple[int, int]:
    return (size[0], size[1]) if isinstance(size, tuple) else (size, size)
