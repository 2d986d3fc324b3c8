"""PyTorch's devices under the names that the project uses."""

import re
from typing import Optional

import torch

from nin_gluon.errors import InputError
from nin_gluon.runtime.cuda import device_capabilities

__all__ = ["parse_device", "try_gpu"]


def try_gpu(i: int = 0) -> torch.device:
    """``cuda:i`` if there is such a GPU, else ``cpu``; as in d2l."""
    if i < torch.cuda.device_count():
        return torch.device("cuda", i)
    return torch.device("cpu")


def parse_device(text: str) -> torch.device:
    """Turn ``--ctx`` into a device.

    Parameters
    ----------
    text : str
        ``auto`` (a GPU if there is one, else the CPU), ``cpu``, ``gpu``, ``gpu(1)``, or PyTorch's
        names ``cuda`` and ``cuda:1``.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        The text is not of that form, or names a GPU that cannot be used.
    """
    if text.strip() == "auto":
        return try_gpu()
    match = re.fullmatch(r"(cpu|gpu|cuda)(?:\((\d{1,3})\)|:(\d{1,3}))?", text.strip())
    if not match:
        raise InputError(f"--ctx {text!r} is not a device; use auto, cpu, gpu, gpu(1) or cuda:1.")
    if match[1] == "cpu":
        return torch.device("cpu")
    index = int(match[2] or match[3] or 0)
    problem = gpu_problem(index)
    if problem:
        raise InputError(f"gpu({index}) cannot be used: {problem}")
    return torch.device("cuda", index)


def gpu_problem(index: int) -> Optional[str]:
    """Why the GPU with this number cannot be used, in one sentence; None if it can."""
    if not torch.backends.cuda.is_built():
        return ("this is a build of PyTorch for the CPU; install one for CUDA (pytorch.org says "
                "how), or leave out --ctx gpu.")
    if device_capabilities() is None:
        return "this machine has no NVIDIA driver (libcuda.so.1 does not load)."
    count = torch.cuda.device_count()
    if count == 0:
        return "PyTorch finds no GPU; see what nvidia-smi says."
    if index >= count:
        return f"PyTorch finds {count} GPU(s), gpu(0) to gpu({count - 1})."
    try:
        torch.ones(1, device=torch.device("cuda", index)).add_(1)
        torch.cuda.synchronize(index)
    except RuntimeError as error:  # too old a driver, no machine code for this GPU, GPU taken, ...
        return str(error).strip().splitlines()[0]
    return None
