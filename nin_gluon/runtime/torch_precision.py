"""The arithmetic of a run in PyTorch: float32, TF32, or bfloat16 by autocast."""

from typing import Any

import torch

from nin_gluon.errors import InputError

__all__ = ["arithmetic", "check_dtype", "use_dtype"]


def check_dtype(dtype: str, device: torch.device) -> None:
    """Raise `InputError` unless PyTorch has this arithmetic on this device.

    Parameters
    ----------
    dtype : str
        One of `nin_gluon.settings.DTYPES`.
    device : torch.device
    """
    if dtype == "float16":
        raise InputError("--dtype float16 is for --engine gluon; with --engine torch use bfloat16, "
                         "which needs no scaling of the loss.")
    if dtype == "tf32" and (device.type != "cuda"
                            or torch.cuda.get_device_capability(device) < (8, 0)):
        raise InputError("--dtype tf32 is for NVIDIA GPUs of compute capability 8.0 and later; use "
                         "float32 or bfloat16 here.")


def use_dtype(dtype: str) -> None:
    """Let the convolutions of this process compute in `dtype` on GPUs from now on.

    PyTorch's use TF32 there unless told otherwise. Here float32 is float32. Matrix products, such
    as those that whiten images, are float32 in any case.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = dtype == "tf32"
    torch.backends.cudnn.benchmark = True  # sizes do not change: let cuDNN look for the fastest


def arithmetic(dtype: str, device: torch.device) -> Any:
    """A context manager: inside the block convolutions compute in bfloat16 if `dtype` is that."""
    # Each weight is cast once a step, so there is nothing to cache; a recorded step must not.
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16",
                          cache_enabled=False)
