"""The processor, its best arithmetic, the memory, and the GPUs."""

import os
import subprocess
from typing import Any, Dict, Optional, Sequence, Set

from nin_gluon.diagnosis.probes import ask
from nin_gluon.runtime.processors import (
    FEATURES,
    THREADS_GIVEN,
    available_cpus,
    cpu_flags,
    cpu_name,
    memory_bytes,
)

__all__ = ["describe_gpus", "describe_processor", "fastest_arithmetic"]

NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
PATIENCE = 30  # seconds; nvidia-smi is slow where the driver has to be loaded first


def describe_processor() -> Dict[str, Any]:
    """The processor: ``name``, ``cpus`` and ``usable`` (of them), ``threads_given``, ``features``,
    ``arithmetic``; ``memory_bytes`` of the machine.
    """
    flags, name = cpu_flags(), cpu_name()
    fastest, why = fastest_arithmetic(flags, name)
    return {
        "name": name,
        "cpus": os.cpu_count() or 1,
        "usable": available_cpus(),
        "threads_given": THREADS_GIVEN,
        "features": [feature for feature in FEATURES if feature in flags],
        "arithmetic": {"fastest": fastest, "why": why},
        "memory_bytes": memory_bytes(),
    }


def fastest_arithmetic(flags: Set[str], name: str) -> Sequence[str]:
    """The arithmetic that trains fastest on a CPU, and why, as two texts."""
    if "amx_bf16" in flags:
        return "bfloat16", "this processor has AMX matrix units"
    if "avx512_bf16" not in flags:
        return "float32", "this processor has no bfloat16 arithmetic"
    if "intel" in name.lower():
        return ("float32 or bfloat16", "this processor has bfloat16 but not AMX; "
                                       "the line after a run's first steps tells which is faster")
    return "bfloat16", "this processor computes it in AVX-512"


def describe_gpus() -> Dict[str, Any]:
    """What NVIDIA's driver and ``nvidia-smi`` say.

    Returns
    -------
    dict
        ``driver`` (version, None if unknown), ``cuda`` (the newest that the driver can run),
        ``devices`` (list of ``name`` and ``capability`` in the order of ``gpu(0)``, ``gpu(1)``
        ...; None without a driver), ``nvidia_smi`` (list of lines, one for each GPU in the
        machine; None if there is no such command), ``problem`` (text or None).
    """
    told = ask("driver")
    smi = ask_nvidia_smi()
    return {"driver": smi["driver"], "cuda": told.get("cuda"), "devices": told.get("devices"),
            "nvidia_smi": smi["lines"], "problem": told.get("problem") or smi["problem"]}


def ask_nvidia_smi() -> Dict[str, Any]:
    """``lines``, ``driver`` and ``problem``, each None if there is nothing to tell."""
    nothing: Dict[str, Any] = {"lines": None, "driver": None, "problem": None}
    try:
        done = subprocess.run(NVIDIA_SMI, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE)
    except FileNotFoundError:
        return nothing
    except subprocess.TimeoutExpired:
        return {**nothing, "problem": f"nvidia-smi gave no answer within {PATIENCE} s"}
    except OSError as error:
        return {**nothing, "problem": f"nvidia-smi does not start ({error.strerror})"}
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    if done.returncode:
        return {**nothing, "problem": lines[0] if lines else "nvidia-smi fails and says nothing"}
    return {**nothing, "lines": lines, "driver": driver_version(lines)}


def driver_version(lines: Sequence[str]) -> Optional[str]:
    """The driver's version, from the lines of nvidia-smi."""
    cells = lines[0].split(",") if lines else []
    return cells[1].strip() if len(cells) > 1 else None
