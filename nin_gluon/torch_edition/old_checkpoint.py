"""Reads ``checkpoint.pt``, which version 0.1 wrote with `torch.save`, into today's form.

The file is a zip archive of a pickle and of the tensors' bytes. The pickle is read without running
anything, and the tensors are made from their bytes here; `torch.load` is not involved.
"""

import io
import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Tuple

import numpy as np
import torch
from torch import Tensor

from nin_gluon.checked_files import exactly, open_file, size_of
from nin_gluon.training.inert_pickle import TORCH, Global, Made, read_pickle

__all__ = ["NAME", "read"]

NAME = "checkpoint.pt"
MAX_PICKLE = 2**20  # bytes; an epoch takes 90
MAX_OPCODES = 200_000  # an epoch takes 20, a parameter 40
MAX_TENSORS = 1000
MAX_DIMENSIONS = 8

DTYPES: Dict[str, np.dtype] = {"FloatStorage": np.dtype("<f4"), "ByteStorage": np.dtype("u1")}


def read(path: Path, max_bytes: int) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Tensors and state as `nin_gluon.torch_edition.checkpoint.read` gives them.

    Raises
    ------
    FileNotFoundError, ValueError
        The file is missing, damaged or hostile. What is returned still has to be checked.
    """
    with open_file(path, max_bytes) as file:
        data = exactly(file, size_of(file))
    # Not from the file: zipfile reads as much as an archive claims, and Python takes memory first.
    entries = entries_of(io.BytesIO(data), max_bytes)
    saved = read_pickle(io.BytesIO(entries["data.pkl"]), TORCH, MAX_OPCODES)
    net, random = checked(saved)
    tensors = {f"net.{name}": tensor(value, entries) for name, value in net.items()}
    tensors["random.order"] = tensors["random.now"] = tensor(random["cpu"], entries)
    if "cuda" in random:
        tensors["random.cuda"] = tensor(random["cuda"], entries)
    state = {"format": 2, "history": saved["history"], "training_seconds": saved["seconds"],
             "step": 0, "loss_sum": 0.0, "correct": 0, "seconds": 0.0}
    return tensors, state


def entries_of(file: BinaryIO, max_bytes: int) -> Dict[str, bytes]:
    """{name: content} of the archive that `torch.save` made, without the folder in its names."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("it is compressed, which no checkpoint is")
            if sum(entry.file_size for entry in entries) > max_bytes:
                raise ValueError("it claims more data than it has")
            found = {entry.filename.partition("/")[2]: entry for entry in entries}
            if len(found) < len(entries) or "data.pkl" not in found or (
                    found["data.pkl"].file_size > MAX_PICKLE):
                raise ValueError("it does not hold one pickle of a checkpoint's size")
            content = {name: archive.read(entry) for name, entry in found.items()}
    # RuntimeError: it claims to be encrypted.
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError):
        raise ValueError("it is no zip archive, or a damaged one") from None
    if content.get("byteorder", b"little") != b"little":
        raise ValueError("its numbers have their bytes in another order")
    return content


def checked(saved: Any) -> Tuple[Dict[Any, Any], Dict[Any, Any]]:
    """Parameters and random states in what was pickled; ValueError if it is something else."""
    if type(saved) is not dict or set(saved) != {"net", "seconds", "random", "history"}:
        raise ValueError("it is not a checkpoint of nin_gluon.torch_edition")
    net, random = saved["net"], saved["random"]
    if type(net) is not Made or net.name != "OrderedDict" or type(random) is not dict or not (
            {"cpu"} <= set(random) <= {"cpu", "cuda"}):
        raise ValueError("it lacks parameters or random states")
    if len(net.items) > MAX_TENSORS or any(type(name) is not str for name in net.items):
        raise ValueError("it has something else in place of names of parameters")
    return net.items, random


def tensor(value: Any, entries: Dict[str, bytes]) -> Tensor:
    """The tensor that PyTorch would have rebuilt from the archive's bytes; a copy."""
    storage, offset, size, stride, *_ = arguments(value, "_rebuild_tensor_v2", 6)
    what, kind, key, _, length = arguments(storage, "storage", 5)
    if what != "storage" or type(kind) is not Global or kind.name not in DTYPES:
        raise ValueError("it has a tensor of another type than float32 and uint8")
    dtype, data = DTYPES[kind.name], entries.get(f"data/{key}" if type(key) is str else "")
    if data is None or not are_counts([length, offset]) or length * dtype.itemsize != len(data):
        raise ValueError("it has a tensor without its bytes")
    if type(size) is not tuple or type(stride) is not tuple or not are_counts([*size, *stride]) or (
            not len(size) == len(stride) <= MAX_DIMENSIONS):
        raise ValueError("it has a tensor without a shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if 0 in size or not last < length or math.prod(size) > length:
        raise ValueError("it has a tensor that goes beyond its bytes")
    values = np.frombuffer(data, dtype)[offset:]
    # Safe: the last element lies within the array.
    view = np.lib.stride_tricks.as_strided(
        values, size, [step * dtype.itemsize for step in stride], writeable=False)
    return torch.from_numpy(np.array(view, order="C"))


def arguments(value: Any, name: str, count: int) -> Tuple[Any, ...]:
    """The arguments of a call that was pickled."""
    if type(value) is not Made or value.name != name or len(value.arguments) != count:
        raise ValueError("it has something else in place of a tensor")
    return value.arguments


def are_counts(values: List[Any]) -> bool:
    """Whether these are whole numbers from 0 on."""
    return all(type(value) is int and value >= 0 for value in values)
