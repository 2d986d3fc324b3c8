"""Reads the checkpoints that this command wrote before it had the other engines' run folders.

``checkpoint.safetensors`` held the parameters (``net.<name>``) and PyTorch's random states
(``random.order``, from before the order of the epoch was drawn, ``random.now``, and on a GPU
``random.cuda``); all else was JSON, under ``state`` in the metadata. Version 0.1 wrote
``checkpoint.pt`` with `torch.save`: a zip archive of a pickle and of the tensors' bytes. The pickle
is read without running anything, and the tensors are made from their bytes here; `torch.load` is
not involved.
"""

import io
import logging
import math
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Tuple

import numpy as np
import torch

from nin_gluon.array_files import Accept, Entry, opened, read_entry, same, scan_safetensors, total
from nin_gluon.checked_files import (
    BadFile,
    check_number,
    exactly,
    open_file,
    parse_json,
    reason,
    shown,
    size_of,
)
from nin_gluon.errors import InputError
from nin_gluon.torch_edition.data import BatchLoader
from nin_gluon.torch_edition.engine import EditionEngine, check_random
from nin_gluon.training.history import EpochRecord, parse_history
from nin_gluon.training.inert_pickle import TORCH, Global, Made, read_pickle
from nin_gluon.training.tally import Tally

__all__ = ["NAME", "NAME_0_1", "is_there", "restore"]

log = logging.getLogger(__name__)

NAME, NAME_0_1 = "checkpoint.safetensors", "checkpoint.pt"
FORMAT = 2  # of `state`; the files of version 0.1 count as 1
MAX_HEADER = 2**20  # bytes of header, pickle or archive besides the arrays; an epoch takes 150
MAX_OPCODES = 200_000  # an epoch takes 20, a parameter 40
MAX_TENSORS = 1000
MAX_DIMENSIONS = 8

DTYPES: Dict[str, np.dtype] = {"FloatStorage": np.dtype("<f4"), "ByteStorage": np.dtype("u1")}

# What a state holds besides `format` and `history`, and of which type.
NUMBERS = {"training_seconds": float, "step": int, "loss_sum": float, "correct": int,
           "seconds": float}

Arrays = Dict[str, np.ndarray]


def is_there(folder: Path) -> bool:
    """Whether a run folder has such a checkpoint."""
    # lexists: what is no file is named by its reader.
    return any(os.path.lexists(folder / name) for name in (NAME, NAME_0_1))


def restore(folder: Path, engine: EditionEngine, train_iter: BatchLoader,
            ) -> Tuple[List[EpochRecord], Tally]:
    """Put net and random states back to where the checkpoint in a run folder was taken.

    Nothing is changed before all of the checkpoint has been read and found to fit.

    Returns
    -------
    history : list of EpochRecord
    tally : Tally
        Of the epoch under way.

    Raises
    ------
    InputError
        The checkpoint is damaged or of another net.
    """
    path = folder / (NAME if os.path.lexists(folder / NAME) else NAME_0_1)
    names = list(engine.net.state_dict())
    wanted = [Entry(f"net.{name}", tuple(values.shape), np.dtype(np.float32))
              for name, values in engine.net.state_dict().items()]
    try:
        arrays, state = (read if path.name == NAME else read_0_1)(path, wanted)
        random = {name.partition(".")[2]: torch.tensor(array)
                  for name, array in arrays.items() if name.startswith("random.")}
        check_random(random)
        history, tally = progress_of(state, train_iter)
    except ValueError as error:
        words = f"it {error.found}" if isinstance(error, BadFile) else reason(error)
        raise InputError(f"the checkpoint {path} cannot be read ({words}); if there is a copy of "
                         "the run folder use that, else start a new run.") from error
    form = "the format of version 0.1" if path.name == NAME_0_1 else "an earlier format"
    log.warning("%s has %s; the next checkpoint will have today's.", path, form)
    engine.put_parameters({name: arrays[f"net.{name}"] for name in names})
    engine.optimizer.updates = len(history) * len(train_iter) + tally.step
    engine.put_random_states(random)
    return history, tally


def accepted(wanted: List[Entry]) -> Accept:
    """Accepts these parameters and the random states, of which there may be a GPU's."""
    size = torch.get_rng_state().numel()
    byte = np.dtype(np.uint8)
    wanted = [*wanted, *(Entry(name, (size,), byte) for name in ("random.order", "random.now"))]
    gpu = Entry("random.cuda", (16,), byte)

    def accept(entries: List[Entry]) -> None:
        there = any(entry.name == gpu.name for entry in entries)
        same([*wanted, gpu] if there else wanted)(entries)

    return accept


def progress_of(state: Any, train_iter: BatchLoader) -> Tuple[List[EpochRecord], Tally]:
    """History and tally that a state describes; ValueError if it describes none."""
    if not isinstance(state, dict) or set(state) != {"format", "history", *NUMBERS}:
        raise ValueError("its state lacks something, or holds more than it should")
    if state["format"] != FORMAT:
        raise ValueError(f"its format is {shown(state['format'])}, which is unknown here")
    for name, kind in NUMBERS.items():
        value = state[name]
        if type(value) not in (int, kind) or not 0 <= value < math.inf:
            raise ValueError(f"{name} is {shown(value)}")
    if state["step"] > len(train_iter):
        raise ValueError(f"step is {state['step']} of {len(train_iter)}")
    history, step = parse_history(state["history"]), state["step"]
    if history:  # the file has the sum over the epochs
        seconds = check_number("training_seconds", state["training_seconds"], 1e9)
        history[-1] = replace(history[-1], training_seconds=seconds)
    images = min(step * train_iter.batch_size, len(train_iter.labels))
    return history, Tally(len(history) + 1, step, state["loss_sum"], state["correct"], images,
                          state["seconds"])


# ------------------------------------------------------------------ checkpoint.safetensors


def read(path: Path, wanted: List[Entry]) -> Tuple[Arrays, Any]:
    """The arrays and the state in a file; the state and random numbers still have to be checked.

    Raises
    ------
    ValueError
        The file is damaged or holds other arrays.
    """
    with opened(path, total(wanted) + MAX_HEADER) as file:
        entries, metadata = scan_safetensors(file, size_of(file))
        accepted(wanted)(entries)
        if not isinstance(metadata.get("state"), str):
            raise ValueError("its header holds no state")
        return ({entry.name: read_entry(file, entry) for entry in entries},
                parse_json(metadata["state"]))


# ------------------------------------------------------------------ checkpoint.pt


def read_0_1(path: Path, wanted: List[Entry]) -> Tuple[Arrays, Any]:
    """The same of the file that version 0.1 wrote."""
    max_bytes = total(wanted) + MAX_HEADER
    with open_file(path, max_bytes) as file:
        data = exactly(file, size_of(file))
    # Not from the file: zipfile reads as much as an archive claims, and Python takes memory first.
    entries = entries_of(io.BytesIO(data), max_bytes)
    saved = read_pickle(io.BytesIO(entries["data.pkl"]), TORCH, MAX_OPCODES)
    net, random = checked(saved)
    arrays = {f"net.{name}": array_of(value, entries) for name, value in net.items()}
    arrays["random.order"] = arrays["random.now"] = array_of(random["cpu"], entries)
    if "cuda" in random:
        arrays["random.cuda"] = array_of(random["cuda"], entries)
    accepted(wanted)([Entry(name, array.shape, array.dtype) for name, array in arrays.items()])
    return arrays, {"format": FORMAT, "history": saved["history"],
                    "training_seconds": saved["seconds"], "step": 0, "loss_sum": 0.0, "correct": 0,
                    "seconds": 0.0}


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
                    found["data.pkl"].file_size > MAX_HEADER):
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


def array_of(value: Any, entries: Dict[str, bytes]) -> np.ndarray:
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
    return np.array(view, order="C")


def arguments(value: Any, name: str, count: int) -> Tuple[Any, ...]:
    """The arguments of a call that was pickled."""
    if type(value) is not Made or value.name != name or len(value.arguments) != count:
        raise ValueError("it has something else in place of a tensor")
    return value.arguments


def are_counts(values: List[Any]) -> bool:
    """Whether these are whole numbers from 0 on."""
    return all(type(value) is int and value >= 0 for value in values)
