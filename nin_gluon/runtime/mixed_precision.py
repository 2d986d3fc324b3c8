"""The arithmetic of a run: float32, or mixed precision with bfloat16 or float16."""

import ctypes
import os
import warnings
from typing import TYPE_CHECKING, Sequence

from nin_gluon.errors import InputError
from nin_gluon.runtime.processors import cpu_flags, has_bfloat16
from nin_gluon.settings import DTYPES

if TYPE_CHECKING:
    from mxnet import Context

__all__ = ["check_dtype", "enable_amx", "precision", "use_dtype"]

_precision = "float32"


def use_dtype(dtype: str, contexts: "Sequence[Context]") -> None:
    """Choose the arithmetic of all networks that this process builds from now on.

    ``bfloat16`` (on CPUs) and ``float16`` (on GPUs) use MXNet's automatic mixed precision: the
    parameters stay float32, and convolutions compute in 16 bits. This patches MXNet's operators
    and cannot be undone. With float16, small gradients would become 0, so the trainer also needs
    ``amp.init_trainer``, with which the loop scales the loss.

    Parameters
    ----------
    dtype : str
        ``float32``, ``bfloat16`` or ``float16``.
    contexts : list of mxnet.Context
        The devices to train on.

    Raises
    ------
    InputError
        The devices do not have this arithmetic.
    """
    check_dtype(dtype, contexts)
    if dtype == "float32":
        return
    from mxnet.contrib import amp

    if dtype == "bfloat16":
        enable_amx()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        amp.init(target_dtype=dtype)
    global _precision
    _precision = dtype


def check_dtype(dtype: str, contexts: "Sequence[Context]") -> None:
    """Raise `InputError` unless the devices have this arithmetic; see `use_dtype`."""
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is not known; use float32, bfloat16 or float16.")
    if dtype == "tf32":
        raise InputError("--dtype tf32 is PyTorch's: use it with --engine torch on a GPU, or use "
                         "float32.")
    on_gpu = any(ctx.device_type == "gpu" for ctx in contexts)
    if dtype == "bfloat16" and on_gpu:
        raise InputError("bfloat16 is for CPUs here (MXNet 1.9.1 has no bfloat16 GPU kernels); "
                         "use --dtype float16 or float32 on a GPU, or --engine torch.")
    if dtype == "float16" and not on_gpu:
        raise InputError("float16 is for GPUs (MXNet 1.9.1 has no fast float16 on CPUs); use "
                         "--dtype bfloat16 or float32 on a CPU.")
    if dtype == "bfloat16" and not has_bfloat16():
        raise InputError("this CPU has no bfloat16 arithmetic (neither avx512_bf16 nor amx_bf16 "
                         "among its flags); use --dtype float32.")


def precision() -> str:
    """The arithmetic that `use_dtype` has chosen; ``float32`` before it is called."""
    return _precision


def enable_amx() -> None:
    """Let oneDNN use the AMX matrix units for bfloat16, which it does not do by itself.

    The oneDNN 2.4 inside MXNet has AMX kernels but keeps them behind ``DNNL_MAX_CPU_ISA``. It
    also does not ask Linux for permission to use the tile registers, and without permission the
    first AMX instruction kills the process. So ask first, and switch the kernels on only if Linux
    agrees. On a Sapphire Rapids server a bfloat16 training step then runs four times as fast.

    Once this process has used a oneDNN kernel, the call comes too late and changes nothing.
    """
    if "amx_bf16" not in cpu_flags() or "DNNL_MAX_CPU_ISA" in os.environ:
        return
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18  # x86-64 Linux, <asm/prctl.h>
    if ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) != 0:
        return
    from mxnet import nd

    # oneDNN reads the variable at its first kernel, so run one now. Then remove the variable:
    # programs that this process starts would inherit it, but not the permission.
    os.environ["DNNL_MAX_CPU_ISA"] = "AVX512_CORE_AMX"
    one = nd.ones((1, 1, 1, 1))
    nd.Convolution(one, one, no_bias=True, kernel=(1, 1), num_filter=1).wait_to_read()
    del os.environ["DNNL_MAX_CPU_ISA"]
