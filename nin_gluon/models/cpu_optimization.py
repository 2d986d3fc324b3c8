"""A net as it is best computed on a CPU: in one form to train it, in another to use it.

The net stays as it was written. A form of it has its parameters, gives its scores and gradients up
to rounding, and spares oneDNN what that does badly. Where there is nothing to gain, the net is its
own form.
"""

import warnings
import weakref

import mxnet as mx
import numpy as np
from mxnet import gluon
from mxnet.gluon import nn

from nin_gluon import runtime
from nin_gluon.models.geometry import NiN, check_size

__all__ = ["inference_form", "training_form"]

BLOCK = 16  # channels that oneDNN's AVX-512 kernels take at a time
AMX_BLOCK = 32  # and those for the matrix units


def inference_form(net):
    """A function that computes what `net` does now, when nothing is to be learned.

    oneDNN computes each convolution and the ReLU after it in one pass over memory. The function
    keeps the parameters that it first meets, in oneDNN's layout: ask for a new one after training.

    Parameters
    ----------
    net : Block
        Initialized.

    Returns
    -------
    callable
        NDArray (batch, channels, height, width) -> scores, as `net`.
    """
    if not has_forms(net):
        return net
    data = mx.sym.var("data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the type of the data is not decided yet
        fused = gluon.SymbolBlock(net(data).get_backend_symbol("MKLDNN"), data,
                                  params=net.collect_params())
    fused.hybridize(static_alloc=True, static_shape=True)

    def forward(X):
        if isinstance(net, NiN):
            check_size(net, X.shape)
        return fused(X)

    weakref.finalize(forward, fused._clear_cached_op)  # see `training_form`
    return forward


def training_form(net):
    """A function that computes what `net` does, with gradients for the parameters of `net`.

    Three things change in a chain of layers; with them a bfloat16 step of the chapter's net takes 5
    to 12 % less time. (In float32 it gains 2 % and takes more memory, and is not used.)

    - The ReLU before a max pooling comes after it, where there is a quarter of the values. The
      largest of the values above 0 is the same either way, and so is where its gradient goes.
    - `SpaceToDepth` for a first convolution of large kernel and stride on few channels.
    - A 3x3 or larger convolution to few classes computes `BLOCK` channels, whose kernels oneDNN
      has optimized, and the ones too many are cut off.

    Parameters
    ----------
    net : Block
        Initialized; its parameters may still wait for the first batch to tell their shapes.

    Returns
    -------
    callable
        NDArray (batch, channels, height, width) -> scores, as `net`.
    """
    if not (has_forms(net) and isinstance(net, nn.HybridSequential)):
        return net
    forms = {}  # one for each size of images

    def forward(X):
        size = X.shape[1:]
        if size not in forms:
            if isinstance(net, NiN):
                check_size(net, X.shape)
            net.infer_shape(X)
            for parameter in net.collect_params().values():
                parameter._finish_deferred_init()
            net._build_cache(X)  # which net.export would otherwise miss
            forms[size] = chain(net, size)
        return forms[size](X)

    # A block is part of a reference cycle: without this its memory, as much as a step of training
    # takes, would stay until Python happens to look for cycles.
    weakref.finalize(forward, lambda: [form._clear_cached_op() for form in forms.values()])
    return forward


def has_forms(net):
    """Whether this is a net of symbols, in float32 and on CPUs, and MXNet has oneDNN."""
    parameters = net.collect_params().values()
    # A Block that is not hybridized, or has a forward of its own, may do what no symbol can.
    hybridized = (isinstance(net, gluon.HybridBlock) and net._active
                  and type(net).forward is gluon.HybridBlock.forward)
    return (hybridized and all(np.dtype(p.dtype) == np.float32 for p in parameters)
            and all(ctx.device_type == "cpu" for p in parameters for ctx in p.list_ctx())
            and mx.runtime.Features().is_enabled("MKLDNN"))


def chain(net, size):
    """The training form for images of one size (channels, height, width), hybridized."""
    layers, form, late = list(links(net)), nn.HybridSequential(), False
    for layer, following in zip(layers, [*layers[1:], None]):
        if type(layer) is not nn.Conv2D:
            form.add(layer)
            if late:
                form.add(nn.Activation("relu"))
            late = False
            continue
        late = (type(following) is nn.MaxPool2D and layer.act is not None
                and layer.act._act_type == "relu")
        first = layer is layers[0] and SpaceToDepth.suits(layer)
        form.add(SpaceToDepth(layer, *size[1:], not late) if first
                 else Convolution(layer, not late))
    form.hybridize(static_alloc=True, static_shape=True)
    return form


def links(block):
    """The layers of a chain, one after the other; other blocks are not looked into."""
    if type(block) in (nn.HybridSequential, NiN):
        for child in block:
            yield from links(child)
    else:
        yield block


class Convolution(nn.HybridBlock):
    """A Conv2D with another's parameters, with or without its activation."""

    def __init__(self, conv, activate):
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

    def hybrid_forward(self, F, x, weight, bias=None, no_weight=None, no_bias=None):
        channels = self.settings["num_filter"]
        if self.extra:
            weight = F.concat(weight, no_weight, dim=0)
            bias = None if bias is None else F.concat(bias, no_bias, dim=0)
        x = convolve(F, x, weight, bias, **{**self.settings, "num_filter": channels + self.extra})
        if self.extra:
            x = F.slice_axis(x, axis=1, begin=0, end=channels)
        return x if self.act is None else self.act(x)


class SpaceToDepth(nn.HybridBlock):
    """A Conv2D of large kernel and stride s, with another's parameters, in two steps.

    First each square of s x s pixels becomes one pixel of s x s times as many channels: a
    convolution with kernels of a single 1, which needs no gradient. On that a convolution of stride
    1 does the rest, with the same weights in another order. The chapter's 11x11 of stride 4 on 1
    channel so becomes a 3x3 on 16. Of the kernels for one channel, oneDNN's backward pass needs
    the 54x54 maps converted to other layouts and back.
    """

    def __init__(self, conv, height, width, activate):
        super().__init__()
        self.params.update(conv.params)
        self.weight, self.bias = conv.weight, conv.bias
        self.act = conv.act if activate else None
        self.filters, self.inputs, self.kernel, _ = conv.weight.shape
        self.stride = conv._kwargs["stride"][0]
        self.cells = -(-self.kernel // self.stride)  # kernel of the second convolution
        self.margin = self.cells * self.stride - self.kernel
        # Where whole squares do not reach as far as the padded kernel, zeros are put beside.
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
    def suits(conv):
        """Whether a Conv2D is of this kind."""
        _, inputs, *kernel = conv.weight.shape
        settings = conv._kwargs
        stride = settings["stride"][0]
        return (settings["stride"] == (stride, stride) and kernel[0] == kernel[1] > stride > 1
                and settings["pad"] == (0, 0) and settings["dilate"] == (1, 1)
                and settings["num_group"] == 1 and inputs * stride**2 <= AMX_BLOCK)

    def hybrid_forward(self, F, x, weight, squares, bias=None, no_weight=None):
        s, cells, margin = self.stride, self.cells, self.margin
        if any(self.pad):
            x = F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, 0, self.pad[0], 0, self.pad[1]))
        x = convolve(F, x, squares, kernel=(s, s), stride=(s, s),
                     num_filter=self.channels + self.extra)

        weight = F.pad(weight, mode="constant", pad_width=(0, 0, 0, 0, 0, margin, 0, margin))
        weight = weight.reshape((self.filters, self.inputs, cells, s, cells, s))
        weight = weight.transpose((0, 1, 3, 5, 2, 4))
        weight = weight.reshape((self.filters, self.channels, cells, cells))
        if self.extra:
            weight = F.concat(weight, no_weight, dim=1)
        x = convolve(F, x, weight, bias, kernel=(cells, cells), num_filter=self.filters)
        return x if self.act is None else self.act(x)


def constant(block, name, value):
    """A constant parameter of a block: an array, or zeros of a shape.

    (As F.eye and F.zeros it would do, did mixed precision not fail on operators without inputs.)
    """
    value = mx.nd.zeros(value) if isinstance(value, tuple) else value
    parameter = block.params.get_constant(name, value)
    parameter.initialize(ctx=block.weight.list_ctx())
    return parameter


def convolve(F, x, weight, bias=None, **settings):
    """F.Convolution with or without a bias."""
    arrays = (x, weight) if bias is None else (x, weight, bias)
    return F.Convolution(*arrays, **{**settings, "no_bias": bias is None})
