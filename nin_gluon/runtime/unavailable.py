"""The error for a machine on which MXNet cannot be imported, and how to install MXNet."""

import platform
from typing import Optional

__all__ = ["MXNetUnavailable", "missing_mxnet_message"]

# The platforms that MXNet 1.9.1 has wheels for.
WHEELS = {"Linux": ("x86_64", "aarch64"), "Darwin": ("x86_64",)}


class MXNetUnavailable(ImportError):
    """MXNet cannot be imported here. The message says why and what to do."""

    __module__ = "nin_gluon.runtime"  # where users find it, and what a traceback shows


def missing_mxnet_message(system: Optional[str] = None, machine: Optional[str] = None) -> str:
    """Say why there is no MXNet: it is not installed, or this platform has no wheel.

    Parameters
    ----------
    system, machine : str, optional
        As `platform.system` and `platform.machine` name them; by default those of this machine.
    """
    system, machine = system or platform.system(), machine or platform.machine()
    if machine not in WHEELS.get(system, ()):
        return (
            f"MXNet 1.9.1 has no wheel for {system} on {machine}, only for Linux on x86_64 or "
            "aarch64 and macOS on x86_64; use one of those, for example in Docker or WSL 2."
        )
    return (
        "MXNet is not installed; in a checkout of the project, run: pip install -e '.[cpu]' (any "
        "machine) or pip install -e '.[gpu]' (NVIDIA GPU of compute capability 5.0 to 8.9); with "
        "a wheel file of the project: pip install 'FILE.whl[cpu]' or 'FILE.whl[gpu]'."
    )
