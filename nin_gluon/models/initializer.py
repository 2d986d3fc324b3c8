"""Initializations of the weights."""

import mxnet as mx
from mxnet import nd

__all__ = ["IdentityInitializer", "initializer"]


class IdentityInitializer(mx.init.MSRAPrelu):
    """He's initialization for a net of NiN blocks, which starts simple and without an opinion.

    A 1x1 convolution that keeps its channels starts as the identity. What enters it has come out
    of a ReLU and is not negative, so identity and ReLU pass it on unchanged: the net starts as its
    larger convolutions alone and learns what the small ones are for. One that keeps at least half
    of them, as in the paper's net, starts by passing on the first ones.

    A convolution that narrows more than that, the one that makes the classes' maps, starts
    as `CLASS_SCALE` times the mean of its inputs, for every class alike. The net's scores come out
    of a ReLU: a class whose map is zero for every image gets no gradient and stays lost. Of ten
    classes three or four start so with random weights; equal scores well above zero lose none.
    """

    CLASS_SCALE = 10

    def __init__(self):
        super().__init__(factor_type="in", slope=0)

    def _init_weight(self, name, arr):
        out, channels, *kernel = arr.shape
        if 2 * out < channels:
            arr[:] = self.CLASS_SCALE / arr[0].size
        elif out <= channels and kernel == [1, 1]:
            arr[:] = nd.eye(out, channels).reshape(arr.shape)
        else:
            super()._init_weight(name, arr)


def initializer(name):
    """The initialization of that name.

    Parameters
    ----------
    name : {"xavier", "he", "identity", "normal"}
        Xavier as Gluon has it by default (Glorot and Bengio 2010, uniform, mean of both fans); He
        (He et al. 2015, normal, fan-in, for ReLU); `IdentityInitializer`; normal with standard
        deviation 0.05, as the paper's first author published it for the paper's net.

    Returns
    -------
    mxnet.initializer.Initializer
    """
    return {
        "xavier": mx.init.Xavier,
        "he": lambda: mx.init.MSRAPrelu(factor_type="in", slope=0),
        "identity": IdentityInitializer,
        "normal": lambda: mx.init.Normal(0.05),
    }[name]()
