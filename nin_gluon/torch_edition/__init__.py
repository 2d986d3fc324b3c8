"""The PyTorch edition of the chapter: its public names.

``from nin_gluon import torch_edition as d2l`` replaces that edition's ``from d2l import torch as
d2l``. PyTorch is imported when one of the names is first used. MXNet is imported only by `to_torch`
and `from_torch`; everything else works on a machine without it.
"""

from importlib import import_module
from typing import Any, List

# Public name -> the module that has it, seen from here.
_HOME = {
    "nin_block": "net",
    "nin": "net",
    "init_weights": "net",
    "load_data_fashion_mnist": "data",
    "train_ch6": "loop",
    "evaluate_accuracy": "loop",
    "try_gpu": ".runtime.torch_device",
    "to_torch": "convert",
    "from_torch": "convert",
    "main": "__main__",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> List[str]:
    return sorted(__all__)
