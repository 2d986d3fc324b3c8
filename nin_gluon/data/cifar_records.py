"""Reading CIFAR-10's binary format: records of one label byte and three planes of 32x32 bytes.

Source: https://www.cs.toronto.edu/~kriz/cifar.html (binary version).
"""

from pathlib import Path

import numpy as np

from nin_gluon.errors import InputError

__all__ = ["read_records"]

SHAPE = (3, 32, 32)  # planes (red, green, blue), rows, columns
RECORD = 1 + 3 * 32 * 32  # bytes


def read_records(path, classes=10):
    """Read one file of records, however many.

    Parameters
    ----------
    path : str or Path
    classes : int
        Every label must be below this.

    Returns
    -------
    images : numpy.ndarray, (n, 32, 32, 3), uint8
    labels : numpy.ndarray, (n,), uint8

    Raises
    ------
    InputError
        The file is not of that form; the message names it and says what was found.
    """
    path = Path(path)

    def bad(found):
        return InputError(
            f"{path} {found}; expected records of {RECORD:,} bytes, each a label and 3x32x32 "
            "values. Put the right file there, or move this one away so that it is looked for "
            "elsewhere and downloaded."
        )

    size = path.stat().st_size  # before memory is taken for it
    if size == 0:
        raise bad("is empty")
    if size % RECORD:
        raise bad(f"has {size:,} bytes, which are {size // RECORD:,} records and "
                  f"{size % RECORD:,} bytes")
    records = np.fromfile(path, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].copy()
    if labels.max() >= classes:
        number = int((labels >= classes).argmax())
        raise bad(f"holds the label {labels[number]} in record {number + 1:,}, and labels go from "
                  f"0 to {classes - 1}")
    images = records[:, 1:].reshape(-1, *SHAPE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels
