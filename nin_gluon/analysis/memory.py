"""What MXNet allocates for a net, as its own profiler counts it.

The profiler counts all of a process, so each net runs in a new one.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Sequence, Tuple

from nin_gluon.errors import InputError

if TYPE_CHECKING:
    from mxnet.gluon import Block

__all__ = ["WAYS", "allocations"]

# How a net can be run: (whether it is trained, whether as a compiled graph).
WAYS = {
    "inference, layer by layer": (False, False),
    "inference, hybridized": (False, True),
    "training, layer by layer": (True, False),
    "training, hybridized": (True, True),
}

ROUNDS = 3  # the temporary space grows over the first two steps
SETTLE = 1.0  # seconds; MXNet still gives memory back after it has reported that all is done
MARKS = ("parameters", "images", "before", "forward")

CHILD = ("import json, sys; from nin_gluon.analysis.memory import count; "
         "print(json.dumps(count(**json.loads(sys.argv[1]))))")


def allocations(model: str, shape: Sequence[int], dtype: str = "float32",
                ) -> Dict[str, Dict[str, int]]:
    """Run a net on the CPU in each of `WAYS`, a process each and all at once, and count the bytes.

    Parameters
    ----------
    model : str
        A net's name, as `get_model` takes it.
    shape : tuple of int
        (batch, channels, height, width).
    dtype : {"float32", "bfloat16"}

    Returns
    -------
    dict
        For each of `WAYS` a dict of bytes: ``parameters`` (in training with their gradients),
        ``images``, ``forward`` (what a forward pass takes and still holds when it ends; a
        hybridized net keeps its memory from step to step and takes nothing), ``peak`` (the most
        that MXNet held), ``process`` (by how much the process grew).

    Raises
    ------
    InputError
        A process failed, for lack of memory for example.
    """
    children: Dict[str, subprocess.Popen[str]] = {}
    try:
        for way, (training, hybridize) in WAYS.items():
            request = {"model": model, "shape": list(shape), "training": training,
                       "hybridize": hybridize, "dtype": dtype}
            children[way] = subprocess.Popen(
                [sys.executable, "-c", CHILD, json.dumps(request)], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        found = {}
        for way, child in children.items():
            out, error = child.communicate()
            if child.returncode:
                reason = (error.strip().splitlines() or [f"status {child.returncode}"])[-1]
                raise InputError(f"{way} of {model} with images {tuple(shape)} failed ({reason}); "
                                 "try a smaller --batch, or leave out --check.")
            found[way] = json.loads(out.splitlines()[-1])
        return found
    finally:
        for child in children.values():
            child.kill()
            child.communicate()


def count(model: str, shape: Sequence[int], training: bool, hybridize: bool, dtype: str,
          ) -> Dict[str, int]:
    """The bytes that `allocations` gives for one way; profiles the process that it runs in."""
    import mxnet as mx
    from mxnet import nd

    from nin_gluon import models, runtime

    runtime.use_dtype(dtype, [mx.cpu()])
    net = models.get_model(model)
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    if not training:
        net.collect_params().setattr("grad_req", "null")
    resident = peak_resident()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "profile.json")
        mx.profiler.set_config(profile_memory=True, profile_api=False, filename=str(path))
        domain = mx.profiler.Domain("nin_gluon")

        def mark(name: str) -> None:
            nd.waitall()
            mx.profiler.Counter(domain, name, 0)

        mx.profiler.set_state("run")
        run_net(net, shape, training, hybridize, dtype, mark)
        mx.profiler.set_state("stop")
        grown = peak_resident() - resident
        mx.profiler.dump()
        events = json.loads(path.read_text())["traceEvents"]
    held, peak = at_the_marks(events)
    return {"parameters": held["parameters"], "images": held["images"] - held["parameters"],
            "forward": held["forward"] - held["before"], "peak": peak, "process": grown}


def run_net(net: "Block", shape: Sequence[int], training: bool, hybridize: bool, dtype: str,
            mark: Callable[[str], None]) -> None:
    """Make the parameters, then `ROUNDS` passes or training steps; call `mark` at each of `MARKS`.
    """
    from mxnet import autograd, gluon, nd

    from nin_gluon import models

    net.initialize(models.initializer("he"))
    net.infer_shape(nd.zeros(shape))
    for parameter in net.collect_params().values():
        parameter._finish_deferred_init()
    nd.waitall()
    time.sleep(SETTLE)
    mark("parameters")
    X, y = nd.zeros(shape), nd.zeros(shape[:1])
    mark("images")
    forward = net
    if hybridize and not training:
        forward = models.optimize_for_inference(net)
    elif hybridize and dtype == "bfloat16":  # as the train command does
        forward = models.optimize_for_training(net)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer: Any = training and gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    for i in range(ROUNDS):
        if i == ROUNDS - 1:
            nd.waitall()
            time.sleep(SETTLE)
            mark("before")
        with autograd.record() if training else contextlib.nullcontext():
            scores = forward(X)
            mark("forward")
            value: Any = loss(scores, y) if training else None
        if training:
            value.backward()
            trainer.step(len(X))
        del scores, value
    nd.waitall()


def at_the_marks(events: List[Dict[str, Any]]) -> Tuple[Dict[str, int], int]:
    """Bytes held when each of `MARKS` was last passed, and the most held after "images"."""
    counters = sorted((event for event in events if event["ph"] == "C"), key=lambda e: e["ts"])
    now, peak = 0, 0
    held: Dict[str, int] = {}
    for event in counters:
        if event["name"].startswith("Memory: "):
            now, = event["args"].values()
            peak = max(peak, now)
        elif event["name"] in MARKS:
            held[event["name"]] = now
            if event["name"] == "images":
                peak = now
    return held, peak


def peak_resident() -> int:
    """The most memory that this process has held so far, in bytes."""
    try:  # getrusage would also count the process that started this one
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
