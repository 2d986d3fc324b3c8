"""Opening data files: whatever is wrong with one ends in a line that says what was expected."""

import contextlib
from pathlib import Path
from typing import BinaryIO, Iterator

from nin_gluon import checked_files
from nin_gluon.checked_files import BadFile
from nin_gluon.errors import InputError

__all__ = ["bad_file", "is_file", "open_file"]

REMEDY = ("Put the right file there, or move this one away so that it is looked for elsewhere and "
          "downloaded.")


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
        return checked_files.is_file(path)
    except BadFile as error:
        raise bad_file(path, error.found, expected) from None


@contextlib.contextmanager
def open_file(path: Path, expected: str) -> Iterator[BinaryIO]:
    """Open a regular file for reading bytes; use the block only to read from it.

    Raises
    ------
    InputError
        There is no such file, or opening it or reading from it fails.
    """
    try:
        with checked_files.open_file(path) as file:
            yield file
    except FileNotFoundError:
        raise bad_file(path, "does not exist", expected, "Put the right file there.") from None
    except BadFile as error:
        raise bad_file(path, error.found, expected) from None
