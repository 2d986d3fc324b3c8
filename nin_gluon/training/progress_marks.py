"""The marks of a run's progress within the epochs, as ``progress.jsonl`` has them."""

import math
from pathlib import Path
from statistics import mean
from typing import Any, Dict, List, Optional

from nin_gluon.checked_files import check_number, is_file, parse_json, read_text

__all__ = ["escape_step", "no_better_than_guessing", "read_marks"]

LN_10 = math.log(10)  # the loss of a net that finds ten classes equally likely, in nats

STEADY = 10  # marks, a tenth of an epoch

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
    of these marks, which are a hundredth of an epoch apart. A bad batch long after that does not
    count. None if the loss never left, or if the marks have no steps.
    """
    if not marks or "step" not in marks[-1]:
        return None
    losses = [mark["loss"] for mark in marks]
    for number in range(len(losses) - STEADY + 1):
        steady = losses[number : number + STEADY]
        if not (no_better_than_guessing(steady[0]) or no_better_than_guessing(mean(steady))):
            return 1 + round(marks[number - 1]["step"]) if number else 1
    return None


def no_better_than_guessing(loss: float) -> bool:
    """Whether a mean loss in nats is less than 1 % below ln 10."""
    return loss > 0.99 * LN_10
