"""MXNet's devices: which GPUs can be used, and what ``--ctx`` means."""

import re
from typing import TYPE_CHECKING, List, Optional

from nin_gluon.errors import InputError
from nin_gluon.runtime.cuda import Capability, device_capabilities, has_gpu_code

if TYPE_CHECKING:
    from mxnet import Context

__all__ = ["gpu_problem", "parse_ctx", "try_all_gpus", "try_gpu"]


def parse_ctx(text: str) -> "List[Context]":
    """Turn ``--ctx`` into devices.

    Parameters
    ----------
    text : str
        ``auto`` (a GPU if one can be used, else the CPU), or device names separated by commas:
        ``cpu``, ``gpu``, ``gpu(1)``, ``gpu(0),gpu(1)``.

    Returns
    -------
    list of mxnet.Context

    Raises
    ------
    InputError
        The text does not have that form, names a device twice, mixes CPU and GPU, or names a GPU
        that cannot be used.
    """
    import mxnet as mx

    if text.strip() == "auto":
        return [try_gpu()]
    contexts = []
    for name in text.split(","):
        match = re.fullmatch(r"\s*(cpu|gpu)\s*(?:\(\s*(\d{1,3})\s*\))?\s*", name)
        if not match:
            raise InputError(f"--ctx {text!r} is not a device; use auto, cpu, gpu, gpu(1) or a "
                             "list such as gpu(0),gpu(1).")
        contexts.append(mx.Context(match[1], int(match[2] or 0)))
    if len(set(contexts)) < len(contexts):
        raise InputError(f"--ctx {text!r} names a device twice; name each once.")
    if len({ctx.device_type for ctx in contexts}) > 1:
        raise InputError(f"--ctx {text!r} mixes CPU and GPU; use devices of one kind.")
    for ctx in contexts:
        problem = gpu_problem(ctx.device_id) if ctx.device_type == "gpu" else None
        if problem:
            raise InputError(problem)
    return contexts


def try_gpu() -> "Context":
    """Return the first GPU that can be used, or ``mx.cpu()`` if there is none; as in d2lzh."""
    return try_all_gpus()[0]


def try_all_gpus() -> "List[Context]":
    """Return every GPU that can be used, or ``[mx.cpu()]`` if there is none; as in d2lzh."""
    import mxnet as mx

    gpus = []
    if mx.runtime.Features().is_enabled("CUDA"):
        capabilities = device_capabilities() or []
        gpus = [mx.gpu(i) for i, capability in enumerate(capabilities) if has_gpu_code(capability)]
    return gpus or [mx.cpu()]


def gpu_problem(device_id: int = 0) -> Optional[str]:
    """Say in one sentence why ``gpu(device_id)`` cannot be used; None if it can."""
    import mxnet as mx

    capabilities = device_capabilities()
    # Where no build has code for the GPU, the advice to install the other one would not help.
    without_code = any(not has_gpu_code(each)
                       for each in (capabilities or [])[device_id:device_id + 1])
    if not without_code and not mx.runtime.Features().is_enabled("CUDA"):
        return (f"gpu({device_id}) cannot be used: this is the CPU build of MXNet; for the GPU "
                "build, in a checkout of the project: pip uninstall mxnet && pip install -e "
                "'.[gpu]'; or leave out --ctx gpu.")
    return device_problem(device_id, capabilities)


def device_problem(device_id: int, capabilities: Optional[List[Capability]]) -> Optional[str]:
    """The same for the GPU build, given what `device_capabilities` returns."""
    prefix = f"gpu({device_id}) cannot be used: "
    if capabilities is None:
        return prefix + "this machine has no NVIDIA driver (libcuda.so.1 does not load)."
    if not capabilities:
        return prefix + "the NVIDIA driver finds no GPU; see what nvidia-smi says."
    if device_id >= len(capabilities):
        return (prefix + f"the NVIDIA driver finds {len(capabilities)} GPU(s), "
                f"gpu(0) to gpu({len(capabilities) - 1}).")
    major, minor = capabilities[device_id]
    if not has_gpu_code((major, minor)):
        return (prefix + f"its compute capability is {major}.{minor}, and MXNet 1.9.1 has machine "
                "code for 5.0 to 8.9 only; train with --engine torch, or on the CPU with "
                "--ctx cpu.")
    return None
