"""The class that all nets here are of."""

from typing import Any

import mxnet as mx
from mxnet.gluon import nn

from nin_gluon.models.geometry import check_input

__all__ = ["NiN"]


class NiN(nn.HybridSequential):
    """A HybridSequential that names the problem when it cannot take an input.

    It raises `InputError` where a plain one would fail deep inside MXNet. (A forward hook could do
    the same, but `hybridize` drops hooks, with a warning.)
    """

    def __call__(self, x: Any, *args: Any) -> Any:
        if isinstance(x, mx.nd.NDArray):  # a symbol has no shape yet
            check_input(self, x.shape)
        return super().__call__(x, *args)

    def _alias(self) -> str:
        return "hybridsequential"  # layers and parameters get the names they have in a plain one
