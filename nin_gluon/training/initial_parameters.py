"""The parameters that ``--init-from`` names: told by the file's content, and read safely."""

import hashlib
from pathlib import Path
from typing import Dict

import numpy as np

from nin_gluon.array_files import Entry, check_finite, opened
from nin_gluon.errors import InputError
from nin_gluon.training.saved_parameters import read_in_net_order

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
    wanted = [Entry(name, array.shape, array.dtype) for name, array in like.items()]
    try:
        values = dict(zip(like, read_in_net_order(path, wanted)))
        check_finite(values)
        return values
    except ValueError as error:
        raise InputError(f"--init-from {path} cannot be read as parameters of this net ({error})."
                         ) from None
