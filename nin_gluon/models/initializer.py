"""Initializations of the weights."""

import mxnet as mx
from mxnet import nd

__all__ = ["IdentityInitializer", "initializer"]


class IdentityInitializer(mx.init.MSRAPrelu):
    """He's initialization, but a 1x1 convolution that keeps its channels starts as the identity.

    What enters such a convolution has come out of a ReLU and is not negative, so identity and
    ReLU pass it on unchanged: the net starts as its four larger convolutions alone and learns
    what the small ones are for.
    """

    def __init__(self):
        super().__init__(factor_type="in", slope=0)

    def _init_weight(self, name, arr):
        out, channels, *kernel = arr.shape
        if out == channels and kernel == [1, 1]:
            arr[:] = nd.eye(out).reshape(arr.shape)
        else:
            super()._init_weight(name, arr)


def initializer(name):
    """The initialization of that name.

    Parameters
    ----------
    name : {"xavier", "he", "identity"}
        Xavier as Gluon has it by default (Glorot and Bengio 2010, uniform, mean of both fans); He
        (He et al. 2015, normal, fan-in, for ReLU); `IdentityInitializer`.

    Returns
    -------
    mxnet.initializer.Initializer
    """
    return {
        "xavier": mx.init.Xavier,
        "he": lambda: mx.init.MSRAPrelu(factor_type="in", slope=0),
        "identity": IdentityInitializer,
    }[name]()
