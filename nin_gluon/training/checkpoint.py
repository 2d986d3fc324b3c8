"""Saving a run between two steps and going on from there as if it had never stopped.

A checkpoint is a folder ``RUN/checkpoint/epoch-EEEE-step-SSSSSS`` with the net's parameters
(``net.params``), the trainer's state (``trainer.states``: momentum, update count, schedule) and
``state.json`` (the epoch's sums so far, the finished epochs, NumPy's random state at the epoch's
start). It is written under another name and renamed, so a folder of that name is complete.
"""

import json
import os
import pickle
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import mxnet as mx
import numpy as np

from nin_gluon.errors import InputError
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.loop import Tally

__all__ = ["latest", "load", "save", "seed_step"]


def seed_step(seed, epoch, step, rank=0):
    """Seed MXNet's random numbers, which draw the dropout masks, for one step of training.

    MXNet can set its random state but not tell it. With a seed for every step the masks do not
    depend on where a run was stopped; with one for every worker (`rank`) each has masks of its
    own. Seeding is queued like any operation: nothing waits.
    """
    entropy = (seed, epoch, step, rank) if rank else (seed, epoch, step)
    mx.random.seed(int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31))


def save(run, net, trainer, tally, history, order_state):
    """Write a checkpoint into the run folder and remove the one before; return its path.

    Parameters
    ----------
    run : Path
    net : Block
    trainer : gluon.Trainer
    tally : Tally
        Of the epoch that is under way, collected.
    history : list of EpochRecord
    order_state : tuple
        ``np.random.get_state()`` from before this epoch's order was drawn.
    """
    folder = Path(run, "checkpoint")
    folder.mkdir(exist_ok=True)
    name, key, *rest = order_state
    state = {"tally": tally.state(), "history": [asdict(record) for record in history],
             "numpy_random": [name, key.tolist(), *rest]}
    older = complete(run)
    for leftover in folder.glob(".saving-*"):  # of a process that was killed while it saved
        shutil.rmtree(leftover, ignore_errors=True)
    target = folder / f"epoch-{tally.epoch:04d}-step-{tally.step:06d}"
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
        temporary = Path(temporary, target.name)
        temporary.mkdir()
        net.save_parameters(str(temporary / "net.params"))
        trainer.save_states(str(temporary / "trainer.states"))
        (temporary / "state.json").write_text(json.dumps(state), "utf-8")
        if target not in older:
            os.rename(temporary, target)
    for path in older:
        if path != target:
            shutil.rmtree(path)
    return target


def complete(run):
    """The checkpoints in a run folder, oldest first."""
    return sorted(Path(run, "checkpoint").glob("epoch-*-step-*"))


def latest(run):
    """Path of the newest checkpoint in a run folder.

    Raises
    ------
    InputError
        There is none.
    """
    found = complete(run)
    if not found:
        raise InputError(f"{run} holds no checkpoint to go on from; give --resume the run folder "
                         "that an interrupted run named.")
    return found[-1]


def load(path, net, trainer, ctx):
    """Put net, trainer and NumPy's random state back to where the checkpoint was taken.

    Returns
    -------
    tally : Tally
    history : list of EpochRecord

    Raises
    ------
    InputError
        The checkpoint is damaged or belongs to another net.
    """
    try:
        state = json.loads((path / "state.json").read_text("utf-8"))
        net.load_parameters(str(path / "net.params"), ctx=ctx)
        trainer.load_states(str(path / "trainer.states"))
        name, key, *rest = state["numpy_random"]
        np.random.set_state((name, np.array(key, np.uint32), *rest))
        return Tally(**state["tally"]), [EpochRecord(**r) for r in state["history"]]
    except (OSError, ValueError, KeyError, TypeError, EOFError, AssertionError,
            pickle.UnpicklingError, mx.base.MXNetError) as error:
        # MXNet's own errors begin with a traceback and end with the reason.
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise InputError(f"the checkpoint {path} cannot be read ({reason}); if there is a copy of "
                         "the run folder use that, else start a new run.") from error
