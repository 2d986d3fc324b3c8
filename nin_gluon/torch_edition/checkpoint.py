"""Saving a run between two steps, and going on from there as if it had never stopped.

A checkpoint is one file, ``checkpoint.safetensors``. Its tensors are the parameters
(``net.<name>``) and PyTorch's random states: ``random.order`` from before the order of the epoch
was drawn, ``random.now``, and on a GPU ``random.cuda``. All else is JSON, under ``state`` in the
file's metadata. Nothing in such a file can run code.
"""

import json
import logging
import math
import os
from pathlib import Path
from typing import Any, Dict, Tuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from nin_gluon.atomic_files import replacing
from nin_gluon.checked_files import (
    BadFile,
    exactly,
    open_file,
    parse_json,
    reason,
    shown,
    size_of,
    unpack,
)
from nin_gluon.errors import InputError
from nin_gluon.torch_edition import old_checkpoint
from nin_gluon.torch_edition.loop import Progress
from nin_gluon.training.history import parse_history

__all__ = ["NAME", "load", "save"]

log = logging.getLogger(__name__)

NAME = "checkpoint.safetensors"
FORMAT = 2  # of `state`; the files of version 0.1 count as 1
MAX_HEADER = 4 * 2**20  # bytes; an epoch takes 150, and all else 5,000
MAX_RANDOM = 2**16  # bytes of all random states

# What a state holds besides `format` and `history`, and of which type.
NUMBERS = {"training_seconds": float, "step": int, "loss_sum": float, "correct": int,
           "seconds": float}


# ------------------------------------------------------------------ saving


def save(folder: Path, net: nn.Module, progress: Progress, device: torch.device) -> None:
    """Write a checkpoint of a run that is between two steps; it replaces the one before.

    Parameters
    ----------
    folder : Path
        The run folder.
    net : nn.Module
    progress : Progress
        Collected.
    device : torch.device
        Whose random numbers draw the dropout masks, if it is a GPU.
    """
    now = torch.get_rng_state()
    order = progress.order_state if progress.step else None
    tensors = {f"net.{name}": values for name, values in net.state_dict().items()}
    tensors.update({"random.order": now if order is None else order, "random.now": now})
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    state = {"format": FORMAT, "history": [record.to_json() for record in progress.history],
             **{name: getattr(progress, name) for name in NUMBERS}}
    write_tensors(folder / NAME, tensors, {"state": json.dumps(state, allow_nan=False)})


def write_tensors(path: Path, tensors: Dict[str, Tensor], metadata: Dict[str, str]) -> None:
    """Write a safetensors file; it appears whole or not at all."""
    # clone: safetensors takes no two tensors that share memory.
    packed = {name: values.detach().cpu().clone(memory_format=torch.contiguous_format)
              for name, values in tensors.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(packed, metadata))


# ------------------------------------------------------------------ loading


def load(folder: Path, net: nn.Module, device: torch.device, steps: int) -> Progress:
    """Put net and random states back to where the newest checkpoint was taken.

    Nothing is changed before all of the checkpoint has been read and found to fit.

    Parameters
    ----------
    folder : Path
        The run folder. Without a checkpoint the run was stopped before the first one, and begins
        anew: the seed alone says how.
    net : nn.Module
    device : torch.device
    steps : int
        Of an epoch.

    Raises
    ------
    InputError
        The checkpoint is damaged, of another net, or missing from a run that has finished epochs.
    """
    path, old = folder / NAME, folder / old_checkpoint.NAME
    # lexists: what is no file is named by its reader.
    if not os.path.lexists(path) and not os.path.lexists(old):
        if (folder / "history.jsonl").exists():
            raise InputError(f"{path} is missing; if there is a copy of the run folder use that, "
                             "else start a new run.")
        return Progress()
    path = path if os.path.lexists(path) else old
    try:
        if path is old:
            tensors, state = old_checkpoint.read(path, size_limit(net))
        else:
            tensors, state = read(path, size_limit(net))
        check_tensors(tensors, net)
        progress = progress_of(state, steps)
    # RuntimeError: PyTorch takes no such random state.
    except (ValueError, RuntimeError, safetensors.SafetensorError) as error:
        words = f"it {error.found}" if isinstance(error, BadFile) else reason(error)
        raise InputError(f"the checkpoint {path} cannot be read ({words}); if there is a copy of "
                         "the run folder use that, else start a new run.") from error
    if path is old:
        log.warning("%s has the format of version 0.1; the next checkpoint will be %s.", path, NAME)
    restore(tensors, net, progress, device)
    return progress


def restore(tensors: Dict[str, Tensor], net: nn.Module, progress: Progress,
            device: torch.device) -> None:
    """Set net and random states. The loop draws the order first, then needs `random_state`."""
    net.load_state_dict({name: tensors[f"net.{name}"] for name in net.state_dict()})
    torch.set_rng_state(tensors["random.order"])
    progress.random_state = tensors["random.now"]
    if device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], device)


def size_limit(net: nn.Module) -> int:
    """How many bytes a checkpoint of this net can have."""
    return MAX_HEADER + MAX_RANDOM + sum(values.numel() * values.element_size()
                                         for values in net.state_dict().values())


def read(path: Path, max_bytes: int) -> Tuple[Dict[str, Tensor], Any]:
    """The tensors and the state in a file; both still have to be checked.

    Raises
    ------
    FileNotFoundError, ValueError, safetensors.SafetensorError
        The file is missing or damaged.
    """
    with open_file(path, max_bytes) as file:
        length, = unpack(file, "<Q")
        if length > MAX_HEADER:
            raise ValueError(f"its header claims {length:,} bytes")
        header = parse_json(exactly(file, length))
        file.seek(0)
        data = exactly(file, size_of(file))
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("state"), str):
        raise ValueError("its header holds no state")
    return safetensors.torch.load(data), parse_json(metadata["state"])


def check_tensors(tensors: Dict[str, Tensor], net: nn.Module) -> None:
    """Raise ValueError unless these are the net's parameters and random states."""
    expected = {f"net.{name}": values for name, values in net.state_dict().items()}
    for name in ("random.order", "random.now"):
        expected[name] = torch.get_rng_state()
    found = {name: values for name, values in tensors.items() if name != "random.cuda"}
    if set(found) != set(expected):
        raise ValueError("its tensors are not those of this net")
    for name, values in found.items():
        if (values.dtype, values.shape) != (expected[name].dtype, expected[name].shape):
            raise ValueError(f"{name} has another type or shape than in this net")
    for name in ("random.order", "random.now"):
        torch.Generator().set_state(tensors[name])  # RuntimeError if it is no state
    cuda = tensors.get("random.cuda")
    if cuda is not None and (cuda.dtype, cuda.shape) != (torch.uint8, (16,)):
        raise ValueError("random.cuda is no random state of a GPU")


def progress_of(state: Any, steps: int) -> Progress:
    """The progress that a state describes; ValueError if it describes none."""
    if not isinstance(state, dict) or set(state) != {"format", "history", *NUMBERS}:
        raise ValueError("its state lacks something, or holds more than it should")
    if state["format"] != FORMAT:
        raise ValueError(f"its format is {shown(state['format'])}, which is unknown here")
    for name, kind in NUMBERS.items():
        value = state[name]
        if type(value) not in (int, kind) or not 0 <= value < math.inf:
            raise ValueError(f"{name} is {shown(value)}")
    if state["step"] > steps:
        raise ValueError(f"step is {state['step']} of {steps}")
    return Progress(parse_history(state["history"]), **{name: state[name] for name in NUMBERS})
