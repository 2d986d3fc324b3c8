"""The PyTorch edition of the chapter: its public names.

``from nin_gluon import torch_edition as d2l`` replaces that edition's ``from d2l import torch as
d2l``. PyTorch is imported when one of the names is first used. MXNet is imported only by `to_torch`
and `from_torch`; everything else works on a machine without it.
"""

from importlib import import_module
from typing import Any, List

# Public name -> the module that has it.
_HOME = {
    "nin_block": "nin_gluon.torch_edition.net",
    "nin": "nin_gluon.torch_edition.net",
    "init_weights": "nin_gluon.torch_edition.net",
    "load_data_fashion_mnist": "nin_gluon.torch_edition.data",
    "train_ch6": "nin_gluon.torch_edition.loop",
    "evaluate_accuracy": "nin_gluon.torch_edition.loop",
    "try_gpu": "nin_gluon.runtime.torch_device",
    "to_torch": "nin_gluon.torch_edition.convert",
    "from_torch": "nin_gluon.torch_edition.convert",
    "main": "nin_gluon.torch_edition.__main__",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> List[str]:
    return sorted(__all__)
