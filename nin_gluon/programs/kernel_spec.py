"""The Jupyter kernel in which MXNet works from the first cell, in the user's Jupyter folder."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Dict, List

from nin_gluon.atomic_files import write_ours
from nin_gluon.checked_files import read_text
from nin_gluon.errors import InputError, why
from nin_gluon.extras import require
from nin_gluon.programs.preparation import Options, start_line

__all__ = ["install", "kernel_spec", "remove"]

NAME = "nin-gluon-mxnet"
MARK = "installed_by_nin_gluon"


def kernel_spec(options: Options, function: str = "prepare_installed_kernel") -> Dict[str, Any]:
    """What Jupyter has to know to start a kernel of this Python.

    Parameters
    ----------
    options : Options
    function : str
        The function of `nin_gluon.programs.preparation` that prepares the kernel.
    """
    title = "MXNet 1.9 (nin_gluon, fast)" if options.fast else "MXNet 1.9 (nin_gluon)"
    return {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                 f"--IPKernelApp.exec_lines={start_line(options, function)}"],
        "display_name": title,
        "language": "python",
        "metadata": {"debugger": True, MARK: True},
    }


def install(options: Options) -> Path:
    """Add the kernel for this user; return its folder.

    Raises
    ------
    InputError
        Jupyter's kernel for Python is not installed, or another kernel has the name.
    WriteError
        The operating system refuses.
    """
    require("notebooks", "ipykernel")
    folder = kernel_folder(options)
    text = json.dumps(kernel_spec(options), indent=1) + "\n"
    write_ours(folder / "kernel.json", text.encode(), f'"{MARK}"')
    return folder


def remove() -> List[Path]:
    """Take away the kernels that `install` added for this user; return their folders.

    A kernel of the same name that is not ours stays, and so does what else lies in the folder.

    Raises
    ------
    InputError
        Jupyter is not installed, or a file cannot be removed.
    """
    require("notebooks", "jupyter_client")
    removed = []
    for options in (Options(), Options(fast=True)):
        folder = kernel_folder(options)
        spec = folder / "kernel.json"
        try:
            if f'"{MARK}"' not in read_text(spec):
                continue
            spec.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{spec} cannot be removed: {why(error)}.") from error
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
        removed.append(folder)
    return removed


def kernel_folder(options: Options) -> Path:
    """The kernel's folder in this user's Jupyter data folder (``JUPYTER_DATA_DIR``)."""
    from jupyter_client.kernelspec import KernelSpecManager

    return Path(KernelSpecManager().user_kernel_dir, NAME + ("-fast" if options.fast else ""))
