"""MXNet and PyTorch: whether they can be used here, and if not, why. The optional packages."""

import importlib.metadata
from typing import Any, Dict, List, Optional

from nin_gluon.diagnosis.probes import ask
from nin_gluon.runtime.cuda import mxnet_wheels
from nin_gluon.runtime.engine_choice import is_installed
from nin_gluon.runtime.unavailable import missing_mxnet_message

__all__ = ["EXTRAS", "describe_gluon", "describe_torch", "extras", "version_of"]

# Of MXNet's many features, those that decide what can be run and how fast.
FEATURES = ("CUDA", "CUDNN", "DIST_KVSTORE", "LAPACK", "MKLDNN", "NCCL", "OPENCV", "OPENMP")

# What each extra brings, without the packages that nobody looks for; see setup.py.
EXTRAS = {
    "notebooks": ("d2lzh", "jupyterlab", "ipykernel", "nbclient"),
    "onnx": ("onnx",),
    "tensorboard": ("tensorboard",),
    "demo": ("starlette", "uvicorn"),
    "docs": ("mkdocs-material", "mkdocstrings", "mkdocs-static-i18n"),
    "test": ("onnxruntime", "pytest"),
}

CLASH = ("{} are installed together, but they are builds of one package and share its folder; "
         "uninstall all of them, then install one")
BROKEN = ("it is installed but does not load ({}); install it anew, and see the page "
          "\"Troubleshooting\" of the documentation for the usual causes")


def version_of(package: str) -> Optional[str]:
    """The installed version of a package, None if it is not installed. Does not import it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def extras() -> Dict[str, Dict[str, Optional[str]]]:
    """The packages of each extra with their versions; None stands for one that is missing."""
    return {extra: {package: version_of(package) for package in packages}
            for extra, packages in EXTRAS.items()}


def describe_gluon() -> Dict[str, Any]:
    """MXNet: version, build, features, and whether it works.

    Returns
    -------
    dict
        ``installed`` and ``works`` (bool), ``version``, ``build`` (``cpu``, ``cu112`` ...),
        ``problem`` (text or None: what is wrong, and what to do), ``features`` (list of
        names), ``alias_needed`` (bool: this NumPy has no ``numpy.bool``), ``gpu_problems`` (for
        each GPU text or None).
    """
    wheels = mxnet_wheels()
    found: Dict[str, Any] = {
        "installed": is_installed("mxnet"), "works": False,
        "version": version_of(wheels[0]) if wheels else None,
        "build": build_of(wheels),
        "problem": missing_mxnet_message(), "features": [], "alias_needed": False,
        "gpu_problems": [],
    }
    if not found["installed"]:
        return found
    told = ask("mxnet")
    problem = told.get("problem")
    if problem and told.get("error") != "MXNetUnavailable":  # that one says what to do
        problem = BROKEN.format(problem)
    found.update(works=problem is None, problem=problem)
    if problem is None:
        found.update(version=told["version"], alias_needed=told["alias_needed"],
                     features=[name for name in FEATURES if name in told["features"]],
                     gpu_problems=told["gpu_problems"])
    if len(wheels) > 1:
        found["problem"] = CLASH.format(" and ".join(wheels))
    return found


def build_of(wheels: List[str]) -> Optional[str]:
    """``cpu``, ``cu112`` and the like; None if MXNet was not installed from a wheel."""
    if not wheels:
        return None
    return " and ".join(name.replace("_", "-").partition("-")[2] or "cpu" for name in wheels)


def describe_torch() -> Dict[str, Any]:
    """PyTorch in the same form as `describe_gluon`, without features."""
    version = version_of("torch")
    found: Dict[str, Any] = {
        "installed": is_installed("torch"), "works": False, "version": version, "build": None,
        "problem": "PyTorch is not installed; in a checkout of the project, run: "
                   "pip install -e '.[torch]'",
        "gpu_problems": [],
    }
    if not found["installed"]:
        return found
    told = ask("torch")
    problem = told.get("problem")
    found.update(works=problem is None, problem=problem and BROKEN.format(problem))
    if problem is None:
        cuda = told["cuda"]
        found.update(version=told["version"], gpu_problems=told["gpu_problems"],
                     build=f"cu{cuda.replace('.', '')}" if cuda else "cpu")
    return found
