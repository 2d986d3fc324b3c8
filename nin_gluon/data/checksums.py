"""Whether a file is the published one."""

import contextlib
import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import BinaryIO, Iterator, Optional

from nin_gluon.data.image_set import DataFile
from nin_gluon.data.regular_files import open_file

__all__ = ["is_genuine", "md5"]

CHUNK = 1 << 16  # bytes


def is_genuine(path: Path, file: DataFile) -> bool:
    """Whether the file, or what it decompresses to, has one of the accepted checksums.

    It never reads much more than the content should have, so a file that decompresses to
    terabytes is found out after `file.size` bytes.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    with open_file(path, file.name) as stream:
        if file.largest is not None and os.fstat(stream.fileno()).st_size > file.largest:
            return False
        if accepted(stream, file):
            return True
        if file.size is None:
            return False
        stream.seek(0)
        # It has to end as gzip files do: something cut off or added is not the published content.
        with contextlib.suppress(gzip.BadGzipFile, EOFError, zlib.error):
            return accepted(gzip.GzipFile(fileobj=stream), file, file.size)  # type: ignore
    return False


def accepted(stream: BinaryIO, file: DataFile, size: Optional[int] = None) -> bool:
    """Whether the rest of the stream, at most `size` bytes, has one of the file's checksums."""
    sums = hashlib.md5(), hashlib.sha1()
    read = 0
    for chunk in chunks(stream):
        read += len(chunk)
        if size is not None and read > size:
            return False
        for checksum in sums:
            checksum.update(chunk)
    return any(checksum.hexdigest() in file.checksums for checksum in sums)


def md5(path: Path) -> str:
    """The MD5 of a file, in hex."""
    checksum = hashlib.md5()
    with open_file(path, "a data file") as stream:
        for chunk in chunks(stream):
            checksum.update(chunk)
    return checksum.hexdigest()


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The rest of a stream, piece by piece."""
    return iter(lambda: stream.read(CHUNK), b"")
