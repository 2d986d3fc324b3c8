"""The parts of ``python -m benchmarks.gpu``, each a generator of (name, figures as JSON).

Each is run in a process of its own. PyTorch alone is needed, not MXNet.
"""

import signal
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import gpu_throughput, parity
from benchmarks.time_to_accuracy import LEVELS, seconds_to
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training import callbacks, torch_run
from nin_gluon.training.history import history_of
from nin_gluon.training.hooks import Callback, Hooks
from nin_gluon.training.run import Watch
from nin_gluon.training.run_folder import Environment, RunConfig, read_config
from nin_gluon.training.torch_workers import TorchWorkers

__all__ = ["PARTS", "run_figures"]

TINY = TEXTBOOK.but(engine="torch", dataset="sample", resize=67, epochs=2, init="he", lr=0.01,
                    momentum=0.9)


def machine(settings):
    """The card and its matrix rates."""
    yield "machine", gpu_throughput.machine(settings)


# ------------------------------------------------------------------ correctness


def engine_parity(settings):
    """The PyTorch engine here against what Gluon's computed on a CPU."""
    device = torch.device(settings["device"])
    for preset, mode in settings["cases"]:
        yield f"parity {preset} {mode}", parity.differences(preset, device, mode)


def prepared(settings, mode="auto"):
    """The tiny recipe: five steps an epoch, the last of them smaller."""
    batch_size = settings["tiny_batch_size"]
    tiny = TINY.but(batch_size=batch_size, limit=4 * batch_size + batch_size // 2)
    return torch_run.prepare(RunConfig("textbook", tiny, Environment(mode=mode)),
                             torch.device(settings["device"]), TorchWorkers())


class StopAfter(Callback):
    """Asks a run to stop after so many steps, as SIGTERM would."""

    def __init__(self, steps, stop):
        self.steps, self.stop = steps, stop

    def on_train_batch_end(self, tally):
        self.steps -= 1
        if self.steps == 0:
            self.stop.signum = signal.SIGTERM


def resume(settings):
    """A run that is stopped in its second epoch and goes on, against one that is not stopped."""
    with tempfile.TemporaryDirectory() as folder:
        whole = train_in(Path(folder, "whole"), settings)
        train_in(Path(folder, "parts"), settings, stop_after=7)
        yield "resume", apart(whole, train_in(Path(folder, "parts"), settings, resumed=True))


def train_in(folder, settings, stop_after=None, resumed=False):
    """Train the tiny recipe in a folder, without its pictures; return the parameters."""
    folder.mkdir(exist_ok=True)
    run = prepared(settings)
    watch = Watch(run, folder, *(run.resume(folder) if resumed else run.start()),
                  show_progress=False)
    hooks = [watch.seeds, watch.progress, watch.checkpoints]
    if stop_after:
        hooks.append(StopAfter(stop_after, watch.stop))
    watch.hooks = Hooks(watch.hooks.history, watch.hooks.tally, [*hooks, watch.stop])
    try:
        watch.train()
    except callbacks.Stopped:
        assert stop_after
    return run.engine.parameters()


def ddp(settings):
    """One process with DistributedDataParallel, against the same without it."""
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    device = torch.device(settings["device"])
    backend = "nccl" if device.type == "cuda" else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        distributed.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=0,
                                       world_size=1)
        found = []
        for wrapped in (False, True):
            run = prepared(settings, "eager")
            if wrapped:
                run.engine.model = DistributedDataParallel(run.engine.net)
                run.engine.arrange_steps()
            for step, (X, y) in enumerate(run.train_iter):
                run.engine.seed_step(0, 1, step)
                sums = run.engine.train_step(X, y)
            distributed.all_reduce(sums)
            found.append(run.engine.parameters())
        distributed.destroy_process_group()
    yield "ddp", {"backend": backend, **apart(*found)}


def apart(one, other):
    """How far two sets of parameters are apart, over the largest value of each."""
    largest = max(float(np.abs(one[name] - other[name]).max() / np.abs(one[name]).max())
                  for name in one)
    return {"parameter": largest, "same_bits": largest == 0, "passed": largest <= parity.PARAMETER}


# ------------------------------------------------------------------ speed and accuracy


def throughput(settings):
    """How fast one variant trains and evaluates."""
    yield f"throughput {settings['variant']}", gpu_throughput.throughput(settings)


def train(settings):
    """A run of the train command, or what is left of it."""
    from nin_gluon import train as command

    folder = Path(settings["folder"])
    options = [*settings["options"], "--out", str(folder)]
    if (folder / "config.json").exists():
        options = ["--resume", str(folder), *settings["where"]]
    status = command.main([*options, "--no-progress"])
    figures = {"status": status, **run_figures(folder)}
    if status not in (0, 1, 128 + signal.SIGINT, 128 + signal.SIGTERM):  # 1: it diverged
        figures["failed"] = "the train command refused the run"
    yield settings["name"], figures


def run_figures(folder):
    """What a run folder says: how far it is, and when it reached which accuracy."""
    if not (folder / "config.json").exists():
        return {"finished": False}
    config, log = read_config(folder), history_of(folder)
    diverged = (folder / "diverged.txt").exists()
    return {"finished": diverged or len(log) >= config.settings.epochs, "diverged": diverged,
            "epochs": len(log), "of": config.settings.epochs,
            "seconds": sum(epoch.seconds for epoch in log),
            "test_acc": log[-1].test_acc if log else None,
            "reached": {str(level): seconds_to(log, level) for level in LEVELS}}


PARTS = {"machine": machine, "parity": engine_parity, "resume": resume, "ddp": ddp,
         "throughput": throughput, "train": train}

