"""Reads the checkpoints of version 0.1, whose optimizer is in a pickle, into today's form."""

import io
from pathlib import Path
from typing import Any, Dict, List, Tuple

from nin_gluon.array_files import Entry, read_entry, scan_ndarray
from nin_gluon.checked_files import naming, open_file
from nin_gluon.training.checkpoint.checks import merged_counts
from nin_gluon.training.engine import OptimizerArrays
from nin_gluon.training.inert_pickle import TRAINER, Made, read_pickle

__all__ = ["read_trainer"]

SCHEDULES = ("CosineScheduler", "MultiFactorScheduler")


def read_trainer(path: Path, expected: Dict[Tuple[str, str], Entry], names: List[str],
                 kinds: Tuple[str, ...]) -> Tuple[OptimizerArrays, Dict[str, Any]]:
    """Arrays and numbers, as `trainer_state.take` gives them, from a ``trainer.states``.

    Parameters
    ----------
    path : Path
    expected : dict
        Shape and type of the arrays that there may be.
    names : list of str
        Of the trainer's parameters.
    kinds : tuple of str
        Of the arrays that the optimizer keeps for each parameter.

    Raises
    ------
    ValueError
        The file is damaged or hostile. The numbers are still to be checked.
    """
    most_bytes = sum(entry.nbytes + 256 for entry in expected.values()) + 2**16
    most_opcodes = 2000 + 60 * (len(names) + len(expected))
    with naming(path), open_file(path, most_bytes) as file:
        pickled = read_pickle(file, TRAINER, most_opcodes)
        if type(pickled) is not tuple or len(pickled) != 2 or type(pickled[0]) is not dict:
            raise ValueError("it does not hold states and an optimizer")
        return arrays_of(pickled[0], expected, names, kinds), numbers_of(pickled[1], names)


def arrays_of(states: Dict[Any, Any], expected: Dict[Tuple[str, str], Entry], names: List[str],
              kinds: Tuple[str, ...]) -> OptimizerArrays:
    """The arrays of a pickled ``Updater.states``."""
    arrays: OptimizerArrays = {}
    for index, state in states.items():
        values = state if type(state) is tuple else () if state is None else (state,)
        if type(index) is not int or not 0 <= index < len(names) or (
                len(values) not in (0, len(kinds))):
            raise ValueError("it has states for other parameters or of another optimizer")
        for kind, value in zip(kinds, values):
            arrays[names[index], kind] = ndarray(value, expected[names[index], kind])
    return arrays


def ndarray(value: Any, expected: Entry) -> Any:
    """The array of a pickled NDArray, which holds its bytes in the format of ``.params``."""
    state = attributes(value, ("NDArray",))
    data = state.get("handle")
    if not (isinstance(data, Made) and data.name == "bytearray" and len(data.arguments) == 1
            and type(data.arguments[0]) is bytes):
        raise ValueError("it has an array without bytes")
    content = data.arguments[0]
    entry = scan_ndarray(io.BytesIO(content), len(content))
    if (entry.shape, entry.dtype) != (expected.shape, expected.dtype):
        raise ValueError("it has an array of other shape or type than its parameter")
    if entry.offset + entry.nbytes != len(content):
        raise ValueError("it has an array with something behind its data")
    return read_entry(io.BytesIO(content), entry)


def attributes(value: Any, classes: Tuple[str, ...]) -> Dict[str, Any]:
    """The attributes of an object of one of these classes."""
    if not isinstance(value, Made) or value.name not in classes or value.state is None:
        raise ValueError(f"it has something else where {' or '.join(classes)} belongs")
    return value.state


def numbers_of(optimizer: Any, names: List[str]) -> Dict[str, Any]:
    """The numbers of a pickled optimizer."""
    state = attributes(optimizer, ("SGD", "Adam"))
    counts, schedule = state.get("_all_index_update_counts"), state.get("lr_scheduler")
    if type(counts) is not dict:
        raise ValueError("it has no counts of updates")
    for by_index in counts.values():
        if type(by_index) is not dict or not all(
                type(i) is int and 0 <= i < len(names) and type(n) is int
                for i, n in by_index.items()):
            raise ValueError("its counts of updates are not those of the net's parameters")
    if schedule is not None:
        changing = attributes(schedule, SCHEDULES)
        schedule = {"name": schedule.name, **{name: changing[name] for name in (
            "base_lr", "count", "cur_step_ind") if name in changing}}
    return {"name": optimizer.name.lower(), "num_update": state.get("num_update"),
            "begin_num_update": state.get("begin_num_update"),
            "update_counts": merged_counts(counts, names), "schedule": schedule, "loss_scale": None}
