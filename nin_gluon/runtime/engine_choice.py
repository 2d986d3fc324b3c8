"""Which engine ``--engine auto`` is: MXNet Gluon where it can compute, else PyTorch."""

import importlib.machinery
import logging
import re
from typing import List, Optional

from nin_gluon.runtime.cuda import device_capabilities, has_gpu_code
from nin_gluon.runtime.devices import parse_ctx

__all__ = ["choose_engine", "devices_of", "is_installed"]

log = logging.getLogger(__name__)


def choose_engine(ctx: str, doing: str = "training with PyTorch (--engine torch)") -> str:
    """Resolve ``auto``: gluon, or torch with one line that says why.

    Parameters
    ----------
    ctx : str
        As --ctx was given.
    doing : str
        What the line says is done where PyTorch takes MXNet's place.

    Returns
    -------
    {"gluon", "torch"}
        Gluon if neither is installed: its error says how to install it.
    """
    reason = why_not_gluon(ctx)
    if reason is None or not is_installed("torch"):
        return "gluon"
    log.warning("%s: %s", reason, doing)
    return "torch"


def engine_for_trained(trained_by: str, ctx: str) -> str:
    """The engine that is to compute a trained net: the one that trained it, if it can here.

    Parameters
    ----------
    trained_by : {"gluon", "torch"}
    ctx : str
        As --ctx was given.

    Returns
    -------
    {"gluon", "torch"}
    """
    if trained_by == "gluon":
        return choose_engine(ctx, "using PyTorch")
    if is_installed("torch"):
        return "torch"
    log.warning("PyTorch is not installed: using MXNet")
    return "gluon"


def why_not_gluon(ctx: str) -> Optional[str]:
    """Why MXNet cannot compute here where PyTorch may, in a few words; None if it may."""
    if not is_installed("mxnet"):
        return "MXNet is not installed"
    named = [int(index or 0) for index in re.findall(r"gpu(?:\(\s*(\d{1,3})\s*\))?", ctx)]
    capabilities = (device_capabilities() or []) if named else []
    for index in named:
        if index < len(capabilities) and not has_gpu_code(capabilities[index]):
            major, minor = capabilities[index]
            return (f"MXNet 1.9.1 has no code for gpu({index}), whose compute capability is "
                    f"{major}.{minor}")
    return None


def devices_of(engine: str, ctx: str) -> List[str]:
    """The devices that ``--ctx`` means to an engine, such as ``["gpu(0)"]``.

    Raises
    ------
    InputError
        The text does not name devices, or one that cannot be used.
    """
    if engine == "torch":
        from nin_gluon.runtime.torch_device import parse_device

        device = parse_device(ctx)
        return [f"{'gpu' if device.type == 'cuda' else 'cpu'}({device.index or 0})"]
    return list(map(str, parse_ctx(ctx)))


def is_installed(framework: str) -> bool:
    """Whether a framework is installed; does not import it."""
    return importlib.machinery.PathFinder.find_spec(framework) is not None
