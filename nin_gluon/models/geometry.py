"""What arithmetic alone tells about a net: shapes, parameters, MACs, receptive field, input size.

Nothing is computed on images, and the net need not be initialized.
"""

from math import prod
from typing import TYPE_CHECKING, Any, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

import mxnet as mx
from mxnet.gluon import nn

from nin_gluon.errors import InputError

if TYPE_CHECKING:
    from mxnet.gluon import Block

__all__ = ["LayerRow", "check_input", "dense_input", "layer_table", "leaves", "receptive_field",
           "smallest_input", "title"]


class LayerRow(NamedTuple):
    """One layer of a net, for one input shape."""

    name: str
    output: Tuple[int, ...]
    parameters: int
    macs: int  # multiply-adds of its convolutions and dense layers; FLOPs are twice that
    values: int  # outputs of all its operations; a convolution and its ReLU each count


def leaves(block: "Block") -> "List[Block]":
    """The layers that hold no other layers, in the order in which they were added."""
    children = list(block._children.values())
    # An activation inside a convolution is a child of it, yet the convolution is the layer.
    if not children or hasattr(block, "weight"):
        return [block]
    return [leaf for child in children for leaf in leaves(child)]


def title(leaf: "Block") -> str:
    """A layer in words: ``11x11 convolution, stride 4``."""
    window = getattr(leaf, "_kwargs", {})
    if window.get("global_pool"):
        return f"global {window['pool_type']} pooling"
    if "kernel" not in window:
        return type(leaf).__name__.lower()
    kind = f"{window['pool_type']} pooling" if "pool_type" in window else "convolution"
    size, stride = ("x".join(map(str, window[name])) for name in ("kernel", "stride"))
    stride = "" if set(window["stride"]) == {1} else f", stride {stride.split('x')[0]}"
    return f"{size} {kind}{stride}"


# ------------------------------------------------------------------ shapes and cost


def layer_table(net: "Block", input_shape: Sequence[int], inside: bool = False) -> List[LayerRow]:
    """Shapes, parameters and MACs of each layer; computes and allocates nothing.

    Parameters
    ----------
    net : HybridSequential
        Need not be initialized.
    input_shape : tuple of int
        (batch, channels, height, width).
    inside : bool
        Give each layer inside the blocks a row, instead of the blocks.

    Returns
    -------
    list of LayerRow
        One for each child of `net`, or for each layer inside them.

    Raises
    ------
    InputError
        The net cannot take such an input; see `check_input`.
    """
    check_input(net, input_shape)
    x: Any = mx.sym.var("data")
    before: Set[str] = set()
    rows = []
    for layer in leaves(net) if inside else net:
        x = layer(x)
        internals = x.get_internals()
        arguments, outputs, _ = internals.infer_shape(data=input_shape)
        shapes = dict(zip(internals.list_outputs(), outputs))
        shapes.update(zip(internals.list_arguments(), arguments))
        made = set(shapes) - set(internals.list_inputs())
        rows.append(LayerRow(
            layer.name, outputs[-1],
            parameters=sum(prod(shapes[name]) for name in layer.collect_params()),
            macs=sum(leaf_macs(leaf, shapes) for leaf in leaves(layer)),
            values=sum(prod(shapes[name]) for name in made - before)))
        before = made
    return rows


def leaf_macs(leaf: "Block", shapes: dict) -> int:
    """Multiply-adds of one layer, given the shapes of all outputs and parameters by name."""
    if not hasattr(leaf, "weight"):
        return 0
    batch, _, *pixels = shapes[leaf.name + "_fwd_output"]
    return batch * prod(pixels) * prod(shapes[leaf.weight.name])


def receptive_field(net: "Block") -> List[Tuple[float, int, int]]:
    """Which pixels of the image the values of a net's maps depend on, along each axis.

    Computed forwards. Take a layer with k pixels of kernel, s of stride and p of padding, whose
    input values are d pixels apart. It moves the centre of the first value by ((k - 1) / 2 - p) d,
    widens the receptive field by (k - 1) d, and leaves values that are s d apart.

    Parameters
    ----------
    net : HybridSequential
        Of convolutions, poolings, and layers that work value by value.

    Returns
    -------
    list of (float, int, int)
        For height and for width: the centre of the first value's receptive field, in pixels from
        the edge of the image; the distance between the centres of neighbours; and the size of each
        receptive field, part of which may lie in the padding.
    """
    axes = [(0.5, 1, 1), (0.5, 1, 1)]
    for leaf in leaves(net):
        window = getattr(leaf, "_kwargs", {})
        if "kernel" in window:
            per_axis = zip(axes, window["kernel"], window["stride"], window["pad"])
            axes = [(centre + ((k - 1) / 2 - p) * step, s * step, seen + (k - 1) * step)
                    for (centre, step, seen), k, s, p in per_axis]
    return axes


# ------------------------------------------------------------------ what a net can take


def check_input(net: "Block", input_shape: Sequence[int]) -> None:
    """Raise `InputError` unless `net` can take (batch, channels, height, width).

    The images must be large enough. A dense layer that already has its parameters accepts only
    images of the size that they were made for.
    """
    if len(input_shape) != 4:
        raise InputError(f"the net takes (batch, channels, height, width), not {input_shape}.")
    height, width = input_shape[2:]
    smallest = smallest_input(net)
    if height < smallest[0] or width < smallest[1]:
        raise InputError(
            f"an input of {height}x{width} pixels is too small for this net: nothing would be left "
            f"before the average; the smallest is {smallest[0]}x{smallest[1]}.")
    found, expected = dense_input(net, input_shape) or (0, 0)
    if expected and found != expected:
        raise InputError(
            f"an input of {height}x{width} pixels gives the dense layer of this net {found} values "
            f"instead of {expected}; with such a head all images must be of the size of the first "
            "ones.")


def smallest_input(net: "Block") -> Tuple[int, ...]:
    """The smallest (height, width) in pixels that leaves at least one pixel after every layer.

    Computed backwards: k pixels of kernel, s of stride and p of padding make n outputs from
    (n - 1) s + k - 2 p inputs. If sizes are rounded up and n is above 1, s - 1 fewer will do.
    """
    size: Tuple[int, ...] = (1, 1)
    for leaf in reversed(leaves(net)):
        window = getattr(leaf, "_kwargs", {})
        if "kernel" not in window:
            continue
        if window.get("global_pool"):
            size = (1, 1)
        else:
            up = window.get("pooling_convention") == "full"
            per_axis = zip(size, window["kernel"], window["stride"], window["pad"])
            size = tuple(max(1, (n - 1) * s + k - 2 * p - (s - 1) * (up and n > 1))
                         for n, k, s, p in per_axis)
    return size


def dense_input(net: "Block", input_shape: Sequence[int]) -> Optional[Tuple[int, int]]:
    """How many values the first dense layer of `net` gets from an image, if it takes whole maps.

    Returns
    -------
    (int, int) or None
        How many values an image of this shape gives it, and how many its weights are made for, 0
        if that is still open. None if there is no such layer.
    """
    _, channels, *size = input_shape
    flat = False
    for leaf in leaves(net):
        window = getattr(leaf, "_kwargs", {})
        flat = flat or isinstance(leaf, nn.Flatten)
        if isinstance(leaf, nn.Dense):
            return (channels * prod(size), leaf.weight.shape[1]) if flat or leaf._flatten else None
        if "kernel" in window:
            channels = window.get("num_filter", channels)
            size = output_size(window, size)
    return None


def output_size(window: dict, size: Iterable[int]) -> List[int]:
    """The size of a convolution's or pooling's output, along each axis.

    n pixels become (n + 2 p - k) / s + 1, rounded down, or up if the layer says so. A kernel of k
    pixels that are d apart counts as one of (k - 1) d + 1.
    """
    up = window.get("pooling_convention") == "full"
    per_axis = zip(size, window["kernel"], window["stride"], window["pad"],
                   window.get("dilate", (1, 1)))
    return [1 if window.get("global_pool") else
            (n + 2 * p - (k - 1) * d - 1 + (s - 1) * up) // s + 1 for n, k, s, p, d in per_axis]
