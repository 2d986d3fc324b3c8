"""Opening data files safely: whatever is wrong with one ends in a single clear line.

A directory, a pipe or a device may stand where a file belongs, and reading from a pipe or a device
may never end. So nothing is opened before it is known to be a regular file.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Iterator

from nin_gluon.errors import InputError, why

__all__ = ["bad_file", "is_file", "open_file"]

REMEDY = ("Put the right file there, or move this one away so that it is looked for elsewhere and "
          "downloaded.")

KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def bad_file(path: Path, found: str, expected: str, remedy: str = REMEDY) -> InputError:
    """The error that names the file, what is wrong, what was expected and what to do."""
    return InputError(f"{path} {found}; expected {expected}. {remedy}")


def is_file(path: Path, expected: str) -> bool:
    """Whether a regular file is there; False if there is nothing.

    Parameters
    ----------
    path : Path
    expected : str
        What should be there, for the message.

    Raises
    ------
    InputError
        Something else is there, or this user may not look.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise bad_file(path, "is a link to a file that does not exist", expected) from None
        return False
    except OSError as error:
        raise bad_file(path, f"cannot be read ({why(error)})", expected) from None
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise bad_file(path, f"is {kind}, not a file", expected)
    return True


@contextlib.contextmanager
def open_file(path: Path, expected: str) -> Iterator[BinaryIO]:
    """Open a regular file for reading bytes; use the block only to read from it.

    Raises
    ------
    InputError
        There is no such file, or opening it or reading from it fails.
    """
    if not is_file(path, expected):
        raise bad_file(path, "does not exist", expected, "Put the right file there.")
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise bad_file(path, f"cannot be read ({why(error)})", expected) from None
