"""Questions whose answers may kill the process that asks: each has a process of its own.

A broken MXNet, PyTorch or driver may crash or hang when it is loaded. The report must not.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

__all__ = ["answer", "ask"]

Answer = Dict[str, Any]

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
PATIENCE = 180  # seconds; PyTorch may take half a minute on a busy machine


# ------------------------------------------------------------------ in this process


def ask(question: str, seconds: float = PATIENCE) -> Answer:
    """Have a new process answer a question.

    Parameters
    ----------
    question : str
        A key of `QUESTIONS`.
    seconds : float
        The process is killed after this time.

    Returns
    -------
    dict
        The answer; or ``{"problem": text}`` if there was an error or the process died.
    """
    code = (f"import sys; sys.path.append({ascii(str(PACKAGE_FOLDER))}); "
            f"from nin_gluon.diagnosis.probes import answer; answer({question!r})")
    # -B and the variable: neither Python nor CUDA writes what it compiles.
    environment = {**os.environ, "CUDA_CACHE_DISABLE": "1"}
    try:
        done = subprocess.run([sys.executable, "-B", "-c", code], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"problem": f"no answer within {seconds:g} s"}
    except OSError as error:
        return {"problem": f"no process could be started ({error.strerror})"}
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return {"problem": how_it_died(done.returncode, done.stderr.decode("utf-8", "replace"))}
    return told if isinstance(told, dict) else {"problem": "no answer"}


def how_it_died(status: int, said: str) -> str:
    """One line about a process that gave no answer."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"the process that loads it dies of {name}"
    last = (said.strip().splitlines() or [f"exit status {status}"])[-1]
    return f"the process that loads it ends early: {last}"


# ------------------------------------------------------------------ in the new process


def answer(question: str) -> None:
    """Answer a question on stdout, as JSON. What libraries print there goes to stderr."""
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        told = QUESTIONS[question]()
    except Exception as error:
        told = {"problem": one_line(error), "error": type(error).__name__}
    os.write(stdout, json.dumps(told).encode())


def one_line(error: BaseException) -> str:
    """An error's message without its further lines and its stack trace."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def describe_mxnet() -> Answer:
    """Import MXNet as nin_gluon does, compute something, and try each GPU."""
    import numpy as np

    import nin_gluon  # noqa: F401  (makes mxnet importable)

    lacks_bool = "bool" not in vars(np)
    import mxnet as mx

    total = float(mx.nd.ones((2, 2)).sum().asscalar())
    if total != 4:
        raise RuntimeError(f"MXNet computes {total} as the sum of four ones")
    from nin_gluon.runtime import device_capabilities

    features = mx.runtime.Features()
    return {
        "version": mx.__version__,
        "features": sorted(name for name in features if features.is_enabled(name)),
        "alias_needed": lacks_bool,
        "gpu_problems": [mxnet_gpu_problem(i) for i in range(len(device_capabilities() or []))],
    }


def mxnet_gpu_problem(device_id: int) -> Optional[str]:
    """Why MXNet cannot use a GPU; None if it can, which is tried."""
    import mxnet as mx

    from nin_gluon.runtime import gpu_problem

    problem = gpu_problem(device_id)
    if problem is None:
        try:
            mx.nd.ones((1,), ctx=mx.gpu(device_id)).asnumpy()
        except mx.MXNetError as error:
            problem = f"gpu({device_id}) cannot be used: {last_line(error)}"
    return problem


def last_line(error: BaseException) -> str:
    """The last line of an error of MXNet; what stands above it is its stack trace."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def describe_torch() -> Answer:
    """Import PyTorch, compute something, and try each GPU."""
    import torch

    from nin_gluon.runtime import device_capabilities
    from nin_gluon.runtime.torch_device import gpu_problem

    total = torch.ones(2, 2).sum().item()
    if total != 4:
        raise RuntimeError(f"PyTorch computes {total} as the sum of four ones")
    problems = map(gpu_problem, range(len(device_capabilities() or [])))
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "gpu_problems": [problem and f"gpu({i}) cannot be used: {problem}"
                         for i, problem in enumerate(problems)],
    }


def describe_driver() -> Answer:
    """Ask NVIDIA's driver for its devices; ``devices`` is None without a driver."""
    from nin_gluon.runtime.cuda import cuda_of_driver, device_capabilities, device_names

    capabilities = device_capabilities()
    devices: Optional[List[Answer]] = None
    if capabilities is not None:
        devices = [{"name": name, "capability": f"{major}.{minor}"}
                   for name, (major, minor) in zip(device_names(), capabilities)]
    return {"cuda": cuda_of_driver(), "devices": devices}


QUESTIONS: Dict[str, Callable[[], Answer]] = {
    "mxnet": describe_mxnet, "torch": describe_torch, "driver": describe_driver}
