"""The marks of a run's progress within the epochs, as ``progress.jsonl`` has them."""

import math
from pathlib import Path
from typing import Any, Dict, List, Optional

from nin_gluon.checked_files import check_number, is_file, parse_json, read_text

__all__ = ["escape_step", "no_better_than_guessing", "read_marks"]

LN_10 = math.log(10)  # the loss of a net that finds ten classes equally likely, in nats

STEADY = 0.1  # epochs for which a loss must have left ln 10

# Of a mark. Version 0.1 wrote no step.
REQUIRED, OPTIONAL = ("epochs", "loss", "train_acc"), ("step",)


def read_marks(path: Path) -> List[Dict[str, float]]:
    """The marks of a run that goes on; none for a new one, or if the file is damaged.

    They are drawn and nothing more, so a damaged file is no reason to refuse the run.

    Returns
    -------
    list of dict
        As `nin_gluon.training.callbacks.Progress.marks`.

    Raises
    ------
    BadFile
        It is no file, so that the new marks could not be written either.
    """
    if not is_file(path):
        return []
    try:
        return [parse_mark(parse_json(line)) for line in read_text(path).splitlines()]
    except (ValueError, KeyError, TypeError):
        return []


def parse_mark(content: Any) -> Dict[str, float]:
    names = [*REQUIRED, *(name for name in OPTIONAL if name in content)]
    return {name: check_number(name, content[name]) for name in names}


def escape_step(marks: List[Dict[str, float]]) -> Optional[int]:
    """The step, from 1, at which the loss left ln 10.

    From there on it is better than guessing in the mean of a tenth of an epoch, and so is the first
    mark of that time. (Marks are a hundredth of an epoch apart, or more where epochs are short.) A
    bad batch long after that does not count. None if the loss never left, or if a mark has no
    step.
    """
    if not marks or any("step" not in mark for mark in marks):
        return None
    for number, mark in enumerate(marks):
        before = marks[number - 1] if number else {"epochs": 0.0, "step": 0}
        if no_better_than_guessing(mark["loss"]):
            continue
        loss = mean_loss(marks[number:], before["epochs"])
        if loss is not None and not no_better_than_guessing(loss):
            return 1 + round(before["step"])
    return None


def mean_loss(marks: List[Dict[str, float]], since: float) -> Optional[float]:
    """Mean loss of the first tenth of an epoch or more after `since`, in epochs done.

    None if the marks end earlier.
    """
    total, begin = 0.0, since
    for mark in marks:
        total += (mark["epochs"] - begin) * mark["loss"]
        begin = mark["epochs"]
        if begin >= since + STEADY - 1e-9:
            return total / (begin - since)
    return None


def no_better_than_guessing(loss: float) -> bool:
    """Whether a mean loss in nats is less than 1 % below ln 10."""
    return loss > 0.99 * LN_10
