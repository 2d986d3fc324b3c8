"""Nets from Gluon to PyTorch and back, with their parameters, bit for bit.

Both functions walk the layers one by one, so a net may be nested in any way, as long as it consists
of the layers that the docstring of `to_torch` lists. The frameworks differ in three ways: in
PyTorch an activation is a separate layer, a net knows its input channels from the start, and
Gluon's global pooling is an adaptive one.
"""

import contextlib
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Tuple

import mxnet as mx
from mxnet.gluon import nn

from nin_gluon.errors import InputError
from nin_gluon.extras import require_torch
from nin_gluon.models.base import NiN

if TYPE_CHECKING:
    from mxnet.gluon import Block, HybridBlock, Parameter

with contextlib.suppress(ModuleNotFoundError):  # then the functions say so when they are called
    import torch
    from torch import nn as torch_nn

__all__ = ["from_torch", "to_torch"]

# Gluon's name of an activation -> PyTorch's name of the layer.
ACTIVATIONS = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus",
               "softsign": "Softsign"}


def to_torch(net: "Block") -> "torch_nn.Module":
    """The same net in PyTorch.

    Parameters
    ----------
    net : HybridSequential or Sequential, or a single layer
        Initialized, with known shapes. It may hold, at any depth, Conv2D, Dense, MaxPool2D,
        AvgPool2D, GlobalAvgPool2D, GlobalMaxPool2D, Dropout, Flatten and Activation.

    Returns
    -------
    torch.nn.Module
        In evaluation mode (dropout off), as a Gluon net computes outside of ``autograd.record()``;
        ``.train()`` switches dropout on. Its parameters are copies of the same dtype on PyTorch's
        default device.

    Raises
    ------
    InputError
        There is a layer of another kind, which the message names, or a parameter has no values.
    """
    require_torch()
    return in_one(to_modules(net)).eval()


def from_torch(module: "torch_nn.Module") -> nn.HybridSequential:
    """The same net in Gluon; the inverse of `to_torch`.

    Parameters
    ----------
    module : torch.nn.Sequential or a single layer
        It may hold, at any depth, Conv2d, Linear, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d and
        AdaptiveMaxPool2d to one pixel, Dropout, Flatten, ReLU, Sigmoid, Tanh, Softplus and
        Softsign.

    Returns
    -------
    HybridSequential
        Initialized, not hybridized. Its parameters are copies of the same dtype on MXNet's current
        context. An activation becomes part of the convolution or dense layer before it.

    Raises
    ------
    InputError
        There is a layer of another kind, or one with a setting that Gluon does not have.
    """
    require_torch()
    layers = to_layers(module)
    if len(layers) == 1 and isinstance(layers[0], nn.HybridSequential):
        layers = list(layers[0])
    # A net for images names the problem when one is too small for it.
    images = any(isinstance(part, torch.nn.Conv2d) for part in module.modules())
    net = NiN() if images else nn.HybridSequential()
    net.add(*layers)
    return net


# ------------------------------------------------------------------ to PyTorch


def to_modules(layer: "Block") -> "List[torch_nn.Module]":
    """The PyTorch layers, one or several, that make up a Gluon layer."""
    kind = type(layer)
    if is_sequence(layer):
        children = layer._children.values()
        return [torch_nn.Sequential(*(m for child in children for m in to_modules(child)))]
    if kind is nn.Conv2D:
        return [conv_to_torch(layer), *activation_to_torch(layer.act)]
    if kind is nn.Dense:
        return [*([torch_nn.Flatten()] if layer._flatten else []), dense_to_torch(layer),
                *activation_to_torch(layer.act)]
    if kind is nn.Activation:
        return activation_to_torch(layer)
    if kind is nn.Flatten:
        return [torch_nn.Flatten()]
    if kind is nn.Dropout and not layer._axes:
        return [torch_nn.Dropout(layer._rate)]
    if kind in (nn.GlobalAvgPool2D, nn.GlobalMaxPool2D) and layer._kwargs["layout"] == "NCHW":
        average = kind is nn.GlobalAvgPool2D
        return [(torch_nn.AdaptiveAvgPool2d if average else torch_nn.AdaptiveMaxPool2d)((1, 1))]
    if kind in (nn.MaxPool2D, nn.AvgPool2D) and layer._kwargs["layout"] == "NCHW":
        return [pooling_to_torch(layer)]
    raise InputError(f"to_torch does not know how to convert {layer.name}, which is {layer}; it "
                     "converts sequences of Conv2D, Dense, MaxPool2D, AvgPool2D, GlobalAvgPool2D, "
                     "GlobalMaxPool2D, Dropout, Flatten and Activation.")


def is_sequence(layer: "Block") -> bool:
    """Whether a Gluon block does nothing but call its children in turn."""
    if isinstance(layer, nn.HybridSequential):
        return type(layer).hybrid_forward is nn.HybridSequential.hybrid_forward
    return isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward


def conv_to_torch(layer: nn.Conv2D) -> "torch_nn.Module":
    window = layer._kwargs
    if window["layout"] != "NCHW":
        raise InputError(f"to_torch converts convolutions of layout NCHW; {layer.name} has "
                         f"{window['layout']}.")
    weight = to_parameter(layer.weight)
    conv = torch_nn.Conv2d(weight.shape[1] * window["num_group"], weight.shape[0],
                           window["kernel"], window["stride"], window["pad"], window["dilate"],
                           window["num_group"], bias=layer.bias is not None, device="meta")
    return with_parameters(conv, weight, layer.bias)


def dense_to_torch(layer: nn.Dense) -> "torch_nn.Module":
    weight = to_parameter(layer.weight)
    linear = torch_nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None,
                             device="meta")
    return with_parameters(linear, weight, layer.bias)


def with_parameters(module: Any, weight: "torch_nn.Parameter",
                    bias: "Optional[Parameter]") -> "torch_nn.Module":
    """Give its parameters to a module made on the device "meta", where nothing is drawn or held."""
    module.weight = weight
    if bias is not None:
        module.bias = to_parameter(bias)
    return module


def to_parameter(parameter: "Parameter") -> "torch_nn.Parameter":
    """A Gluon parameter's values as a parameter of PyTorch."""
    try:
        values = parameter.data(parameter.list_ctx()[0])
    except RuntimeError:  # MXNet's errors for this, deferred or never initialized, are of this type
        raise InputError(f"parameter {parameter.name} has no values yet; call net.initialize() and "
                         "pass one batch through the net.") from None
    return torch.nn.Parameter(torch.tensor(values.asnumpy()),
                              requires_grad=parameter.grad_req != "null")


def activation_to_torch(activation: Optional[nn.Activation]) -> "List[torch_nn.Module]":
    """A list of the one layer that is Gluon's activation; empty for None."""
    return [] if activation is None else [getattr(torch_nn, ACTIVATIONS[activation._act_type])()]


def pooling_to_torch(layer: "HybridBlock") -> "torch_nn.Module":
    window = layer._kwargs
    rounded_up = window["pooling_convention"] == "full"
    geometry = window["kernel"], window["stride"], window["pad"]
    if rounded_up:
        check_rounding_up(layer.name, *geometry)
    if isinstance(layer, nn.MaxPool2D):
        return torch_nn.MaxPool2d(*geometry, ceil_mode=rounded_up)
    return torch_nn.AvgPool2d(*geometry, ceil_mode=rounded_up,
                              count_include_pad=window["count_include_pad"])


def check_rounding_up(name: Any, kernel: Iterable[int], stride: Iterable[int],
                      pad: Iterable[int]) -> None:
    """Raise `InputError` if the two frameworks understand ceil_mode differently.

    PyTorch leaves out a last window that would begin in the padding; MXNet does not.
    """
    if any(s + p > k for k, s, p in zip(kernel, stride, pad)):
        raise InputError(f"{name} rounds its output size up (ceil_mode) with a window of {kernel}, "
                         f"strides {stride} and padding {pad}, for which MXNet and PyTorch give "
                         "different sizes; use strides + padding of at most the window.")


def in_one(modules: "List[torch_nn.Module]") -> "torch_nn.Module":
    """The module itself if there is one, else a Sequential of them."""
    return modules[0] if len(modules) == 1 else torch_nn.Sequential(*modules)


# ------------------------------------------------------------------ from PyTorch


def to_layers(module: Any) -> "List[HybridBlock]":
    """The Gluon layers, usually one, that make up a PyTorch module."""
    kind = type(module)
    if isinstance(module, torch_nn.Sequential) and kind.forward is torch_nn.Sequential.forward:
        sequence = nn.HybridSequential()
        sequence.add(*sequence_to_layers(module))
        return [sequence]
    if kind in (torch_nn.Conv2d, torch_nn.Linear):
        return [weighted_to_gluon(module, None)]
    if kind is torch_nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        return [nn.Flatten()]
    if kind is torch_nn.Dropout:
        return [nn.Dropout(module.p)]
    if kind.__name__ in ACTIVATIONS.values() and activation_name(module):
        return [nn.Activation(activation_name(module))]
    if kind is torch_nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1)):
        return [nn.GlobalAvgPool2D()]
    if kind is torch_nn.AdaptiveMaxPool2d and module.output_size in (1, (1, 1)):
        return [nn.GlobalMaxPool2D()]
    if kind is torch_nn.MaxPool2d and pair(module.dilation) == (1, 1) and not module.return_indices:
        return [nn.MaxPool2D(**pooling_geometry(module))]
    if kind is torch_nn.AvgPool2d and module.divisor_override is None:
        return [nn.AvgPool2D(**pooling_geometry(module),
                             count_include_pad=module.count_include_pad)]
    raise unknown(module)


def unknown(module: Any) -> InputError:
    return InputError(f"from_torch does not know how to convert {module}; it converts Sequential, "
                      "Conv2d, Linear, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d and "
                      "AdaptiveMaxPool2d to one pixel, Dropout, Flatten, "
                      f"{', '.join(ACTIVATIONS.values())}.")


def sequence_to_layers(sequence: "Iterable[torch_nn.Module]") -> "List[HybridBlock]":
    """The Gluon layers of a sequence; activations become part of the layers before them."""
    layers: List[HybridBlock] = []
    modules = list(sequence)
    while modules:
        module = modules.pop(0)
        if type(module) in (torch_nn.Conv2d, torch_nn.Linear):
            activation = activation_name(modules[0]) if modules else None
            if activation:
                del modules[0]
            layers.append(weighted_to_gluon(module, activation))
        else:
            layers.extend(to_layers(module))
    return layers


def activation_name(module: Any) -> Optional[str]:
    """Gluon's name for a PyTorch activation; None if Gluon does not have it."""
    if type(module) is torch_nn.Softplus and (module.beta, module.threshold) != (1, 20):
        return None
    return {getattr(torch_nn, theirs): ours for ours, theirs in ACTIVATIONS.items()}.get(
        type(module))


def weighted_to_gluon(module: Any, activation: Optional[str]) -> "HybridBlock":
    """A convolution or dense layer with its parameters."""
    bias = module.bias is not None
    if isinstance(module, torch_nn.Linear):
        layer = nn.Dense(module.out_features, activation, use_bias=bias, flatten=False,
                         in_units=module.in_features)
    elif module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise InputError(f"from_torch converts convolutions padded with zeros by so many pixels; "
                         f"{module} is not.")
    else:
        layer = nn.Conv2D(module.out_channels, module.kernel_size, module.stride, module.padding,
                          module.dilation, module.groups, activation=activation, use_bias=bias,
                          in_channels=module.in_channels)
    set_parameter(layer.weight, module.weight)
    if bias:
        set_parameter(layer.bias, module.bias)
    return layer


def set_parameter(parameter: "Parameter", values: "torch.Tensor") -> None:
    """Initialize a Gluon parameter with a PyTorch parameter's values."""
    if values.dtype not in (torch.float16, torch.float32, torch.float64):
        raise InputError("from_torch converts float16, float32 and float64 parameters; this one is "
                         f"{values.dtype}: call .float() of the module first.")
    array = values.detach().cpu().contiguous().numpy()
    parameter.cast(array.dtype)
    if not values.requires_grad:
        parameter.grad_req = "null"
    parameter.initialize(mx.init.Zero(), ctx=mx.context.current_context())  # draws nothing
    parameter.set_data(mx.nd.array(array, dtype=array.dtype))


def pooling_geometry(module: Any) -> Dict[str, Any]:
    """Window, strides, padding and rounding of a PyTorch pooling, as Gluon's pooling takes them."""
    kernel, stride, pad = map(pair, (module.kernel_size, module.stride, module.padding))
    if module.ceil_mode:
        check_rounding_up(module, kernel, stride, pad)
    return {"pool_size": kernel, "strides": stride, "padding": pad, "ceil_mode": module.ceil_mode}


def pair(size: Any) -> Tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)
