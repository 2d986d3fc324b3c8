"""What MXNet really allocates for a net, counted by its own profiler in a process of its own."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path

from nin_gluon.errors import InputError

__all__ = ["WAYS", "allocations", "kept_for_backward"]

# How a net can be run: (whether it is trained, whether as a compiled graph).
WAYS = {
    "inference, layer by layer": (False, False),
    "inference, hybridized": (False, True),
    "training, layer by layer": (True, False),
    "training, hybridized": (True, True),
}

ROUNDS = 3  # the temporary space grows over the first two steps
SETTLE = 1.0  # seconds; MXNet goes on giving memory back after it has said that all is done
MARKS = ("parameters", "images", "before", "forward")

CHILD = ("import json, sys; from nin_gluon.analysis.memory import count; "
         "print(json.dumps(count(**json.loads(sys.argv[1]))))")


def kept_for_backward(leaf, row):
    """Values that a layer leaves behind in training, for the backward pass.

    A ReLU's gradient can be told from its output, so the convolution's own output before it is
    given back at once. Max pooling notes where each maximum was, and dropout what it kept: one
    value more for each of the output.

    Parameters
    ----------
    leaf : Block
    row : LayerRow

    Returns
    -------
    int
    """
    window = getattr(leaf, "_kwargs", {})
    notes = (window.get("pool_type") == "max" and not window["global_pool"]
             or type(leaf).__name__ == "Dropout")
    return prod(row.output) * (2 if notes else 1)


def allocations(model, shape, dtype="float32"):
    """Let MXNet run a net in each of `WAYS` on the CPU, each in a fresh process, all at once.

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
        ``images``, ``forward`` (what a forward pass takes and leaves behind; a hybridized net's
        keeps its memory from step to step, and takes nothing), ``peak`` (the most that MXNet
        held), ``process`` (how much the process grew).

    Raises
    ------
    InputError
        One of the processes failed, for want of memory for example.
    """
    children = {}
    try:
        for way, (training, hybridize) in WAYS.items():
            request = {"model": model, "shape": shape, "training": training,
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


def count(model, shape, training, hybridize, dtype):
    """What `allocations` says of one way; profiles the process that it runs in."""
    import mxnet as mx
    from mxnet import autograd, gluon, nd

    from nin_gluon import models, runtime

    runtime.use_dtype(dtype, [mx.cpu()])
    net = models.get_model(model)
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    if not training:
        net.collect_params().setattr("grad_req", "null")
    resident = [peak_resident()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "profile.json")
        mx.profiler.set_config(profile_memory=True, profile_api=False, filename=str(path))
        domain = mx.profiler.Domain("nin_gluon")

        def mark(name):
            nd.waitall()
            mx.profiler.Counter(domain, name, 0)

        mx.profiler.set_state("run")
        net.initialize(models.initializer("he"))
        net.infer_shape(nd.zeros(shape))
        for parameter in net.collect_params().values():
            parameter._finish_deferred_init()
        mark("parameters")
        X, y = nd.zeros(shape), nd.zeros(shape[:1])
        mark("images")
        forward = net
        if hybridize and not training:
            forward = models.inference_form(net)
        elif hybridize and dtype == "bfloat16":  # as the train command does
            forward = models.training_form(net)
        loss = gluon.loss.SoftmaxCrossEntropyLoss()
        trainer = training and gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
        for i in range(ROUNDS):
            if i == ROUNDS - 1:
                nd.waitall()
                time.sleep(SETTLE)
                mark("before")
            with autograd.record() if training else contextlib.nullcontext():
                scores = forward(X)
                mark("forward")
                value = loss(scores, y) if training else None
            if training:
                value.backward()
                trainer.step(len(X))
            del scores, value
        nd.waitall()
        mx.profiler.set_state("stop")
        resident.append(peak_resident())
        mx.profiler.dump()
        events = json.loads(path.read_text())["traceEvents"]
    held, peak = at_the_marks(events)
    return {"parameters": held["parameters"], "images": held["images"] - held["parameters"],
            "forward": held["forward"] - held["before"], "peak": peak,
            "process": resident[1] - resident[0]}


def at_the_marks(events):
    """Bytes held when each of `MARKS` was last passed, and the most that were held after "images".
    """
    counters = sorted((event for event in events if event["ph"] == "C"), key=lambda e: e["ts"])
    now, peak, held = 0, 0, {}
    for event in counters:
        if event["name"].startswith("Memory: "):
            now, = event["args"].values()
            peak = max(peak, now)
        elif event["name"] in MARKS:
            held[event["name"]] = now
            if event["name"] == "images":
                peak = now
    return held, peak


def peak_resident():
    """Most memory that this process has held so far, in bytes."""
    try:  # getrusage would count the process that started this one, too
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
