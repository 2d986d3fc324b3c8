"""The parameters that a run has saved, whichever engine saved them."""

import os
import re
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np

from nin_gluon.array_files import Entry, read_params, read_safetensors, same, total
from nin_gluon.errors import InputError
from nin_gluon.training import checkpoint
from nin_gluon.training.run_folder import exported_models

__all__ = ["newest_parameters", "read_in_net_order", "read_newest"]


def newest_parameters(run: Path) -> Tuple[Path, str]:
    """The file with a run's newest parameters, and what to call it.

    The newest checkpoint, which is called by the name of its folder; without one, the exported net.

    Raises
    ------
    InputError
        The run has saved none.
    """
    saved = checkpoint.complete(run)
    if saved:
        # lexists: what is no file is named by its reader. Version 0.1 wrote .params.
        old = os.path.lexists(saved[-1] / "net.params")
        new = os.path.lexists(saved[-1] / "net.safetensors")
        name = "net.params" if old and not new else "net.safetensors"
        return saved[-1] / name, saved[-1].name
    exported = exported_models(run)
    if not exported:
        raise InputError(f"{run} holds no parameters, neither a checkpoint nor model-*.params or "
                         "model-*.safetensors.")
    return exported[-1], exported[-1].name


def read_newest(run: Path, wanted: List[Entry], model: str) -> Tuple[List[np.ndarray], Path, str]:
    """A run's newest parameters in the order of the net, their file, and what to call it.

    A run that is being trained may replace the file between looking and reading; then the newer one
    is read.

    Parameters
    ----------
    run : Path
    wanted : list of Entry
        As for `read_in_net_order`.
    model : str
        The net's name, for the message.

    Raises
    ------
    InputError
        The run has saved none, or they are damaged or those of another net.
    """
    path, source = newest_parameters(run)
    while True:
        try:
            return read_in_net_order(path, wanted), path, source
        except ValueError as error:
            tried = path
            path, source = newest_parameters(run)
            if path == tried:
                raise InputError(f"{path} cannot be read as parameters of {model} ({error})."
                                 ) from None


def read_in_net_order(path: Path, wanted: List[Entry]) -> List[np.ndarray]:
    """The parameters in a file, in the order of the net.

    Parameters
    ----------
    path : Path
        A ``.params`` of MXNet, or a safetensors file whose arrays are named by position
        (``000.weight``) or as in PyTorch's ``state_dict`` (``0.2.weight``).
    wanted : list of Entry
        The net's parameters, in its order, under any framework's names.

    Raises
    ------
    ValueError
        The file is missing or damaged, or has the parameters of another net.
    """
    wanted = [Entry(role(entry.name), entry.shape, entry.dtype) for entry in wanted]

    def accept(entries: List[Entry]) -> None:
        same(wanted, in_order=True)([Entry(role(e.name), e.shape, e.dtype)
                                     for e in in_net_order(entries, path)])

    read = read_params if path.suffix == ".params" else read_safetensors
    found = read(path, total(wanted), accept)
    entries = [Entry(name, array.shape, array.dtype) for name, array in found.items()]
    return [found[entry.name] for entry in in_net_order(entries, path)]


def role(name: str) -> str:
    """'weight' or 'bias', from any framework's name of a parameter."""
    return re.split(r"[._]", name)[-1]


def in_net_order(entries: List[Entry], path: Path) -> List[Entry]:
    """The entries in the order of the net: that of a ``.params``, or by the numbers in the names.
    """
    if path.suffix == ".params":
        return entries

    def place(entry: Entry) -> Tuple[List[int], Any]:
        return [int(digits) for digits in re.findall(r"\d+", entry.name[:100])], (
            role(entry.name) != "weight")

    return sorted(entries, key=place)
