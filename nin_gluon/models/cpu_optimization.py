"""Functions that compute the same as a net, but faster on a CPU: one to train it, one to use it.

The net itself stays as it was written. An optimized function shares its parameters and gives its
scores and gradients up to rounding, but avoids what oneDNN computes slowly. If there is nothing to
gain, the function is the net itself.
"""

import warnings
import weakref
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from nin_gluon import runtime
from nin_gluon.models.base import NiN
from nin_gluon.models.geometry import check_input

__all__ = ["optimize_for_inference", "optimize_for_training"]

Forward = Callable[[nd.NDArray], nd.NDArray]

BLOCK = 16  # channels that oneDNN's AVX-512 kernels process together
AMX_BLOCK = 32  # the same for kernels that use the AMX matrix units


def optimize_for_inference(net: gluon.Block) -> Forward:
    """A function that computes what `net` computes now, for use outside of training.

    oneDNN runs each convolution and the ReLU after it in one pass over memory. The function keeps a
    copy of the parameters in oneDNN's layout, made at its first call. So get a new function after
    training.

    Parameters
    ----------
    net : Block
        Initialized.

    Returns
    -------
    callable
        NDArray (batch, channels, height, width) float32 -> scores, as `net`.
    """
    if not can_be_optimized(net):
        return net
    data = mx.sym.var("data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the dtype of the data is not known yet
        fused = gluon.SymbolBlock(net(data).get_backend_symbol("MKLDNN"), data,
                                  params=net.collect_params())
    fused.hybridize(static_alloc=True, static_shape=True)

    def forward(X: nd.NDArray) -> nd.NDArray:
        if isinstance(net, NiN):
            check_input(net, X.shape)
        return fused(X)

    weakref.finalize(forward, fused._clear_cached_op)  # see `optimize_for_training`
    return forward


def optimize_for_training(net: gluon.Block) -> Forward:
    """A function that computes what `net` computes, with gradients for the parameters of `net`.

    It changes three things in a chain of layers. Together they make a bfloat16 step of the
    chapter's net 5 to 12 % faster. (In float32 they gain 2 % and cost memory, so nothing here uses
    them for float32.)

    - A ReLU before a max pooling moves behind it, where only a quarter of the values is left. The
      largest value above 0 is the same either way, and so is the place its gradient goes to.
    - `SpaceToDepth` replaces a first convolution of large kernel and stride on few channels.
    - A 3x3 or larger convolution to only a few channels, the classes, computes `BLOCK` channels,
      for which oneDNN has optimized kernels. The surplus is cut off.

    Parameters
    ----------
    net : Block
        Initialized. The shapes of its parameters may still depend on the first batch.

    Returns
    -------
    callable
        NDArray (batch, channels, height, width) float32 -> scores, as `net`.
    """
    if not (can_be_optimized(net) and isinstance(net, nn.HybridSequential)):
        return net
    chains: Dict[Tuple[int, ...], nn.HybridSequential] = {}  # one for each image size

    def forward(X: nd.NDArray) -> nd.NDArray:
        size = X.shape[1:]
        if size not in chains:
            if isinstance(net, NiN):
                check_input(net, X.shape)
            net.infer_shape(X)
            for parameter in net.collect_params().values():
                parameter._finish_deferred_init()
            net._build_cache(X)  # net.export needs it, and the net itself is never called
            chains[size] = optimized_chain(net, size)
        return chains[size](X)

    # A block is part of a reference cycle. Without this its memory, as much as one training step
    # takes, would stay until Python happens to look for cycles.
    weakref.finalize(forward, lambda: [chain._clear_cached_op() for chain in chains.values()])
    return forward


def can_be_optimized(net: gluon.Block) -> bool:
    """Whether the net is hybridized, in float32 and on CPUs, and MXNet has oneDNN."""
    parameters = net.collect_params().values()
    # A Block that is not hybridized, or has its own `forward`, may do what no symbol can.
    hybridized = (isinstance(net, gluon.HybridBlock) and net._active
                  and type(net).forward is gluon.HybridBlock.forward)
    return bool(hybridized and all(np.dtype(p.dtype) == np.float32 for p in parameters)
                and all(ctx.device_type == "cpu" for p in parameters for ctx in p.list_ctx())
                and mx.runtime.Features().is_enabled("MKLDNN"))


def optimized_chain(net: nn.HybridSequential, size: Sequence[int]) -> nn.HybridSequential:
    """The layers to train with on images of one size (channels, height, width), hybridized."""
    layers, chain, relu_is_due = list(links(net)), nn.HybridSequential(), False
    for layer, following in zip(layers, [*layers[1:], None]):
        if type(layer) is not nn.Conv2D:
            chain.add(layer)
            if relu_is_due:
                chain.add(nn.Activation("relu"))
            relu_is_due = False
            continue
        relu_is_due = (type(following) is nn.MaxPool2D and layer.act is not None
                       and layer.act._act_type == "relu")
        if layer is layers[0] and SpaceToDepth.suits(layer):
            chain.add(SpaceToDepth(layer, size[1], size[2], not relu_is_due))
        else:
            chain.add(Convolution(layer, not relu_is_due))
    chain.hybridize(static_alloc=True, static_shape=True)
    return chain


def links(block: gluon.Block) -> Iterator[gluon.Block]:
    """The layers of a chain, one after the other; a block of another kind counts as one layer."""
    if type(block) in (nn.HybridSequential, NiN):
        for child in block:
            yield from links(child)
    else:
        yield block


class Convolution(nn.HybridBlock):
    """A Conv2D that uses the parameters of another, with or without its activation."""

    def __init__(self, conv: nn.Conv2D, activate: bool) -> None:
        super().__init__()
        self.params.update(conv.params)
        self.weight, self.bias = conv.weight, conv.bias
        self.settings, self.act = conv._kwargs, conv.act if activate else None
        channels, inputs, *kernel = conv.weight.shape
        few = channels < BLOCK <= inputs and min(kernel) > 1 and self.settings["num_group"] == 1
        self.extra = BLOCK - channels if few else 0
        if self.extra:
            self.no_weight = constant(self, "no_weight", (self.extra, inputs, *kernel))
            self.no_bias = constant(self, "no_bias", (self.extra,)) if conv.bias else None

    def hybrid_forward(self, F: Any, x: Any, weight: Any, bias: Any = None, no_weight: Any = None,
                       no_bias: Any = None) -> Any:
        channels = self.settings["num_filter"]
        if self.extra:
            weight = F.concat(weight, no_weight, dim=0)
            bias = None if bias is None else F.concat(bias, no_bias, dim=0)
        x = convolve(F, x, weight, bias, **{**self.settings, "num_filter": channels + self.extra})
        if self.extra:
            x = F.slice_axis(x, axis=1, begin=0, end=channels)
        return x if self.act is None else self.act(x)


class SpaceToDepth(nn.HybridBlock):
    """A Conv2D of large kernel and stride s, computed in two steps with the same parameters.

    The first step turns each square of s x s pixels into one pixel with s x s times as many
    channels. It is a convolution whose kernels hold a single 1, and it needs no gradient. The
    second step is a convolution of stride 1 with the same weights in another order. The chapter's
    11x11 convolution of stride 4 on 1 channel becomes a 3x3 one on 16. With a kernel for only one
    channel, oneDNN's backward pass would convert the 54x54 maps to other layouts and back.
    """

    def __init__(self, conv: nn.Conv2D, height: int, width: int, activate: bool) -> None:
        super().__init__()
        self.params.update(conv.params)
        self.weight, self.bias = conv.weight, conv.bias
        self.act = conv.act if activate else None
        self.filters, self.inputs, self.kernel, _ = conv.weight.shape
        self.stride = conv._kwargs["stride"][0]
        self.cells = -(-self.kernel // self.stride)  # kernel size of the second convolution
        self.margin = self.cells * self.stride - self.kernel
        # Zeros to append if whole squares do not reach as far as the padded kernel.
        self.pad = [self.margin if (n + self.margin) // self.stride > n // self.stride else 0
                    for n in (height, width)]
        self.channels = self.inputs * self.stride**2
        amx = runtime.precision() == "bfloat16" and "amx_bf16" in runtime.cpu_flags()
        self.extra = -self.channels % (AMX_BLOCK if amx else BLOCK)
        self.squares = constant(self, "squares", mx.nd.eye(
            self.channels + self.extra, self.channels).reshape(
                (-1, self.inputs, self.stride, self.stride)))
        if self.extra:
            self.no_weight = constant(self, "no_weight",
                                      (self.filters, self.extra, self.cells, self.cells))

    @staticmethod
    def suits(conv: nn.Conv2D) -> bool:
        """Whether this class can replace the Conv2D."""
        _, inputs, *kernel = conv.weight.shape
        settings = conv._kwargs
        stride = settings["stride"][0]
        return (settings["stride"] == (stride, stride) and kernel[0] == kernel[1] > stride > 1
                and settings["pad"] == (0, 0) and settings["dilate"] == (1, 1)
                and settings["num_group"] == 1 and inputs * stride**2 <= AMX_BLOCK)

    def hybrid_forward(self, F: Any, x: Any, weight: Any, squares: Any, bias: Any = None,
                       no_weight: Any = None) -> Any:
        s, cells, margin = self.stride, self.cells, self.margin
        x = append_zeros(F, x, *self.pad)
        x = convolve(F, x, squares, kernel=(s, s), stride=(s, s),
                     num_filter=self.channels + self.extra)

        weight = append_zeros(F, weight, margin, margin)
        weight = weight.reshape((self.filters, self.inputs, cells, s, cells, s))
        weight = weight.transpose((0, 1, 3, 5, 2, 4))
        weight = weight.reshape((self.filters, self.channels, cells, cells))
        if self.extra:
            weight = F.concat(weight, no_weight, dim=1)
        x = convolve(F, x, weight, bias, kernel=(cells, cells), num_filter=self.filters)
        return x if self.act is None else self.act(x)


def append_zeros(F: Any, x: Any, rows: int, columns: int) -> Any:
    """(batch, channels, height, width) -> the same with so many rows and columns of zeros more.

    F.pad does the same, but it computes every index anew: at 67x67 it took a tenth of a step.
    """
    for axis, count in ((2, rows), (3, columns)):
        if count:
            zeros = F.zeros_like(F.slice_axis(x, axis=axis, begin=0, end=count))
            x = F.concat(x, zeros, dim=axis)
    return x


def constant(block: gluon.Block, name: str,
             value: Union[nd.NDArray, Tuple[int, ...]]) -> gluon.Parameter:
    """A constant parameter of a block: an array, or zeros of a shape.

    (Not F.eye and F.zeros, because mixed precision fails on operators without inputs.)
    """
    value = mx.nd.zeros(value) if isinstance(value, tuple) else value
    parameter = block.params.get_constant(name, value)
    parameter.initialize(ctx=block.weight.list_ctx())
    return parameter


def convolve(F: Any, x: Any, weight: Any, bias: Optional[Any] = None, **settings: Any) -> Any:
    """F.Convolution with or without a bias."""
    arrays = (x, weight) if bias is None else (x, weight, bias)
    return F.Convolution(*arrays, **{**settings, "no_bias": bias is None})
