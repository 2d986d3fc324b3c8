"""Writing files so that nobody ever reads half of one and nothing is lost on the way."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Collection, Iterator, Optional, Union

from nin_gluon.checked_files import open_file, size_of
from nin_gluon.errors import InputError, WriteError, why

__all__ = ["clear_leftovers", "explained", "make_folder", "read_ours", "replacing", "write_ours",
           "write_text"]


@contextlib.contextmanager
def replacing(path: Union[str, Path]) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it there if the block ends without an error.

    Raises
    ------
    WriteError
        The operating system refuses: the disk is full, say, or the folder is read-only or gone.
    """
    path = Path(path)
    with explained(path):
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            temporary = Path(folder, path.name)
            yield temporary
            os.replace(temporary, path)


def clear_leftovers(folder: Path, beside: Collection[str] = ()) -> None:
    """Remove what `replacing` has left in a folder where its process was killed.

    That is a hidden folder with nothing in it but the file for which it is named, and perhaps files
    with one of the names in `beside`. Nobody else may be writing in `folder`.
    """
    for leftover in folder.glob(".*-" + 8 * "[a-z0-9_]"):  # as tempfile names them
        if leftover.is_symlink() or not leftover.is_dir():
            continue
        ours = {leftover.name[1:-9], *beside}
        if all(inside.name in ours and inside.is_file() for inside in leftover.iterdir()):
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write to `path` into a `WriteError` about it."""
    try:
        yield
    except BrokenPipeError:  # of what we print, not of what we write
        raise
    except OSError as error:
        what = path if path.parent.is_dir() else path.parent
        raise WriteError(f"{what} cannot be written: {why(error)}") from error


def write_text(path: Union[str, Path], text: str) -> None:
    """Write a text file (UTF-8) by writing beside it and renaming."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises
    ------
    WriteError
        The operating system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"the folder {path} cannot be made: {why(error)}") from error


def write_ours(path: Union[str, Path], data: bytes, mark: str) -> None:
    """Write a file that contains `mark`, unless it is there as it should be.

    Raises
    ------
    InputError
        Something is in the way: no file, or one without the mark, so somebody else's.
    WriteError
        The operating system refuses.
    """
    path = Path(path)
    if read_ours(path, mark) == data:
        return
    make_folder(path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def read_ours(path: Union[str, Path], mark: str) -> Optional[bytes]:
    """What is in a file that contains `mark`; None if there is no file.

    Raises
    ------
    InputError
        Something is in the way: no file, or one without the mark, so somebody else's.
    """
    before = None
    with contextlib.suppress(FileNotFoundError), open_file(Path(path)) as file:
        before = file.read(size_of(file))
    if before is not None and mark.encode() not in before:
        raise InputError(f"{path} is there and was not written by this command; move it away.")
    return before
