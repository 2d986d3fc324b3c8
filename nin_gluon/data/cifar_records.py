"""Reading CIFAR-10's binary format: records of one label byte and three planes of 32x32 bytes.

Source: https://www.cs.toronto.edu/~kriz/cifar.html (binary version).
"""

import os
from pathlib import Path
from typing import Union

import numpy as np

from nin_gluon.data.image_set import Arrays
from nin_gluon.data.regular_files import bad_file, open_file
from nin_gluon.errors import InputError

__all__ = ["read_records"]

SHAPE = (3, 32, 32)  # planes (red, green, blue), rows, columns
RECORD = 1 + 3 * 32 * 32  # bytes
CLASSES = 10


def read_records(path: Union[str, Path]) -> Arrays:
    """Read one file of records, however many it has.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    images : numpy.ndarray, (n, 32, 32, 3), uint8
    labels : numpy.ndarray, (n,), uint8

    Raises
    ------
    InputError
        The file is missing, unreadable or of another form; the message names it and says what was
        found.
    """
    path = Path(path)
    expected = f"records of {RECORD:,} bytes, each a label and 3x32x32 values"

    def bad(found: str) -> InputError:
        return bad_file(path, found, expected)

    with open_file(path, expected) as file:
        size = os.fstat(file.fileno()).st_size  # before memory is taken for it
        if size == 0:
            raise bad("is empty")
        if size % RECORD:
            raise bad(f"has {size:,} bytes, which are {size // RECORD:,} records and "
                      f"{size % RECORD:,} bytes")
        try:
            values = np.fromfile(file, np.uint8, size)
        except MemoryError:
            raise bad(f"holds {size // RECORD:,} records, more than there is memory for") from None
    if values.size < size:
        raise bad("became shorter while it was read")
    records = values.reshape(-1, RECORD)
    labels = records[:, 0].copy()
    if labels.max() >= CLASSES:
        number = int((labels >= CLASSES).argmax())
        raise bad(f"holds the label {labels[number]} in record {number + 1:,}, and labels go from "
                  f"0 to {CLASSES - 1}")
    images = records[:, 1:].reshape(-1, *SHAPE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels
