"""Saving a run between two steps and going on from there as if it had never stopped.

A checkpoint is a folder ``RUN/checkpoint/epoch-EEEE-step-SSSSSS`` with

- ``net.safetensors``, the parameters, named by their position in the net: ``000.weight``;
- ``optimizer.safetensors``, what the optimizer keeps for each of them: ``000.weight.momentum`` of
  SGD, ``000.weight.mean`` and ``000.weight.variance`` of Adam;
- ``state.json``: ``format``, the version of all this; ``tally``, the epoch's sums so far;
  ``history``, the finished epochs; ``numpy_random``, NumPy's random state at the epoch's start;
  ``optimizer``, its counts of updates and what changes in its schedule.

It is written under another name and renamed, so a folder of that name is complete. Reading one
runs nothing that is in it: the contents are compared with net and trainer before they are used.
"""

import json
import logging
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import gluon

from nin_gluon.atomic_files import explained
from nin_gluon.checked_files import naming, parse_json, read_text
from nin_gluon.errors import InputError
from nin_gluon.training.checkpoint import old_checkpoint, trainer_state
from nin_gluon.training.checkpoint.array_files import Entry, read_safetensors, write_safetensors
from nin_gluon.training.checkpoint.net_parameters import (
    entry_of,
    named_parameters,
    read_parameters,
    set_parameters,
)
from nin_gluon.training.history import EpochRecord, parse_history
from nin_gluon.training.loop import Tally

__all__ = ["complete", "latest", "load", "save", "seed_step"]

log = logging.getLogger(__name__)

FORMAT = 2  # version 0.1 of the package had none; its checkpoints count as 1
LONGEST_STATE = 4 * 2**20  # bytes; an epoch takes 150, and all else 10,000

Device = Any  # mxnet.Context or a list of them


def seed_step(seed: int, epoch: int, step: int, rank: int = 0) -> None:
    """Seed MXNet's random numbers, which draw the dropout masks, for one step of training.

    MXNet can set its random state but not tell it. With a seed for every step the masks do not
    depend on where a run was stopped; with one for every worker (`rank`) each has its own masks.
    Seeding is queued like any operation: nothing waits.
    """
    entropy = (seed, epoch, step, rank) if rank else (seed, epoch, step)
    mx.random.seed(int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31))


# ------------------------------------------------------------------ saving


def save(run: Path, net: gluon.Block, trainer: gluon.Trainer, tally: Tally,
         history: Sequence[EpochRecord], order_state: tuple) -> Path:
    """Write a checkpoint into the run folder and remove the one before; return its path.

    Parameters
    ----------
    run : Path
    net : Block
    trainer : gluon.Trainer
        With SGD or Adam, which updates the parameters itself (``update_on_kvstore=False``).
    tally : Tally
        Of the epoch that is under way, collected.
    history : list of EpochRecord
    order_state : tuple
        ``np.random.get_state()`` from before this epoch's order was drawn.

    Raises
    ------
    WriteError
        The operating system refuses; the checkpoint before is still there.
    """
    folder = Path(run, "checkpoint")
    arrays, numbers = trainer_state.take(trainer, trainer_names(net, trainer))
    name, key, *rest = order_state
    state = {"format": FORMAT, "tally": tally.state(),
             "history": [asdict(record) for record in history],
             "numpy_random": [name, key.tolist(), *rest], "optimizer": numbers}
    target = folder / f"epoch-{tally.epoch:04d}-step-{tally.step:06d}"
    with explained(target):
        folder.mkdir(exist_ok=True)
        older = complete(run)
        for leftover in folder.glob(".saving-*"):  # of a process that was killed while it saved
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
            written = Path(temporary, target.name)
            written.mkdir()
            write_safetensors(written / "net.safetensors", {
                name: parameter.list_data()[0].asnumpy()
                for name, parameter in named_parameters(net).items()})
            write_safetensors(written / "optimizer.safetensors", {
                ".".join(key): array for key, array in arrays.items()})
            (written / "state.json").write_text(json.dumps(state, allow_nan=False), "utf-8")
            if target not in older:
                os.rename(written, target)
        for path in older:
            if path != target:
                shutil.rmtree(path)
    return target


# ------------------------------------------------------------------ finding


def complete(run: Path) -> List[Path]:
    """The checkpoints in a run folder, oldest first."""
    return sorted(Path(run, "checkpoint").glob("epoch-*-step-*"))


def latest(run: Path) -> Path:
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


# ------------------------------------------------------------------ loading


def load(path: Path, net: gluon.Block, trainer: gluon.Trainer,
         ctx: Device) -> Tuple[Tally, List[EpochRecord]]:
    """Put net, trainer and NumPy's random state back to where the checkpoint was taken.

    Nothing is changed before all of the checkpoint has been read and found to fit.

    Returns
    -------
    tally : Tally
    history : list of EpochRecord

    Raises
    ------
    InputError
        The checkpoint is damaged or belongs to another net or optimizer.
    """
    path = Path(path)
    try:
        state = read_state(path / "state.json")
        values = read_parameters(path, net)
        arrays, numbers = read_trainer(path, state, net, trainer)
    except ValueError as error:
        raise InputError(f"the checkpoint {path} cannot be read ({error}); if there is a copy of "
                         "the run folder use that, else start a new run.") from error
    if state["format"] == 1:
        log.warning("the checkpoint %s has the format of version 0.1; the next one that is saved "
                    "will have today's", path)
    set_parameters(net, values, ctx)
    trainer_state.put(trainer, trainer_names(net, trainer), arrays, numbers)
    name, key, *rest = state["numpy_random"]
    np.random.set_state((name, np.array(key, np.uint32), *rest))
    return Tally(**state["tally"]), parse_history(state["history"])


def trainer_names(net: gluon.Block, trainer: gluon.Trainer) -> List[str]:
    """Our names of the trainer's parameters, in its order, which may be another than the net's."""
    names = {id(parameter): name for name, parameter in named_parameters(net).items()}
    return [names[id(parameter)] for parameter in trainer._params]


def read_trainer(path: Path, state: Dict[str, Any], net: gluon.Block,
                 trainer: gluon.Trainer) -> Tuple[trainer_state.Arrays, Dict[str, Any]]:
    """The checked arrays and numbers of the trainer in a checkpoint's folder."""
    kinds, names = trainer_state.kinds_of(trainer), trainer_names(net, trainer)
    parameters = named_parameters(net)
    expected = {(name, kind): entry_of(f"{name}.{kind}", parameters[name])
                for name in names for kind in kinds}
    if state["format"] == 1:
        arrays, numbers = old_checkpoint.read_trainer(path / "trainer.states", expected, names,
                                                      kinds)
    else:
        keys = {entry.name: key for key, entry in expected.items()}
        most_bytes = sum(entry.nbytes for entry in expected.values())

        def accept(entries: List[Entry]) -> None:
            for entry in entries:
                wanted = expected.get(keys.get(entry.name, ("", "")))
                if wanted is None or (entry.shape, entry.dtype) != (wanted.shape, wanted.dtype):
                    raise ValueError("an array's name, shape or type does not fit the net and its "
                                     "optimizer")

        found = read_safetensors(path / "optimizer.safetensors", most_bytes, accept)
        arrays, numbers = {keys[name]: array for name, array in found.items()}, state["optimizer"]
    trainer_state.check_numbers(numbers, trainer, names)
    if kinds and set(arrays) != {(name, kind) for name in numbers["update_counts"]
                                 for kind in kinds}:
        raise ValueError("the optimizer's arrays are not those of the parameters that it updated")
    return arrays, numbers


def read_state(path: Path) -> Dict[str, Any]:
    """The contents of a ``state.json``; those of ``optimizer`` are still to be checked."""
    with naming(path):
        state = parse_json(read_text(path, LONGEST_STATE))
        check_state(state)
        return state  # type: ignore[no-any-return]


def check_state(state: Any) -> None:
    """Raise ValueError unless it is as `save` writes it; add ``format`` where it is missing."""
    if not isinstance(state, dict):
        raise ValueError("it is not a JSON object")
    version = state.setdefault("format", 1)
    if version not in (1, FORMAT) or type(version) is not int:
        raise ValueError(f"it is of another format than 1 to {FORMAT}, perhaps that of a "
                         "newer version")
    keys = ["format", "tally", "history", "numpy_random", "optimizer"][: 3 + version]
    if set(state) != set(keys):
        raise ValueError(f"it does not consist of {', '.join(keys)}")
    check_figures(state["tally"], Tally().state(), "tally")
    parse_history(state["history"])
    if state["tally"]["epoch"] != len(state["history"]) + 1:
        raise ValueError("tally is not of the epoch after those of the history")
    check_random(state["numpy_random"])


def check_figures(value: Any, example: Dict[str, Any], what: str) -> None:
    """Raise ValueError unless it has the keys of `example`, and numbers of the same types.

    Integers are not negative. An integer may stand for a float.
    """
    if not isinstance(value, dict) or set(value) != set(example):
        raise ValueError(f"{what} does not consist of {', '.join(example)}")
    for key, number in value.items():
        if type(number) is not int and type(number) is not type(example[key]):
            raise ValueError(f"{key} of {what} is of the wrong type")
        if type(example[key]) is int and not 0 <= number < 2**53:
            raise ValueError(f"{key} of {what} is no number from 0 to 2**53")


def check_random(value: Any) -> None:
    """Raise ValueError unless it is a state of NumPy's random numbers, which NumPy may trust."""
    try:
        name, key, position, has_gauss, cached = value
        good = (name == "MT19937" and isinstance(key, list) and len(key) == 624
                and all(type(word) is int and 0 <= word < 2**32 for word in key)
                and type(position) is int and 0 <= position <= 624
                and type(has_gauss) is int and has_gauss in (0, 1)
                and type(cached) in (int, float))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError("numpy_random is no state of NumPy's random numbers")
