"""Writing files so that a reader never sees half of one and nothing is lost on the way."""

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["replacing", "write_text"]


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
