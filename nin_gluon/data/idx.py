"""Reading IDX files, the format of MNIST and Fashion-MNIST.

Format: two zero bytes, a type code (8 for uint8), the number of dimensions, each dimension as a
big-endian uint32, then the values. Source: http://yann.lecun.com/exdb/mnist/ (file format).
"""

import gzip
import os
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO, Callable, Optional, Tuple, Union

import numpy as np

from nin_gluon.data.regular_files import bad_file, open_file
from nin_gluon.errors import InputError

__all__ = ["read_idx"]

GZIP_MAGIC = b"\x1f\x8b"
UINT8 = 8


def read_idx(path: Union[str, Path], shape: Tuple[int, ...],
             classes: Optional[int] = None) -> np.ndarray:
    """Read one IDX file of uint8 values, gzipped or not.

    The header is checked before memory for the values is taken, and at most one byte more than
    expected is decompressed. So a damaged or hostile file cannot make this take more memory or
    time than `shape` calls for.

    Parameters
    ----------
    path : str or Path
    shape : tuple of int
        What the file must hold, for example (60000, 28, 28).
    classes : int, optional
        For labels: every value must be below this.

    Returns
    -------
    numpy.ndarray
        `shape`, uint8.

    Raises
    ------
    InputError
        The file is missing, unreadable or has another content. The message names it, what was
        expected and what was found.
    """
    path = Path(path)
    expected = f"an IDX file of {times(shape)} bytes"

    def bad(found: str) -> InputError:
        return bad_file(path, found, expected)

    with open_file(path, expected) as file:
        start = file.read(64)
        if not start:
            raise bad("is empty")
        file.seek(0)
        zipped = start.startswith(GZIP_MAGIC)
        if not zipped and start[:2] != b"\0\0":
            text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
            raise bad(f"is {'a text file' if text else 'neither gzip nor IDX'} "
                      f"(it starts with {start[:12]!r})")
        try:
            stream = gzip.GzipFile(fileobj=file) if zipped else file
            values = read_values(stream, shape, bad)  # type: ignore
        except EOFError:
            size = os.fstat(file.fileno()).st_size
            raise bad(f"ends early (truncated at {size:,} bytes)") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise bad(f"is a damaged gzip file ({error})") from None
    if classes is not None and values.max(initial=0) >= classes:
        raise bad(f"holds the label {values.max()}, and labels go from 0 to {classes - 1}")
    return values.reshape(shape)


def read_values(stream: BinaryIO, shape: Tuple[int, ...],
                bad: Callable[[str], InputError]) -> np.ndarray:
    """Check the header of an uncompressed IDX stream; read its values, as many as `shape` has."""
    header = stream.read(4)
    if len(header) < 4 or header[:2] != b"\0\0":
        raise bad("does not start as an IDX file does")
    if header[2] != UINT8:
        raise bad(f"holds values of type 0x{header[2]:02x}, not unsigned bytes (0x08)")
    if header[3] != len(shape):
        raise bad(f"has {header[3]} dimensions, not {len(shape)}")
    sizes = stream.read(4 * len(shape))
    if len(sizes) < 4 * len(shape):
        raise bad("ends early, within its header")
    found = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    if found != shape:
        raise bad(f"says that it holds {times(found)} bytes")
    values = np.empty(prod(shape), np.uint8)
    read = read_fully(stream, values)
    if read < values.size:
        raise bad(f"ends early, after {read:,} of {values.size:,} values")
    if stream.read(1):
        raise bad("goes on after its last value")
    return values


def read_fully(stream: BinaryIO, values: np.ndarray) -> int:
    """Fill the array from the stream; return how many bytes came before the stream's end."""
    view, read = memoryview(values), 0  # type: ignore
    while read < len(view):
        count = stream.readinto(view[read:])  # type: ignore
        if not count:
            break
        read += count
    return read


def times(shape: Tuple[int, ...]) -> str:
    """A shape in words: ``60,000 x 28 x 28``."""
    return " x ".join(f"{n:,}" for n in shape)
