"""The Network in Network chapter of Dive into Deep Learning (MXNet Gluon edition), running today.

``import nin_gluon as d2l`` stands in for the chapter's ``import d2lzh as d2l``. Importing the
package makes ``import mxnet`` work and is quick: MXNet itself is imported when one of the names
below is first used.
"""

from importlib import import_module
from typing import Any, List

from nin_gluon import runtime
from nin_gluon.errors import InputError

__version__ = "0.2.0"

runtime.install()

# Public name -> the module that has it.
_HOME = {
    "nin_block": "nin_gluon.models",
    "nin": "nin_gluon.models",
    "mlpconv": "nin_gluon.models",
    "mlpconv_nin": "nin_gluon.models",
    "cifar_nin": "nin_gluon.models",
    "get_model": "nin_gluon.models",
    "maps_and_head": "nin_gluon.models",
    "load_data_fashion_mnist": "nin_gluon.data",
    "get_fashion_mnist_labels": "nin_gluon.data",
    "show_fashion_mnist": "nin_gluon.plots",
    "train_ch5": "nin_gluon.training.loop",
    "evaluate_accuracy": "nin_gluon.training.loop",
    "try_gpu": "nin_gluon.runtime",
    "try_all_gpus": "nin_gluon.runtime",
    "to_torch": "nin_gluon.torch_edition.convert",
    "from_torch": "nin_gluon.torch_edition.convert",
}

__all__ = ["InputError", "__version__", "runtime", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nin_gluon' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> List[str]:
    return sorted(__all__)
