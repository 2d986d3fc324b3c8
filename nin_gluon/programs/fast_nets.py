"""A Sequential net as MXNet computes it faster: the same operations, called all at once.

``net(X)`` calls one operation after the other from Python. MXNet can run a whole chain of layers as
one graph, with memory planned ahead, and it then gives the same numbers to the last bit. The net
itself stays what it was: its layers, names and parameters, and what ``for layer in net`` does.
"""

from typing import Any, Iterator, List

from mxnet import gluon
from mxnet.gluon import nn

__all__ = ["FastNet"]


class FastNet:
    """Computes what a net computes; a net for a training loop, but not a Block.

    Until every parameter has its values, the net itself is called: it draws them layer by layer,
    and dropout masks between them, and a graph would draw in another order.

    Parameters
    ----------
    net : Block or callable
        X -> scores. A `nn.Sequential` is hybridized where its blocks allow it, see `is_plain`.
    """

    def __init__(self, net: Any) -> None:
        self.net = net
        self.steps: List[Any] = []

    def collect_params(self) -> gluon.ParameterDict:
        if isinstance(self.net, gluon.Block):
            return self.net.collect_params()
        return gluon.ParameterDict()  # a function

    def __call__(self, X: Any) -> Any:
        if not self.steps:
            if any(p._data is None for p in self.collect_params().values()):
                return self.net(X)
            self.steps = steps_of(self.net)
        for step in self.steps:
            X = step(X)
        return X

    def close(self) -> None:
        """Give back the memory of the graphs.

        A block is part of a reference cycle, so it would stay until Python looks for cycles.
        """
        for step in self.steps:
            if isinstance(step, Graph):
                step._clear_cached_op()
        self.steps = []


def steps_of(net: Any) -> List[Any]:
    """The net as a list of callables: graphs of as many layers as possible, and other blocks."""
    steps: List[Any] = []
    for block in links(net):
        if not is_plain(block):
            steps.append(block)
            continue
        if not steps or not isinstance(steps[-1], Graph):
            steps.append(Graph())
        steps[-1].add(block)
    return steps


class Graph(nn.HybridSequential):
    """A chain of layers that runs as one graph.

    ``hybridize()`` would also reach the layers, and so change the user's net. The layers need not
    be hybridized to be part of a graph.
    """

    def __init__(self) -> None:
        super().__init__(prefix="")
        self._active = True
        self._flags = [("static_alloc", True), ("static_shape", True)]


def links(net: Any) -> Iterator[Any]:
    """The links of a chain, one after the other; only plain containers are looked into.

    A container that its author has hybridized is one link.
    """
    if (type(net) in (nn.Sequential, nn.HybridSequential) and not getattr(net, "_active", False)
            and not has_hooks(net)):
        for child in net._children.values():
            yield from links(child)
    else:
        yield net


def is_plain(block: Any) -> bool:
    """Whether a block is MXNet's own, made of symbols, and does nothing but compute.

    A block of the user's own may print, look at shapes or keep something. It is called as it is.
    """
    return (isinstance(block, gluon.HybridBlock) and not block._active
            and type(block).__module__.startswith("mxnet.")
            and type(block).forward is gluon.HybridBlock.forward
            and not has_hooks(block)
            and all(map(is_plain, block._children.values())))


def has_hooks(block: gluon.Block) -> bool:
    return bool(block._forward_hooks or block._forward_pre_hooks)
