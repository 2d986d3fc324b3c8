"""Files of named arrays: safetensors, and MXNet's binary ``.params``, which is only read.

A file from somebody else may hold anything. So a reader first walks over the headers, where every
length is compared with the size of the file, and asks its caller whether these are the arrays that
were expected. Only then it takes memory, as much as the accepted arrays need.
"""

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import safetensors

from nin_gluon.checked_files import (
    BadFile,
    exactly,
    naming,
    open_file,
    parse_json,
    size_of,
    unpack,
)

__all__ = ["BFLOAT16", "Accept", "Entry", "check_finite", "opened", "read_entry", "read_params",
           "read_safetensors", "same", "scan_ndarray", "scan_safetensors", "total",
           "write_safetensors"]

# How MXNet shows bfloat16, which NumPy lacks: the bits, as a record of one field.
BFLOAT16 = np.dtype([("bfloat16", np.uint16)])

SAFETENSORS_DTYPES: Dict[str, np.dtype] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": BFLOAT16,
    "U8": np.dtype("u1")}
WRITTEN_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
                  "U8": "uint8"}
MXNET_DTYPES: Dict[int, np.dtype] = {  # by mshadow's TypeFlag
    0: np.dtype("<f4"), 1: np.dtype("<f8"), 2: np.dtype("<f2"), 12: BFLOAT16}

LIST_MAGIC = 0x112  # of a file of arrays; kMXAPINDArrayListMagic in MXNet's src/c_api
NDARRAY_MAGIC = 0xF993FAC9  # of one dense array; NDARRAY_V2_MAGIC in src/ndarray/ndarray.cc

MOST_ARRAYS = 10_000
MOST_DIMENSIONS = 8
LONGEST_NAME = 1000  # bytes
LONGEST_HEADER = 256 * 2**10  # bytes, of a safetensors file; 24 parameters need 3 kB


@dataclass(frozen=True)
class Entry:
    """What a header says about one array, or ought to say."""

    name: str
    shape: Tuple[int, ...]
    dtype: np.dtype
    offset: int = 0  # of its data in the file

    @property
    def nbytes(self) -> int:
        """Size of the data in bytes; in Python's integers, which do not overflow."""
        return math.prod(self.shape) * self.dtype.itemsize


# Gets what the headers say, before data is read; raises ValueError if that is not wanted.
Accept = Callable[[List[Entry]], None]


def total(entries: Sequence[Entry]) -> int:
    """Bytes of data."""
    return sum(entry.nbytes for entry in entries)


def check_finite(values: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError if one of these arrays has a number that is not finite."""
    for name, array in values.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")


def same(wanted: List[Entry], in_order: bool = False) -> Accept:
    """Accepts what is in a file if it is just this, in any order or in this one."""

    def accept(entries: List[Entry]) -> None:
        if len(entries) != len(wanted):
            raise ValueError(f"{len(entries)} arrays instead of {len(wanted)}")
        by_name = {entry.name: entry for entry in entries}
        for i, mine in enumerate(wanted):
            found = entries[i] if in_order else by_name.get(mine.name)
            if found is None or found.name != mine.name:
                raise ValueError(f"it has no {mine.name} where the net has one")
            if (found.shape, found.dtype) != (mine.shape, mine.dtype):
                raise ValueError(f"{mine.name} is not of the net's shape and type, "
                                 f"{mine.shape} and {mine.dtype.name}")

    return accept


@contextlib.contextmanager
def opened(path: Path, most_bytes: int) -> Iterator[BinaryIO]:
    """Open a file of arrays; whatever is wrong with it is a ValueError that names it."""
    with naming(path), open_file(path, most_bytes) as file:
        if not size_of(file):
            raise BadFile(path, "is empty")
        yield file


# ------------------------------------------------------------------ safetensors


def write_safetensors(path: Path, arrays: Dict[str, np.ndarray],
                      metadata: Optional[Dict[str, str]] = None) -> None:
    """Write arrays as a safetensors file, to the bit.

    They are of float64, float32, float16, uint8 or `BFLOAT16`. `metadata` goes into the file's
    header.
    """
    kinds = {dtype: WRITTEN_DTYPES[name] for name, dtype in SAFETENSORS_DTYPES.items()}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    Path(path).write_bytes(safetensors.serialize(
        {name: tensor_spec(kinds[array.dtype], array) for name, array in arrays.items()},
        metadata))


def tensor_spec(dtype: str, array: np.ndarray) -> Any:
    """What `safetensors.serialize` wants for an array, which has to outlive the call."""
    if hasattr(safetensors, "TensorSpec"):  # from 0.8 on
        return safetensors.TensorSpec(dtype=dtype, shape=array.shape, data_ptr=array.ctypes.data,
                                      data_len=array.nbytes)
    return {"dtype": dtype, "shape": array.shape, "data": array.tobytes()}


def read_safetensors(path: Path, most_bytes: int, accept: Accept) -> Dict[str, np.ndarray]:
    """Read a safetensors file of `most_bytes` bytes of data at most.

    The package's own readers map the file into memory, so one that is cut short meanwhile ends
    the process, or copy all arrays once more. Hence this one.

    Raises
    ------
    ValueError
        The file is damaged, or not what `accept` wants.
    """
    with opened(path, most_bytes + LONGEST_HEADER + 8) as file:
        entries, _ = scan_safetensors(file, size_of(file))
        accept(entries)
        return {entry.name: read_entry(file, entry) for entry in entries}


def scan_safetensors(file: BinaryIO, size: int) -> Tuple[List[Entry], Dict[str, Any]]:
    """What the header says: the arrays, in the order of the data, and the metadata, unchecked."""
    length, = unpack(file, "<Q")
    if length > min(size - 8, LONGEST_HEADER):
        raise ValueError("the header is longer than the file or than any header of ours")
    header = parse_json(exactly(file, length))
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    metadata = header.pop("__metadata__", None)
    entries, ends = [], {}
    for name, described in header.items():
        if not isinstance(described, dict) or set(described) != {"dtype", "shape", "data_offsets"}:
            raise ValueError("the header does not give dtype, shape and offsets of each array")
        dtype, shape, offsets = (described[key] for key in ("dtype", "shape", "data_offsets"))
        if not isinstance(dtype, str) or dtype not in SAFETENSORS_DTYPES:
            raise ValueError(f"an array is not of one of the types {', '.join(SAFETENSORS_DTYPES)}")
        if not are_counts(shape) or len(shape) > MOST_DIMENSIONS:
            raise ValueError("the shape of an array is not a short list of sizes")
        if not are_counts(offsets) or len(offsets) != 2:
            raise ValueError("the offsets of an array are not two numbers")
        entry = Entry(name, tuple(shape), SAFETENSORS_DTYPES[dtype], 8 + length + offsets[0])
        ends[name] = 8 + length + offsets[1]
        if entry.offset + entry.nbytes != ends[name]:
            raise ValueError("an array has more or less data than its shape needs")
        entries.append(entry)
    entries.sort(key=lambda entry: (entry.offset, ends[entry.name]))
    position = 8 + length
    for entry in entries:
        if entry.offset != position:
            raise ValueError("the arrays overlap or leave a gap")
        position = ends[entry.name]
    if position != size:
        raise ValueError("the file does not end where its arrays do")
    return entries, metadata if isinstance(metadata, dict) else {}


def are_counts(value: Any) -> bool:
    """Whether it is a list of integers from 0 on."""
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


# ------------------------------------------------------------------ MXNet's .params


def read_params(path: Path, most_bytes: int, accept: Accept) -> Dict[str, np.ndarray]:
    """Read a file that ``Block.save_parameters`` or ``Block.export`` wrote.

    MXNet's own reader trusts the lengths in the file: a wrong one ends the process, or takes all
    memory there is.

    Parameters
    ----------
    path : Path
    most_bytes : int
        Of data; the file is refused if it is larger by more than its headers explain.
    accept : callable
        As `Accept` says.

    Returns
    -------
    dict of str to ndarray
        In the order of the file; float64, float32, float16 or `BFLOAT16`.

    Raises
    ------
    ValueError
        The file is damaged, or not what `accept` wants.
    """
    with opened(path, most_bytes + MOST_ARRAYS * 256) as file:
        size = size_of(file)
        magic, reserved, count = unpack(file, "<QQQ")
        if magic != LIST_MAGIC or reserved:
            raise ValueError("it is no file of MXNet parameters")
        if count > MOST_ARRAYS:
            raise ValueError(f"it claims to hold {count:,} arrays")
        found = []
        for _ in range(count):
            found.append(scan_ndarray(file, size))
            file.seek(found[-1].nbytes, os.SEEK_CUR)
        names = scan_names(file, count)
        if file.tell() != size:
            raise ValueError("the file does not end where its names do")
        entries = [Entry(name, entry.shape, entry.dtype, entry.offset)
                   for name, entry in zip(names, found)]
        accept(entries)
        return {entry.name: read_entry(file, entry) for entry in entries}


def scan_ndarray(file: BinaryIO, size: int) -> Entry:
    """Read the header of one array in MXNet's format; leave the file where its data begin.

    Raises
    ------
    ValueError
        It is damaged, sparse, of another type, or its data go beyond `size`.
    """
    magic, storage = unpack(file, "<Ii")
    if magic != NDARRAY_MAGIC or storage != 0:
        raise ValueError("an array is not in MXNet's dense format")
    dimensions, = unpack(file, "<i")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"an array claims {dimensions} dimensions")
    shape = unpack(file, f"<{dimensions}q")
    if min(shape) < 0:
        raise ValueError("an array has a negative size")
    _, _, flag = unpack(file, "<iii")  # device and its number, which no longer matter
    if flag not in MXNET_DTYPES:
        raise ValueError("an array is not of float64, float32, float16 or bfloat16")
    entry = Entry("", shape, MXNET_DTYPES[flag], file.tell())
    if entry.offset + entry.nbytes > size:
        raise ValueError("the file ends within an array")
    return entry


def scan_names(file: BinaryIO, count: int) -> List[str]:
    """The names that follow the arrays."""
    if unpack(file, "<Q") != (count,):
        raise ValueError("there are not as many names as arrays")
    names = []
    for _ in range(count):
        length, = unpack(file, "<Q")
        if length > LONGEST_NAME:
            raise ValueError(f"a name claims {length:,} bytes")
        names.append(exactly(file, length).decode("utf-8"))
    if len(set(names)) != count:
        raise ValueError("a name is there twice")
    return names


def read_entry(file: BinaryIO, entry: Entry) -> np.ndarray:
    """The array that an entry describes."""
    file.seek(entry.offset)
    return np.frombuffer(exactly(file, entry.nbytes), entry.dtype).reshape(entry.shape)
