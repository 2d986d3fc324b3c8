"""Writing files so that a reader never sees half of one and nothing is lost on the way."""

import contextlib
import os
import tempfile
from pathlib import Path

from nin_gluon.errors import InputError

__all__ = ["replacing", "write_ours", "write_text"]


@contextlib.contextmanager
def replacing(path):
    """Give a temporary path beside `path`; rename it there when the block ends without error."""
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        yield temporary
        os.replace(temporary, path)


def write_text(path, text):
    """Write a text file (UTF-8) by writing beside it and renaming."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_ours(path, data, mark):
    """Write a file that has `mark` in it, unless it is there as it should be.

    Raises
    ------
    InputError
        A file without the mark, so somebody else's, is in the way.
    """
    path = Path(path)
    before = path.read_bytes() if path.exists() else None
    if before == data:
        return
    if before is not None and mark.encode() not in before:
        raise InputError(f"{path} is there and was not written by this command; move it away.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
