"""What can be told of a net by arithmetic: layer shapes, parameters, MACs, smallest input."""

from math import prod
from typing import NamedTuple, Tuple

import mxnet as mx
from mxnet.gluon import nn

from nin_gluon.errors import InputError

__all__ = ["LayerRow", "NiN", "layer_table", "leaves", "receptive_field",
           "smallest_input", "title"]


class LayerRow(NamedTuple):
    """One layer of a net for one input shape."""

    name: str
    output: Tuple[int, ...]
    parameters: int
    macs: int  # multiply-adds of its convolutions and dense layers; FLOPs are twice that
    values: int  # that its operations put out; a convolution and the ReLU after it each count


def leaves(block):
    """The layers without layers inside, in the order in which they were added."""
    children = list(block._children.values())
    # An activation inside a convolution is a child of it, yet the convolution is the layer.
    if not children or hasattr(block, "weight"):
        return [block]
    return [leaf for child in children for leaf in leaves(child)]


def title(leaf):
    """What a layer is, in words: ``11x11 convolution, stride 4``."""
    window = getattr(leaf, "_kwargs", {})
    if window.get("global_pool"):
        return f"global {window['pool_type']} pooling"
    if "kernel" not in window:
        return type(leaf).__name__.lower()
    kind = f"{window['pool_type']} pooling" if "pool_type" in window else "convolution"
    size, stride = ("x".join(map(str, window[name])) for name in ("kernel", "stride"))
    stride = "" if set(window["stride"]) == {1} else f", stride {stride.split('x')[0]}"
    return f"{size} {kind}{stride}"


def layer_table(net, input_shape, inside=False):
    """Shapes, parameters and MACs of each layer, without computing or allocating anything.

    Parameters
    ----------
    net : HybridSequential
        Need not be initialized.
    input_shape : tuple of int
        (batch, channels, height, width).
    inside : bool
        Whether the layers inside the blocks get a row each, in place of the blocks.

    Returns
    -------
    list of LayerRow
        One for each child of `net`, or for each layer inside them.

    Raises
    ------
    InputError
        Height or width is below `smallest_input`.
    """
    check_size(net, input_shape)
    rows, x, before = [], mx.sym.var("data"), set()
    for layer in leaves(net) if inside else net:
        x = layer(x)
        internals = x.get_internals()
        arguments, outputs, _ = internals.infer_shape(data=input_shape)
        shapes = dict(zip(internals.list_outputs(), outputs))
        shapes.update(zip(internals.list_arguments(), arguments))
        made = set(shapes) - set(internals.list_inputs())
        values = sum(prod(shapes[name]) for name in made - before)
        before, macs = made, 0
        for leaf in leaves(layer):
            if hasattr(leaf, "weight"):
                batch, _, *pixels = shapes[leaf.name + "_fwd_output"]
                macs += batch * prod(pixels) * prod(shapes[leaf.weight.name])
        parameters = sum(prod(shapes[name]) for name in layer.collect_params())
        rows.append(LayerRow(layer.name, outputs[-1], parameters, macs, values))
    return rows


def smallest_input(net):
    """Smallest (height, width) in pixels that leaves at least one pixel in every layer of `net`.

    Computed backwards: k pixels of kernel, s of stride and p of padding make n outputs from
    (n - 1) s + k - 2 p inputs, or, where sizes are rounded up, from s - 1 fewer unless n is 1.
    """
    size = (1, 1)
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


def dense_input(net, input_shape):
    """What the first dense layer of `net` takes, if it takes whole maps, for images of a shape.

    Along each axis n pixels become (n + 2 p - k) / s + 1, rounded down, or up where the layer says
    so; a kernel of k pixels that are d apart counts as one of (k - 1) d + 1.

    Returns
    -------
    (int, int) or None
        How many values an image gives it, and how many its weights are for, 0 if that is still
        open; None if there is no such layer.
    """
    _, channels, *size = input_shape
    flat = False
    for leaf in leaves(net):
        window = getattr(leaf, "_kwargs", {})
        flat = flat or isinstance(leaf, nn.Flatten)
        if isinstance(leaf, nn.Dense):
            return (channels * prod(size), leaf.weight.shape[1]) if flat or leaf._flatten else None
        if "kernel" not in window:
            continue
        channels = window.get("num_filter", channels)
        up = window.get("pooling_convention") == "full"
        per_axis = zip(size, window["kernel"], window["stride"], window["pad"],
                       window.get("dilate", (1, 1)))
        size = [1 if window.get("global_pool") else
                (n + 2 * p - (k - 1) * d - 1 + (s - 1) * up) // s + 1 for n, k, s, p, d in per_axis]
    return None


def receptive_field(net):
    """Where in the image the values of a net's maps are from, along each axis.

    Computed forwards: a layer of k pixels of kernel, s of stride and p of padding, on values that
    are d pixels apart, moves the first value's centre by ((k - 1) / 2 - p) d, widens what a value
    sees by (k - 1) d, and leaves values that are s d apart.

    Parameters
    ----------
    net : HybridSequential
        Of convolutions and poolings, and what works value by value.

    Returns
    -------
    list of (float, int, int)
        For height and width: the centre of what the first value sees, in pixels from the image's
        edge; how far apart the centres of neighbours are; and how many pixels each value sees, of
        which some may lie in the padding.
    """
    axes = [(0.5, 1, 1), (0.5, 1, 1)]
    for leaf in leaves(net):
        window = getattr(leaf, "_kwargs", {})
        if "kernel" in window:
            per_axis = zip(axes, window["kernel"], window["stride"], window["pad"])
            axes = [(centre + ((k - 1) / 2 - p) * step, s * step, seen + (k - 1) * step)
                    for (centre, step, seen), k, s, p in per_axis]
    return axes


def check_size(net, input_shape):
    """Raise `InputError` unless `net` can take (batch, channels, height, width).

    The images must be large enough, and where the head is a dense layer that has its parameters,
    of the size that they were made for.
    """
    smallest = smallest_input(net)
    if len(input_shape) != 4:
        raise InputError(f"the net takes (batch, channels, height, width), not {input_shape}.")
    if any(n < least for n, least in zip(input_shape[2:], smallest)):
        raise InputError(
            f"an input of {input_shape[2]}x{input_shape[3]} pixels is too small for this net: "
            f"nothing would be left before the average; the smallest is "
            f"{smallest[0]}x{smallest[1]}."
        )
    found, wanted = dense_input(net, input_shape) or (0, 0)
    if wanted and found != wanted:
        raise InputError(
            f"an input of {input_shape[2]}x{input_shape[3]} pixels gives the dense layer of this "
            f"net {found} values instead of {wanted}; with such a head all images must be of the "
            "size of the first ones."
        )


class NiN(nn.HybridSequential):
    """A HybridSequential that says so when its input is too small for it.

    Raises `InputError` where a plain one would fail deep inside MXNet. (A forward hook would do
    the same, were hooks not dropped, with a warning, when a net is hybridized.)
    """

    def __call__(self, x, *args):
        if isinstance(x, mx.nd.NDArray):  # a symbol has no shape yet
            check_size(self, x.shape)
        return super().__call__(x, *args)

    def _alias(self):
        return "hybridsequential"  # layers and parameters are named as in a plain one
