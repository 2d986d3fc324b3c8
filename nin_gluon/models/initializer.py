"""Initializations of the weights."""

import mxnet as mx
from mxnet import nd
from mxnet.gluon import nn

from nin_gluon.models.geometry import leaves

__all__ = ["IdentityInitializer", "initializer"]


class IdentityInitializer(mx.init.MSRAPrelu):
    """He's initialization for a net of NiN blocks, which starts simple and without an opinion.

    A 1x1 convolution that keeps its channels starts as the identity. What enters it has come out
    of a ReLU and is not negative, so identity and ReLU pass it on unchanged: the net starts as its
    larger convolutions alone and learns what the small ones are for. One that keeps at least half
    of them, as in the paper's net, starts by passing on the first ones.

    A convolution that narrows to the classes' maps starts as `CLASS_SCALE` times the mean of its
    inputs, for every class alike, and one that follows it as the identity, whatever its kernel. The
    maps come out of a ReLU: one that is zero for every image gets no gradient and stays lost. With
    random weights some may start so; equal ones well above zero lose none. A dense layer that
    follows them starts with He's weights over `CLASS_SCALE`.

    Parameters
    ----------
    net : HybridSequential, optional
        Tells which convolutions make the classes' maps. Without it any that narrows to less than
        half is taken to do so.
    """

    CLASS_SCALE = 10

    def __init__(self, net=None):
        super().__init__(factor_type="in", slope=0)
        self.known = net is not None
        self.maps = makers_of_maps(net) if self.known else set()

    def _init_weight(self, name, arr):
        out, channels, *kernel = arr.shape
        of_maps = name in self.maps if self.known else kernel and 2 * out < channels
        if of_maps and out < channels:
            arr[:] = self.CLASS_SCALE / arr[0].size
        elif out <= channels <= 2 * out and (kernel == [1, 1] or name in self.maps):
            arr[:] = 0
            arr[:, :, kernel[0] // 2, kernel[1] // 2] = nd.eye(out, channels)
        else:
            super()._init_weight(name, arr)
            if not kernel:
                arr[:] = arr / self.CLASS_SCALE


def makers_of_maps(net):
    """Names of the weights of the last convolutions, whose channels are the classes' maps."""
    convolutions = [leaf for leaf in leaves(net)
                    if hasattr(leaf, "weight") and not isinstance(leaf, nn.Dense)]
    names = set()
    for layer in reversed(convolutions):
        if layer._channels != convolutions[-1]._channels:
            break
        names.add(layer.weight.name)
    return names


def initializer(name, net=None):
    """The initialization of that name.

    Parameters
    ----------
    name : {"xavier", "he", "identity", "normal"}
        Xavier as Gluon has it by default (Glorot and Bengio 2010, uniform, mean of both fans); He
        (He et al. 2015, normal, fan-in, for ReLU); `IdentityInitializer`; normal with standard
        deviation 0.05, as the paper's first author published it for the paper's net.
    net : HybridSequential, optional
        That it is for; `IdentityInitializer` says why it might ask.

    Returns
    -------
    mxnet.initializer.Initializer
    """
    return {
        "xavier": mx.init.Xavier,
        "he": lambda: mx.init.MSRAPrelu(factor_type="in", slope=0),
        "identity": lambda: IdentityInitializer(net),
        "normal": lambda: mx.init.Normal(0.05),
    }[name]()
