"""The record of an epoch, and the textbook's line for it, both ways."""

import json
import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

from nin_gluon.atomic_files import write_text
from nin_gluon.checked_files import (
    BadFile,
    check_keys,
    check_number,
    check_whole,
    parse_json,
    read_text,
    reason,
    shown,
)
from nin_gluon.errors import InputError

__all__ = ["EpochRecord", "history_of", "parse_epoch", "parse_history", "parse_living",
           "parse_log", "read_history", "warn_unless_finished", "write_history"]

log = logging.getLogger(__name__)

FLOAT32_MAX = 3.5e38  # of a loss; the mean of finite float32 losses is not above it


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to. ``str()`` gives d2lzh's line."""

    epoch: int  # from 1
    loss: float  # mean over the training images of the cross-entropy, in nats
    train_acc: float  # fraction of the training images classified right while training
    test_acc: float  # fraction of the test images classified right after the epoch
    seconds: float  # wall clock, training and evaluation
    # Numbers of the classes that had a score above zero for any test image; None if nobody looked.
    living: Optional[Tuple[int, ...]] = None
    # test_acc of each class, None for a class without test images; None if nobody looked.
    class_acc: Optional[Tuple[Optional[float], ...]] = None
    training_seconds: Optional[float] = None  # without evaluation; None if nobody looked

    def __str__(self) -> str:
        return (f"epoch {self.epoch}, loss {self.loss:.4f}, train acc {self.train_acc:.3f}, "
                f"test acc {self.test_acc:.3f}, time {self.seconds:.1f} sec")

    def to_json(self) -> Dict[str, Any]:
        """As a JSON object; what nobody looked at is left out."""
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self).items() if value is not None}


LINE = re.compile(r"epoch (\d+), loss (\S+), train acc (\S+), test acc (\S+), time (\S+) sec")


def parse_log(text: str) -> List[EpochRecord]:
    """The records in a textbook log: one for each epoch line, other lines ignored."""
    return [EpochRecord(int(epoch), float(loss), float(train_acc), float(test_acc), float(seconds))
            for epoch, loss, train_acc, test_acc, seconds in LINE.findall(text)]


def write_history(path: Union[str, Path], records: Iterable[EpochRecord]) -> None:
    """Write the records as JSON lines, in full precision; the file appears whole or not at all."""
    write_text(path, "".join(json.dumps(record.to_json()) + "\n" for record in records))


def read_history(path: Union[str, Path]) -> List[EpochRecord]:
    """The records that `write_history` wrote.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    InputError
        The file is damaged; the message names it, the line and what is wrong there.
    """
    records = []
    number = 0
    try:
        for number, line in enumerate(read_text(path).splitlines(), 1):
            records.append(parse_epoch(parse_json(line), number))
    except BadFile:
        raise
    except ValueError as error:
        raise InputError(f"{path} is damaged (line {number}: {reason(error)}); bring back a whole "
                         "copy, or move it away.") from None
    return records


def history_of(run: Path) -> List[EpochRecord]:
    """The epochs of a run folder, none if it has just begun; raises as `read_history`."""
    try:
        return read_history(run / "history.jsonl")
    except FileNotFoundError:
        return []


def parse_history(content: Any) -> List[EpochRecord]:
    """Records from a list of JSON objects; ValueError says what is wrong with it."""
    if not isinstance(content, list):
        raise ValueError(f"history is {shown(content)}, not a list")
    try:
        return [parse_epoch(each, number) for number, each in enumerate(content, 1)]
    except ValueError as error:
        raise ValueError(f"history: {error}") from None


def parse_epoch(content: Any, number: int) -> EpochRecord:
    """A record from its JSON object; ValueError says why it cannot be the epoch of this number."""
    names = ("epoch", "loss", "train_acc", "test_acc", "seconds")
    check_keys(content, names, ["living", "class_acc", "training_seconds"])
    if check_whole("epoch", content["epoch"], 1) != number:
        raise ValueError(f"epoch {content['epoch']} where epoch {number} belongs")
    for name, highest in (("loss", FLOAT32_MAX), ("train_acc", 1), ("test_acc", 1)):
        check_number(name, content[name], highest)
    training_seconds = content.get("training_seconds")
    for name, seconds in (("seconds", content["seconds"]), ("training_seconds", training_seconds)):
        if seconds is not None or name == "seconds":
            check_number(name, seconds, 1e9, lowest=-1e9)  # clocks are set back
    return EpochRecord(**{name: content[name] for name in names},
                       living=parse_living(content.get("living")),
                       class_acc=parse_class_acc(content.get("class_acc")),
                       training_seconds=training_seconds)


def parse_living(content: Any) -> Optional[Tuple[int, ...]]:
    """Class numbers in order, or None; ValueError says what is wrong."""
    if content is None:
        return None
    if not isinstance(content, list) or content != sorted({check_whole("living", number)
                                                           for number in content}):
        raise ValueError(f"living is {shown(content)}, not a list of class numbers in order")
    return tuple(content)


def parse_class_acc(content: Any) -> Optional[Tuple[Optional[float], ...]]:
    if content is None:
        return None
    if not isinstance(content, list):
        raise ValueError(f"class_acc is {shown(content)}, not a list")
    return tuple(None if value is None else check_number("class_acc", value, 1)
                 for value in content)


def warn_unless_finished(run: Path, epochs: int, path: Path) -> None:
    """Say so if these parameters are not those of a finished run."""
    done = len(history_of(run))
    if (run / "diverged.txt").exists():
        log.warning("the run has diverged; these are its last saved parameters, %s", path)
    elif done < epochs:
        log.warning("the run is unfinished (%d of %d epochs); these are its last saved "
                    "parameters, %s", done, epochs, path)
