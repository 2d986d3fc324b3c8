"""The record of a run folder, as the train command leaves it. Records are made of nothing else."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping, Optional

from nin_gluon.checked_files import check_text, read_text, reason, shown
from nin_gluon.errors import InputError
from nin_gluon.experiments.records import (
    Record,
    check_head,
    device_kind,
    train_command,
    whole_run,
)
from nin_gluon.training.history import history_of
from nin_gluon.training.progress_marks import escape_step, read_marks
from nin_gluon.training.run_folder import RunConfig, read_config

__all__ = ["record_of_run"]


def record_of_run(folder: Path) -> Record:
    """The record of a run folder; its history may be shorter than its settings ask for.

    Raises
    ------
    InputError
        It is no run folder, a file in it is damaged, or several workers made the run.
    """
    folder = Path(folder)
    config = read_config(folder)
    machine = config.environment.machine or {}
    if config.environment.workers != 1:
        raise InputError(f"{folder} was made by {config.environment.workers} workers, each with a "
                         "batch of its own in every step; only runs of one process follow a "
                         "published recipe.")
    try:
        device = device_of(config, machine)
        if not device:
            raise InputError(f"{folder / 'config.json'} does not say on which device the run was "
                             f"made; python -m nin_gluon.train --resume {folder} writes it there.")
        ctx = config.environment.ctx
        record = Record(config.settings, device, ctx, machine, train_command(config.settings, ctx),
                        divergence_of(folder), (), config.environment.own_data)
        check_head(record)
        record = replace(record, history=tuple(history_of(folder)),
                         escape_step=escape_step(read_marks(folder / "progress.jsonl")))
        return record if not record.finished else whole_run(record)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"the run folder {folder} is damaged ({reason(error)}); move it away to "
                         "have the run made again.") from None


def device_of(config: RunConfig, machine: Mapping[str, Any]) -> str:
    """The kind of device a run was made on; '' if its config does not say."""
    if "devices" in machine:
        names = machine["devices"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"devices is {shown(names)}, not a list of names")
        return device_kind(names)
    # A run made before the devices were kept. Only CPUs have bfloat16.
    given = "cpu" if config.settings.dtype == "bfloat16" else config.environment.ctx
    return device_kind(re.findall("cpu|gpu", given))


def divergence_of(folder: Path) -> Optional[str]:
    """How a run diverged, in a line; None if it did not. ValueError says that it is no text."""
    try:
        words = read_text(folder / "diverged.txt").split()
    except FileNotFoundError:
        return None
    return check_text("diverged.txt", " ".join(words))
