"""Reads ``checkpoint.pt``, which version 0.1 wrote with `torch.save`, into today's form.

The file is a zip archive of a pickle and of the tensors' bytes. Before PyTorch's restricted
unpickler sees it, everything it would import or decompress is compared with what such a checkpoint
needs.
"""

import io
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any, Dict, Tuple

import torch
from torch import Tensor

__all__ = ["NAME", "read", "read_bytes"]

NAME = "checkpoint.pt"
MAX_PICKLE = 4 * 2**20  # bytes

# All that the pickle of such a checkpoint names. PyTorch itself would allow more.
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage",
           "torch ByteStorage"}


def read(path: Path, max_bytes: int) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Tensors and state as `nin_gluon.torch_edition.checkpoint.read` gives them.

    Raises
    ------
    ValueError, KeyError, TypeError, RuntimeError, OSError
        The file is damaged or hostile. What is returned still has to be checked.
    """
    data = read_bytes(path, max_bytes)
    check_archive(data, max_bytes)
    try:
        saved = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, IndexError, AttributeError, AssertionError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    net, random = checked(saved)
    tensors = {f"net.{name}": values for name, values in net.items()}
    tensors["random.order"] = tensors["random.now"] = random["cpu"]
    if "cuda" in random:
        tensors["random.cuda"] = random["cuda"]
    state = {"format": 2, "history": saved["history"], "training_seconds": saved["seconds"],
             "step": 0, "loss_sum": 0.0, "correct": 0, "seconds": 0.0}
    return tensors, state


def checked(saved: Any) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
    """Parameters and random states of what was unpickled; ValueError if it is something else."""
    if type(saved) is not dict or set(saved) != {"net", "seconds", "random", "history"}:
        raise ValueError("it is not a checkpoint of nin_gluon.torch_edition")
    net, random = saved["net"], saved["random"]
    if not isinstance(net, dict) or type(random) is not dict or not (
            {"cpu"} <= set(random) <= {"cpu", "cuda"}):
        raise ValueError("it lacks parameters or random states")
    for name, values in [*net.items(), *random.items()]:
        if not isinstance(name, str) or type(values) is not Tensor:
            raise ValueError("it has something else in place of a tensor")
    return net, random


def check_archive(data: bytes, max_bytes: int) -> None:
    """Raise ValueError unless the archive is what `torch.save` makes of a checkpoint."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("it is compressed, which no checkpoint is")
            if sum(entry.file_size for entry in entries) > max_bytes:
                raise ValueError("it claims more data than it has")
            pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > MAX_PICKLE:
                raise ValueError("it does not hold one pickle of a checkpoint's size")
            check_pickle(archive.read(pickles[0]))
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ValueError(f"it is no zip archive: {error}") from None


def check_pickle(data: bytes) -> None:
    """Raise ValueError if a pickle names anything but `GLOBALS`; nothing in it is run."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "PROTO" and argument != 2:
            raise ValueError(f"its pickle has protocol {argument}, which no checkpoint has")
        if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            raise ValueError(f"its pickle uses {opcode.name}, which no checkpoint does")
        if opcode.name == "GLOBAL" and argument not in GLOBALS:
            raise ValueError(f"its pickle names {argument}, which no checkpoint does")


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The bytes of an ordinary file; ValueError if it is none, or too large."""
    if not path.is_file():  # reading a pipe would wait for ever
        raise ValueError("it is not an ordinary file")
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(f"it has {size:,} bytes and should have {max_bytes:,} at most")
    return path.read_bytes()
