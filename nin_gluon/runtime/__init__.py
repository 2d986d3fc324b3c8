"""What has to happen around ``import mxnet`` so that MXNet 1.9.1 runs today.

MXNet was retired in 2023. On a current machine it meets a NumPy without ``numpy.bool`` and CUDA
libraries that no system has any more. It uses half of the processors, and it does not ask for the
matrix units. `install` puts a hook in front of the import of mxnet (and of d2lzh) that takes care
of this. So ``import nin_gluon`` is enough, and it costs nothing until MXNet is used.

The files, from the bottom up:

- ``unavailable``: the error for a machine without a usable MXNet, and how to install it
- ``processors``: processors, threads and processor features
- ``cuda``: the CUDA libraries, the driver, and the GPUs that MXNet has code for
- ``import_hook``: what is done before mxnet is imported
- ``devices``: from ``--ctx`` to MXNet's devices; ``torch_device``: to PyTorch's
- ``engine_choice``: MXNet, or PyTorch where MXNet cannot compute
- ``mixed_precision``: float32, bfloat16 or float16 in MXNet; ``torch_precision``: in PyTorch
- ``machine``: the description that is kept beside a result
"""

from nin_gluon.runtime.cuda import (
    CUDA_LIBRARIES,
    device_capabilities,
    has_gpu_code,
    is_gpu_build,
    load_driver,
)
from nin_gluon.runtime.devices import gpu_problem, parse_ctx, try_all_gpus, try_gpu
from nin_gluon.runtime.engine_choice import choose_engine, devices_of
from nin_gluon.runtime.import_hook import after_import, install, restore_matplotlib_formats
from nin_gluon.runtime.machine import describe_machine
from nin_gluon.runtime.mixed_precision import check_dtype, enable_amx, precision, use_dtype
from nin_gluon.runtime.processors import THREADS_GIVEN, available_cpus, cpu_flags, cpu_name
from nin_gluon.runtime.unavailable import MXNetUnavailable, missing_mxnet_message

__all__ = [
    "CUDA_LIBRARIES",
    "MXNetUnavailable",
    "THREADS_GIVEN",
    "after_import",
    "available_cpus",
    "check_dtype",
    "choose_engine",
    "cpu_flags",
    "cpu_name",
    "describe_machine",
    "device_capabilities",
    "devices_of",
    "enable_amx",
    "gpu_problem",
    "has_gpu_code",
    "install",
    "is_gpu_build",
    "load_driver",
    "missing_mxnet_message",
    "parse_ctx",
    "precision",
    "restore_matplotlib_formats",
    "try_all_gpus",
    "try_gpu",
    "use_dtype",
]
