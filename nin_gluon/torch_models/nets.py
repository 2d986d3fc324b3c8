"""The nets in PyTorch, with the options and the order of parameters of the Gluon nets.

The sources are those of the Gluon nets, which the files beside this one name. As in Gluon, a layer
learns how many input channels it has from the first batch.
"""

import warnings
from typing import Any, Callable, Dict, List, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from nin_gluon.errors import InputError
from nin_gluon.model_options import check_inner, check_last, check_options, choose, last_channels
from nin_gluon.pretrained import Weights, read_packaged

__all__ = ["MODELS", "check_size", "cifar_nin", "cost", "get_model", "give_weights", "known_net",
           "maps_and_head", "mlpconv", "mlpconv_nin", "nin", "nin_block", "nin_variant",
           "receptive_field", "smallest_input"]

Size = Union[int, Tuple[int, int]]  # in pixels: one number for both axes, or (height, width)


def get_model(name: str, *, pretrained: bool = False, **options: Any) -> nn.Sequential:
    """Build a net by its name, as `nin_gluon.models.get_model` does."""
    build, chosen = choose(name, MODELS, options)
    net: nn.Sequential = build(**chosen)
    return give_weights(net, read_packaged(name.split(",")[0].strip())) if pretrained else net


def known_net(name: str, channels: int, size: int) -> nn.Sequential:
    """A net whose parameters have the shapes for images of size x size pixels.

    Raises
    ------
    InputError
        The name or an option is unknown, or the net cannot take such images.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that PyTorch's lazy layers are new
        net = get_model(name)
    check_size(net, size)
    with torch.no_grad():
        net(torch.zeros(1, channels, size, size))
    return net


@torch.no_grad()
def give_weights(net: nn.Sequential, weights: Weights) -> nn.Sequential:
    """Give a net the parameters of a trained net; return it in evaluation mode (dropout off)."""
    made_of = weights.preprocessing
    check_size(net, made_of.resize)
    net.eval()(torch.zeros(1, made_of.channels, made_of.resize, made_of.resize))
    parameters = list(net.parameters())
    for parameter, value in zip(parameters,
                                weights.for_net([tuple(p.shape) for p in parameters])):
        parameter.copy_(torch.from_numpy(value))
    return net


# ------------------------------------------------------------------ the chapter's


def nin_block(num_channels: int, kernel_size: Size, strides: Size, padding: Size) -> nn.Sequential:
    """One convolution, then two 1x1 convolutions; a ReLU after each."""
    return nn.Sequential(
        nn.LazyConv2d(num_channels, kernel_size, strides, padding), nn.ReLU(),
        nn.LazyConv2d(num_channels, kernel_size=1), nn.ReLU(),
        nn.LazyConv2d(num_channels, kernel_size=1), nn.ReLU(),
    )


def nin(classes: int = 10, dropout: float = 0.5, head: str = "gap") -> nn.Sequential:
    """The chapter's net; see `nin_gluon.models.nin.nin`."""
    check_options(classes, dropout, head)
    return nn.Sequential(
        nin_block(96, kernel_size=11, strides=4, padding=0),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nin_block(256, kernel_size=5, strides=1, padding=2),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nin_block(384, kernel_size=3, strides=1, padding=1),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Dropout(dropout),
        nin_block(classes, kernel_size=3, strides=1, padding=1),
        *head_layers(head, classes),
    )


def head_layers(head: str, classes: int) -> List[nn.Module]:
    """The layers that turn maps (batch, classes, height, width) into scores (batch, classes).

    See `nin_gluon.models.head.head_layers`.
    """
    if head == "gap":
        return [nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()]
    dropout = [nn.Dropout(0.5)] if head == "fc_dropout" else []
    return [nn.Flatten(), *dropout, nn.LazyLinear(classes)]


# ------------------------------------------------------------------ other editions and variants


def mlpconv(channels: int, kernel_size: Size, padding: Size, strides: Size = 1,
            max_pooling: bool = True) -> nn.Sequential:
    """A NiN block and a 3x3 max pooling of stride 2."""
    pooling = [nn.MaxPool2d(kernel_size=3, stride=2)] if max_pooling else []
    return nn.Sequential(*nin_block(channels, kernel_size, strides, padding), *pooling)


def mlpconv_nin(classes: int = 10, dropout: float = 0.5, head: str = "gap") -> nn.Sequential:
    """The mlpconv edition's net; see `nin_gluon.models.mlpconv.mlpconv_nin`."""
    check_options(classes, dropout, head)
    return nn.Sequential(
        mlpconv(96, kernel_size=11, padding=0, strides=4),
        mlpconv(256, kernel_size=5, padding=2),
        mlpconv(384, kernel_size=3, padding=1),
        nn.Dropout(dropout),
        mlpconv(classes, kernel_size=3, padding=1, max_pooling=False),
        *head_layers(head, classes),
    )


def chain(channels: Sequence[int], kernel_size: int, strides: int = 1, padding: int = 0,
          inner_kernel: int = 1, bias: float = 0.0, last_relu: int = 1) -> nn.Sequential:
    """A convolution, then others that keep the size; a ReLU after each.

    `nin_gluon.torch_models.initializer` starts the biases from `bias`.
    """
    first, *rest = channels
    layers: List[nn.Module] = [nn.LazyConv2d(first, kernel_size, strides, padding), nn.ReLU()]
    for number in rest:
        layers += [nn.LazyConv2d(number, inner_kernel, padding=inner_kernel // 2), nn.ReLU()]
    for layer in layers[::2]:
        layer.first_bias = bias  # type: ignore[assignment]
    return nn.Sequential(*layers if last_relu else layers[:-1])


def cifar_nin(classes: int = 10, dropout: float = 0.5, head: str = "gap") -> nn.Sequential:
    """The paper's net for CIFAR-10; see `nin_gluon.models.cifar_nin.cifar_nin`."""
    check_options(classes, dropout, head)
    return nn.Sequential(
        chain((192, 160, 96), kernel_size=5, padding=2),
        # Rounded up, as in Caffe: 32 pixels become 16, then 8.
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        nn.Dropout(dropout),
        chain((192, 192, 192), kernel_size=5, padding=2),
        nn.AvgPool2d(kernel_size=3, stride=2, ceil_mode=True),
        nn.Dropout(dropout),
        chain((192, 192, classes), kernel_size=3, padding=1),
        *head_layers(head, classes),
    )


def nin_variant(classes: int = 10, dropout: float = 0.5, head: str = "gap", inner: int = 2,
                inner_kernel: int = 1, reduce: str = "", last_relu: int = 1,
                last_bias: float = 0.0) -> nn.Sequential:
    """A variant of the chapter's net; see `nin_gluon.models.variants.nin_variant`."""
    check_options(classes, dropout, head)
    check_inner(inner, inner_kernel)
    check_last(last_relu, last_bias)
    last = last_channels(classes, inner, reduce)
    return nn.Sequential(
        chain([96] * (1 + inner), 11, strides=4, padding=0, inner_kernel=inner_kernel),
        nn.MaxPool2d(kernel_size=3, stride=2),
        chain([256] * (1 + inner), 5, padding=2, inner_kernel=inner_kernel),
        nn.MaxPool2d(kernel_size=3, stride=2),
        chain([384] * (1 + inner), 3, padding=1, inner_kernel=inner_kernel),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Dropout(dropout),
        chain(last, 3, padding=1, inner_kernel=inner_kernel, bias=last_bias, last_relu=last_relu),
        *head_layers(head, classes),
    )


MODELS: Dict[str, Callable[..., nn.Sequential]] = {
    "nin": nin,
    "mlpconv_nin": mlpconv_nin,
    "cifar_nin": cifar_nin,
    "nin_variant": nin_variant,
}


# ------------------------------------------------------------------ what a net can take


def check_size(net: nn.Module, size: int) -> None:
    """Raise `InputError` if images of size x size pixels are too small for the net."""
    smallest = smallest_input(net)
    if size < smallest:
        raise InputError(
            f"an input of {size}x{size} pixels is too small for this net: nothing would be left "
            f"before the average; the smallest is {smallest}x{smallest}.")


def smallest_input(net: nn.Module) -> int:
    """The smallest edge in pixels that leaves at least one pixel after every layer.

    Of nets whose windows are square; see `nin_gluon.models.geometry.smallest_input`.
    """
    size = 1
    for layer in reversed(list(net.modules())):
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            size = 1
        elif hasattr(layer, "kernel_size"):
            k, s, p = (first(getattr(layer, name)) for name in ("kernel_size", "stride", "padding"))
            up = getattr(layer, "ceil_mode", False)
            size = max(1, (size - 1) * s + k - 2 * p - (s - 1) * (up and size > 1))
    return size


def cost(net: nn.Module, channels: int, size: int) -> Tuple[int, int]:
    """Parameters of a net of known shapes, and MACs of one image of size x size pixels.

    Counted as in `nin_gluon.models.geometry.layer_table`: the products of convolutions and dense
    layers, without biases.
    """
    macs = []

    def count(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        macs.append(output[0].numel() * layer.weight[0].numel())  # type: ignore[index,union-attr]

    handles = [layer.register_forward_hook(count) for layer in net.modules()
               if isinstance(layer, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        net(torch.zeros(1, channels, size, size))
    for handle in handles:
        handle.remove()
    return sum(parameter.numel() for parameter in net.parameters()), sum(macs)


def receptive_field(net: nn.Module) -> List[Tuple[float, int, int]]:
    """Which pixels the values of a net's maps depend on, for height and for width.

    Of nets whose windows are square; see `nin_gluon.models.geometry.receptive_field`.
    """
    centre, step, seen = 0.5, 1, 1
    for layer in net.modules():
        if hasattr(layer, "kernel_size"):
            k, s, p = (first(getattr(layer, name)) for name in ("kernel_size", "stride", "padding"))
            centre, step, seen = centre + ((k - 1) / 2 - p) * step, s * step, seen + (k - 1) * step
    return [(centre, step, seen)] * 2


def maps_and_head(net: nn.Module) -> Tuple[nn.Sequential, nn.Sequential]:
    """Split a net in two: up to the maps of the classes, and the head.

    See `nin_gluon.models.head.maps_and_head`.
    """
    layers = list(net.children())
    end = 1 + max(i for i, layer in enumerate(layers)
                  if any(isinstance(inner, nn.Conv2d) for inner in layer.modules()))
    return nn.Sequential(*layers[:end]), nn.Sequential(*layers[end:])


def first(value: Any) -> int:
    """The first of a pair of equal numbers, or the number."""
    number: int = value[0] if isinstance(value, tuple) else value
    return number
