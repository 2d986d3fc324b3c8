"""The parameters that ``--init-from`` names: told by the file's content, and read safely."""

import hashlib
import re
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from nin_gluon.errors import InputError
from nin_gluon.training.checkpoint.array_files import (
    Entry,
    opened,
    read_params,
    read_safetensors,
)
from nin_gluon.training.checkpoint.checks import same, total

__all__ = ["digest_of", "read_initial"]

MOST_BYTES = 2**32  # larger than any net here


def digest_of(path: Path) -> str:
    """``sha256:`` and the SHA-256 of a file.

    Raises
    ------
    InputError
        It is no ordinary file, or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with opened(path, MOST_BYTES) as file:
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
    except ValueError as error:
        raise InputError(f"--init-from {path}: {error}.") from None
    return f"sha256:{digest.hexdigest()}"


def read_initial(path: Path, digest: str, like: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The parameters in a file.

    Parameters
    ----------
    path : Path
        A ``.params`` that a run exported, or a safetensors file whose arrays are named by position
        (``000.weight``) or as in PyTorch's ``state_dict`` (``0.2.weight``).
    digest : str
        What `digest_of` said when the run began.
    like : dict
        The net's present parameters, in its order.

    Raises
    ------
    InputError
        It is another file than the run began with, damaged, or of another net.
    """
    if digest_of(path) != digest:
        raise InputError(f"{path} has other parameters than when the run began; put the file back "
                         f"with the content {digest}.")
    wanted = [Entry(role(name), array.shape, array.dtype) for name, array in like.items()]

    def accept(entries: List[Entry]) -> None:
        same(wanted, in_order=True)([Entry(role(e.name), e.shape, e.dtype)
                                     for e in in_net_order(entries, path)])

    try:
        read = read_params if path.suffix == ".params" else read_safetensors
        found = read(path, total(wanted), accept)
    except ValueError as error:
        raise InputError(f"--init-from {path} cannot be read as parameters of this net ({error})."
                         ) from None
    names = [e.name for e in in_net_order([Entry(name, array.shape, array.dtype)
                                           for name, array in found.items()], path)]
    return dict(zip(like, (found[name] for name in names)))


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
