"""Saving a run between two steps and going on from there as if it had never stopped.

A checkpoint is a folder ``RUN/checkpoint/epoch-EEEE-step-SSSSSS`` with

- ``net.safetensors``, the parameters, named by their position in the net: ``000.weight``;
- ``optimizer.safetensors``, what the optimizer keeps for each of them: ``000.weight.momentum`` of
  SGD, ``000.weight.mean`` and ``000.weight.variance`` of Adam;
- ``state.json``: ``format``, the version of all this; ``tally``, the epoch's sums so far;
  ``history``, the finished epochs; ``numpy_random``, NumPy's random state at the epoch's start;
  ``optimizer``, its counts of updates and what changes in its schedule.

It is written under another name and renamed, so a folder of that name is complete. Reading one
runs nothing that is in it: the contents are compared with net and optimizer before they are used.
"""

import errno
import json
import logging
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from nin_gluon.array_files import check_finite, write_safetensors
from nin_gluon.atomic_files import explained
from nin_gluon.checked_files import naming, parse_json, read_text
from nin_gluon.errors import InputError
from nin_gluon.training.engine import Engine
from nin_gluon.training.history import EpochRecord, parse_history
from nin_gluon.training.tally import Tally

__all__ = ["complete", "latest", "load", "save"]

log = logging.getLogger(__name__)

FORMAT = 2  # version 0.1 of the package had none; its checkpoints count as 1
NAME = re.compile(r"epoch-\d{4,}-step-\d{6,}")
LONGEST_STATE = 4 * 2**20  # bytes; an epoch takes 150, and all else 10,000


# ------------------------------------------------------------------ saving


def save(run: Path, engine: Engine, tally: Tally, history: Sequence[EpochRecord],
         order_state: tuple) -> Path:
    """Write a checkpoint into the run folder and remove the one before; return its path.

    Parameters
    ----------
    run : Path
    engine : Engine
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
    arrays, numbers = engine.optimizer_state()
    name, key, *rest = order_state
    state = {"format": FORMAT, "tally": tally.state(),
             "history": [record.to_json() for record in history],
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
            write_safetensors(written / "net.safetensors", engine.parameters())
            write_safetensors(written / "optimizer.safetensors", {
                ".".join(key): array for key, array in arrays.items()})
            (written / "state.json").write_text(json.dumps(state, allow_nan=False), "utf-8")
            if target not in older:
                for part in (*written.iterdir(), written):
                    to_disk(part)
                os.rename(written, target)
                to_disk(folder)  # before the one that it replaces is removed: power may fail
        for path in older:
            if path != target:
                shutil.rmtree(path)
    return target


def to_disk(path: Path) -> None:
    """Have the operating system write a file or folder to the disk now, as far as it can."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (folder and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # some file systems
            raise
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------ finding


def complete(run: Path) -> List[Path]:
    """The checkpoints in a run folder, oldest first. Folders of other names are the user's."""
    return sorted(path for path in Path(run, "checkpoint").glob("epoch-*-step-*")
                  if NAME.fullmatch(path.name))


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


def load(path: Path, engine: Engine) -> Tuple[Tally, List[EpochRecord]]:
    """Put net, optimizer and NumPy's random state back to where the checkpoint was taken.

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
        values = engine.read_parameters(path)
        check_finite(values)
        arrays, numbers = engine.read_optimizer_state(path, state)
    except ValueError as error:
        raise InputError(f"the checkpoint {path} cannot be read ({error}); if there is a copy of "
                         "the run folder use that, else start a new run.") from error
    if state["format"] == 1:
        log.warning("the checkpoint %s has the format of version 0.1; the next one that is saved "
                    "will have today's", path)
    engine.put_parameters(values)
    engine.put_optimizer_state(arrays, numbers)
    name, key, *rest = state["numpy_random"]
    np.random.set_state((name, np.array(key, np.uint32), *rest))
    return Tally(**state["tally"]), parse_history(state["history"])


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
