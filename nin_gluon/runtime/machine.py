"""A description of the machine and the versions, to keep beside a result."""

import os
import platform
from typing import Any, Dict

from nin_gluon.runtime.processors import cpu_flags, cpu_name

__all__ = ["describe_machine"]


def describe_machine() -> Dict[str, Any]:
    """Describe the machine and the versions of the software.

    Returns
    -------
    dict
        JSON values: versions (``nin_gluon``, ``mxnet``, ``numpy``, ``python``), ``platform``,
        ``cpu`` (its name), ``cpu_features`` (those that matter for speed) and ``threads``.
    """
    import mxnet as mx
    import numpy as np

    from nin_gluon import __version__  # here, for that package imports this one

    flags = cpu_flags()
    features = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    return {
        "nin_gluon": __version__,
        "mxnet": mx.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_features": features,
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0").split(",")[0] or 0),
    }
