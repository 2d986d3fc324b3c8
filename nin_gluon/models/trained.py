"""The trained nets that come with the package, in Gluon."""

import mxnet as mx
from mxnet.gluon import nn

from nin_gluon.pretrained import Weights, read_packaged

__all__ = ["give_packaged_weights", "give_weights"]


def give_packaged_weights(net: nn.HybridSequential, name: str) -> nn.HybridSequential:
    """Give a net the parameters of the trained net `name`, on MXNet's current context; return it.

    Raises
    ------
    InputError
        There is no such trained net, its file is damaged, or it was built with other options.
    """
    return give_weights(net, read_packaged(name))


def give_weights(net: nn.HybridSequential, weights: Weights) -> nn.HybridSequential:
    """The same with parameters that have been read."""
    made_of, size = weights.preprocessing, weights.preprocessing.resize
    net.infer_shape(mx.nd.zeros((1, made_of.channels, size, size)))
    parameters = list(net.collect_params().values())
    values = weights.for_net([tuple(parameter.shape) for parameter in parameters])
    net.initialize(mx.init.Zero())
    for parameter, value in zip(parameters, values):
        parameter.set_data(mx.nd.array(value))
    return net
