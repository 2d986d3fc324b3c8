"""Checks of what a checkpoint holds against what a run expects, before any of it is used."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from nin_gluon.array_files import Entry, read_safetensors, total
from nin_gluon.training.engine import OptimizerArrays

__all__ = ["check_completeness", "merged_counts", "need", "read_optimizer_arrays"]


def read_optimizer_arrays(path: Path, expected: Dict[Tuple[str, str], Entry]) -> OptimizerArrays:
    """The arrays in an ``optimizer.safetensors``: any of those that are expected.

    Raises
    ------
    ValueError
        It is damaged, or has another array.
    """
    keys = {entry.name: key for key, entry in expected.items()}

    def accept(entries: List[Entry]) -> None:
        for entry in entries:
            wanted = expected.get(keys.get(entry.name, ("", "")))
            if wanted is None or (entry.shape, entry.dtype) != (wanted.shape, wanted.dtype):
                raise ValueError("an array's name, shape or type does not fit the net and its "
                                 "optimizer")

    found = read_safetensors(path, total(list(expected.values())), accept)
    return {keys[name]: array for name, array in found.items()}


def check_completeness(arrays: OptimizerArrays, updated: Sequence[str],
                       kinds: Sequence[str]) -> None:
    """Raise ValueError unless there is an array of each kind for each parameter updated so far."""
    if kinds and set(arrays) != {(name, kind) for name in updated for kind in kinds}:
        raise ValueError("the optimizer's arrays are not those of the parameters that it updated")


def need(value: Any, kinds: Dict[str, Any], what: str) -> None:
    """Raise ValueError unless it is a dict of just these keys, its numbers from 0 to 2**53."""
    if not isinstance(value, dict) or set(value) != set(kinds):
        raise ValueError(f"{what} does not consist of {', '.join(map(str, kinds)) or 'nothing'}")
    for key, kind in kinds.items():
        found = value[key]
        if kind is float and type(found) is int:
            found = value[key] = float(found)
        if isinstance(found, bool) or not isinstance(found, kind):
            raise ValueError(f"{key} in {what} is of the wrong type")
        if isinstance(found, (int, float)) and not 0 <= found <= 2**53:
            raise ValueError(f"{key} in {what} is no number from 0 to 2**53")


def merged_counts(counts: Dict[int, Dict[int, int]], names: List[str]) -> Dict[str, int]:
    """How often each parameter was updated, from MXNet's counts by device and index.

    They are alike on the devices in use, and 0 or missing on the others.
    """
    most: Dict[str, int] = {}
    for by_index in counts.values():
        for index, count in by_index.items():
            most[names[index]] = max(count, most.get(names[index], 0))
    return most
