"""Packages that not everybody needs, and the extras of the project that install them."""

import importlib.util

from nin_gluon.errors import InputError

__all__ = ["require", "require_torch"]


def require(extra: str, *packages: str, title: str = "") -> None:
    """Raise `InputError` unless the packages are installed.

    Parameters
    ----------
    extra : str
        The extra that installs them.
    packages : str
        As they are imported.
    title : str
        What people call them; by default the names of those that are missing.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{title or ' and '.join(missing)} {'are' if missing[1:] else 'is'} not "
                         "installed; in a checkout of the project, run: pip install -e "
                         f"'.[{extra}]' (elsewhere: pip install {' '.join(missing)}).")


def require_torch() -> None:
    """Raise `InputError` unless PyTorch is installed."""
    require("torch", "torch", title="PyTorch")
