"""A net as it is best computed when nothing is to be learned."""

import warnings

import mxnet as mx
from mxnet import gluon

from nin_gluon.models.geometry import NiN, check_size

__all__ = ["inference_form"]


def inference_form(net):
    """A function that computes what `net` does now, faster where that can be had.

    Of a hybridized net on the CPU oneDNN computes each convolution and the ReLU after it in one
    pass over memory. The values are the same; no gradient can be had. The function keeps the
    parameters that it first met, in oneDNN's layout: ask for a new one after each training step.

    Parameters
    ----------
    net : Block
        Initialized.

    Returns
    -------
    callable
        NDArray (batch, channels, height, width) -> NDArray, as `net`. It is `net` itself where
        there is nothing to gain.
    """
    parameters = net.collect_params()
    contexts = [ctx for p in parameters.values() for ctx in p.list_ctx()]
    on_cpu = all(ctx.device_type == "cpu" for ctx in contexts)
    # A Block that is no HybridBlock, or not hybridized, may do what no symbol can.
    hybridized = isinstance(net, gluon.HybridBlock) and net._active
    if not (hybridized and on_cpu and mx.runtime.Features().is_enabled("MKLDNN")):
        return net
    data = mx.sym.var("data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the type of the data is not decided yet
        fused = gluon.SymbolBlock(net(data).get_backend_symbol("MKLDNN"), data, params=parameters)
    fused.hybridize(static_alloc=True, static_shape=True)

    def forward(X):
        if isinstance(net, NiN):
            check_size(net, X.shape)
        return fused(X)

    return forward
