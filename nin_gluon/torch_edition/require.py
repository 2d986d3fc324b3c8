"""Says how to get PyTorch if it is missing."""

import importlib.util

from nin_gluon.errors import InputError

__all__ = ["require_torch"]


def require_torch() -> None:
    """Raise `InputError` unless PyTorch is installed."""
    if importlib.util.find_spec("torch") is None:
        raise InputError("PyTorch is not installed; in a checkout of the project, run: "
                         "pip install -e '.[torch]'.")
