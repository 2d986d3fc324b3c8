"""A description of the machine and the versions, to keep beside a result."""

import os
import platform
from importlib import import_module
from typing import Any, Dict

from nin_gluon.runtime.processors import FEATURES, cpu_flags, cpu_name

__all__ = ["describe_machine"]

FRAMEWORKS = {"gluon": "mxnet", "torch": "torch"}  # engine -> the package whose version matters


def describe_machine(engine: str = "gluon") -> Dict[str, Any]:
    """Describe the machine and the versions of the software.

    Parameters
    ----------
    engine : {"gluon", "torch"}
        What computes.

    Returns
    -------
    dict
        JSON values: versions (``nin_gluon``, that of the framework under its name, ``numpy``,
        ``python``), ``platform``, ``cpu`` (its name), ``cpu_features`` (those that matter for
        speed), ``threads`` and, if PyTorch finds one, ``gpu`` (the name of the first).
    """
    import numpy as np

    from nin_gluon import __version__  # here, for that package imports this one

    flags, framework = cpu_flags(), FRAMEWORKS[engine]
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    features = [feature for feature in FEATURES if feature in flags]
    description = {
        "nin_gluon": __version__,
        framework: import_module(framework).__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_features": features,
        "threads": int(threads) if threads.isdecimal() else 0,
    }
    if engine == "torch":
        cuda = import_module("torch").cuda
        if cuda.is_available():
            description["gpu"] = cuda.get_device_name()
    return description
