"""Initializations of the weights."""

from typing import Callable, Dict, Optional, Set

import mxnet as mx
from mxnet import nd
from mxnet.gluon import nn

from nin_gluon.models.geometry import leaves

__all__ = ["IdentityInitializer", "initializer"]


class IdentityInitializer(mx.init.MSRAPrelu):
    """He's initialization for a net of NiN blocks, which starts simple and prefers no class.

    A 1x1 convolution that keeps the number of channels starts as the identity. Its input comes out
    of a ReLU and is not negative, so identity and ReLU pass it on unchanged: at first the net
    consists of its larger convolutions alone, and it learns what the small ones are for. A 1x1
    convolution that keeps at least half of the channels, as in the paper's net, starts by passing
    on the first of them.

    A convolution that narrows to the maps of the classes starts as `CLASS_SCALE` times the mean of
    its inputs, for every class alike. A convolution after it starts as the identity, whatever its
    kernel. The maps come out of a ReLU: a map that is zero for every image gets no gradient and
    stays dead. Random weights may start with dead maps; equal weights well above zero do not. A
    dense layer after the maps starts with He's weights divided by `CLASS_SCALE`.

    Parameters
    ----------
    net : HybridSequential, optional
        Tells which convolutions make the maps of the classes. Without it, these are the
        convolutions that narrow to less than half of the channels.
    """

    CLASS_SCALE = 10

    def __init__(self, net: Optional[nn.HybridSequential] = None) -> None:
        super().__init__(factor_type="in", slope=0)
        self.known = net is not None
        self.maps = map_weights(net) if net is not None else set()

    def _init_weight(self, name: str, arr: nd.NDArray) -> None:
        out, channels, *kernel = arr.shape
        makes_maps = name in self.maps if self.known else kernel and 2 * out < channels
        if makes_maps and out < channels:
            arr[:] = self.CLASS_SCALE / arr[0].size
        elif out <= channels <= 2 * out and (kernel == [1, 1] or name in self.maps):
            arr[:] = 0
            arr[:, :, kernel[0] // 2, kernel[1] // 2] = nd.eye(out, channels)
        else:
            super()._init_weight(name, arr)
            if not kernel:
                arr[:] = arr / self.CLASS_SCALE


def map_weights(net: nn.HybridSequential) -> Set[str]:
    """Names of the weights of the last convolutions, whose channels are the maps of the classes."""
    convolutions = [leaf for leaf in leaves(net)
                    if hasattr(leaf, "weight") and not isinstance(leaf, nn.Dense)]
    names = set()
    for layer in reversed(convolutions):
        if layer._channels != convolutions[-1]._channels:
            break
        names.add(layer.weight.name)
    return names


def initializer(name: str, net: Optional[nn.HybridSequential] = None) -> mx.init.Initializer:
    """The initialization of that name.

    Parameters
    ----------
    name : {"xavier", "he", "identity", "normal"}
        xavier: Gluon's default (Glorot and Bengio 2010, uniform, mean of both fans). he: He et al.
        2015, normal, fan-in, for ReLU. identity: `IdentityInitializer`. normal: normal with
        standard deviation 0.05, as the paper's first author published it for the paper's net.
    net : HybridSequential, optional
        The net to be initialized; only `IdentityInitializer` uses it.
    """
    initializers: Dict[str, Callable[[], mx.init.Initializer]] = {
        "xavier": mx.init.Xavier,
        "he": lambda: mx.init.MSRAPrelu(factor_type="in", slope=0),
        "identity": lambda: IdentityInitializer(net),
        "normal": lambda: mx.init.Normal(0.05),
    }
    return initializers[name]()
