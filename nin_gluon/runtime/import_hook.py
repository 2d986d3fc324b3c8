"""The hook that prepares this process just before mxnet or d2lzh is imported."""

import ctypes
import importlib.abc
import importlib.machinery
import os
import platform
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Sequence

from nin_gluon.runtime.cuda import is_gpu_build, load_cuda_libraries
from nin_gluon.runtime.processors import available_cpus
from nin_gluon.runtime.unavailable import MXNetUnavailable, missing_mxnet_message

__all__ = ["after_import", "install"]

Change = Callable[[ModuleType], None]

# Module -> what is to be done with it once it has been imported.
CHANGES: Dict[str, List[Change]] = {}


class ImportHook(importlib.abc.MetaPathFinder):
    """Finds no module itself. It prepares the process and leaves the finding to the others."""

    def find_spec(self, name: str, path: Optional[Sequence[str]] = None,
                  target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        if name == "mxnet":
            prepare_mxnet()
        elif name == "d2lzh":
            give_ipython_its_old_name()
        if name not in CHANGES:
            return None
        others = (finder for finder in sys.meta_path
                  if finder is not self and hasattr(finder, "find_spec"))
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec and spec.loader:
            change_afterwards(spec.loader, name)
        return spec


def install() -> None:
    """Tune the threads and put the hook in place. ``import nin_gluon`` calls this."""
    tune_threads()
    if not any(isinstance(finder, ImportHook) for finder in sys.meta_path):
        sys.meta_path.insert(0, ImportHook())


def tune_threads() -> None:
    """Let MXNet use all processors, and its threads wait a moment before they go to sleep.

    The variables have to be set before any library that reads them is loaded. What the user has
    set stays.

    MXNet by itself uses half of the processors, taking the other half for hyper-threads.

    It also has more threads than processors, and then GNU's OpenMP lets a thread that waits for the
    next loop sleep almost at once. To wake it takes longer than many of these loops. With
    OMP_WAIT_POLICY it looks ten times as often first, which is still some microseconds, and an
    epoch of the quick recipe in bfloat16 is a sixth shorter. By itself that variable would also
    let threads wait for minutes where they are few. The other two keep that at milliseconds, the
    usual time, in GNU's library and in Intel's and LLVM's.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cpus()))
    waiting = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
    if not any(name in os.environ for name in waiting):
        os.environ.update(waiting)


def after_import(name: str, change: Change) -> None:
    """Call ``change(module)`` once the module is imported; at once if it has been already.

    Parameters
    ----------
    name : str
        Full name of a module.
    change : callable
        Gets the module, before anybody else does.
    """
    install()
    if name in sys.modules:
        change(sys.modules[name])
    else:
        CHANGES.setdefault(name, []).append(change)


def change_afterwards(loader: importlib.abc.Loader, name: str) -> None:
    """Let this loader, which loads one module, make the changes after it has run the module."""
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        run(module)
        for change in CHANGES.pop(name, ()):
            change(module)

    loader.exec_module = exec_module  # type: ignore[method-assign]


def prepare_mxnet() -> None:
    """Make ``import mxnet`` work in this process.

    Raises
    ------
    MXNetUnavailable
        MXNet is not installed, the platform has no wheel, NumPy is too new, a library is missing,
        or the GPU build finds no driver.
    """
    if importlib.machinery.PathFinder.find_spec("mxnet") is None:
        raise MXNetUnavailable(missing_mxnet_message())
    alias_numpy()
    check_system_libraries()
    tune_memory()
    if is_gpu_build():
        load_cuda_libraries()


def alias_numpy() -> None:
    """Give NumPy back the names that MXNet 1.9.1 uses and NumPy 1.24 removed."""
    import numpy as np

    if int(np.__version__.split(".")[0]) >= 2:
        raise MXNetUnavailable(f"MXNet 1.9.1 needs a NumPy below 2, and this is {np.__version__}; "
                               "run: pip install 'numpy<2'")
    for name, replacement in {"bool": np.bool_, "int": int}.items():
        if name not in vars(np):
            setattr(np, name, replacement)


def check_system_libraries() -> None:
    """Check for the libraries that MXNet's Linux wheels need but do not bring.

    The wheels bring libgfortran, but not what it depends on. Slim images lack that.
    """
    if platform.system() != "Linux":
        return
    for name, package in (("libgomp.so.1", "libgomp1"), ("libquadmath.so.0", "libquadmath0")):
        if name.startswith("libquadmath") and platform.machine() != "x86_64":
            continue  # libgfortran for Arm does not use it
        try:
            ctypes.CDLL(name)
        except OSError:
            raise MXNetUnavailable(f"MXNet needs the system library {name}; install it, on Debian "
                                   f"and Ubuntu by: apt-get install {package}") from None


def tune_memory() -> None:
    """Make MXNet use less memory, and glibc return it to the system less often.

    MXNet keeps four copies of its temporary space. A chain of layers on the CPU uses one at a
    time, so three are wasted: 400 MB for a float32 training step of 128 images at 224x224.

    MXNet allocates memory anew for each batch. glibc by default returns blocks that large to the
    system at once, and the next batch pays for fresh, zeroed pages: about 2 % of a bfloat16 step.
    So let glibc keep up to 1 GiB, and serve arrays of up to 32 MiB from it.
    """
    os.environ.setdefault("MXNET_CPU_TEMP_COPY", "1")
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD in <malloc.h>
        libc.mallopt(mmap_threshold, 32 * 2**20)  # the largest that glibc accepts
        libc.mallopt(trim_threshold, 2**30)


def give_ipython_its_old_name() -> None:
    """Restore ``IPython.display.set_matplotlib_formats``, which d2lzh calls and IPython moved."""
    try:
        from IPython import display
    except ImportError:  # d2lzh needs IPython, and importing it will say so
        return
    restore_matplotlib_formats(display)


def restore_matplotlib_formats(display: ModuleType) -> None:
    """Give the module ``IPython.display`` its old function back, if it has lost it."""
    if not hasattr(display, "set_matplotlib_formats"):
        display.set_matplotlib_formats = set_matplotlib_formats  # type: ignore[attr-defined]


def set_matplotlib_formats(*formats: str, **kwargs: Any) -> None:
    """Choose the formats of inline figures; matplotlib_inline's function, imported when used."""
    from matplotlib_inline import backend_inline

    backend_inline.set_matplotlib_formats(*formats, **kwargs)
