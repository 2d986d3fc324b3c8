"""The record of an epoch, and the textbook's line for it, both ways."""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Iterable, List, Union

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

__all__ = ["FACTS", "EpochRecord", "parse_epoch", "parse_history", "parse_log", "read_history",
           "write_history"]

# What the line of an epoch may say beside its record; see `nin_gluon.experiments.records.Record`.
FACTS = ("living", "class_acc", "escape_step")

FLOAT32_MAX = 3.5e38  # of a loss; the mean of finite float32 losses is not above it


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to. ``str()`` gives d2lzh's line."""

    epoch: int  # from 1
    loss: float  # mean over the training images of the cross-entropy, in nats
    train_acc: float  # fraction of the training images classified right while training
    test_acc: float  # fraction of the test images classified right after the epoch
    seconds: float  # wall clock, training and evaluation

    def __str__(self) -> str:
        return (f"epoch {self.epoch}, loss {self.loss:.4f}, train acc {self.train_acc:.3f}, "
                f"test acc {self.test_acc:.3f}, time {self.seconds:.1f} sec")


LINE = re.compile(r"epoch (\d+), loss (\S+), train acc (\S+), test acc (\S+), time (\S+) sec")


def parse_log(text: str) -> List[EpochRecord]:
    """The records in a textbook log: one for each epoch line, other lines ignored."""
    return [EpochRecord(int(epoch), float(loss), float(train_acc), float(test_acc), float(seconds))
            for epoch, loss, train_acc, test_acc, seconds in LINE.findall(text)]


def write_history(path: Union[str, Path], records: Iterable[EpochRecord]) -> None:
    """Write the records as JSON lines, in full precision; the file appears whole or not at all."""
    write_text(path, "".join(json.dumps(asdict(record)) + "\n" for record in records))


def read_history(path: Union[str, Path]) -> List[EpochRecord]:
    """The records that `write_history` wrote; there may be further facts in their lines.

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
            records.append(parse_epoch(parse_json(line), number, FACTS))
    except BadFile:
        raise
    except ValueError as error:
        raise InputError(f"{path} is damaged (line {number}: {reason(error)}); bring back a whole "
                         "copy, or move it away.") from None
    return records


def parse_history(content: Any) -> List[EpochRecord]:
    """Records from a list of JSON objects; ValueError says what is wrong with it."""
    if not isinstance(content, list):
        raise ValueError(f"history is {shown(content)}, not a list")
    try:
        return [parse_epoch(each, number) for number, each in enumerate(content, 1)]
    except ValueError as error:
        raise ValueError(f"history: {error}") from None


def parse_epoch(content: Any, number: int, optional: Iterable[str] = ()) -> EpochRecord:
    """A record from its JSON object; ValueError says why it cannot be the epoch of this number.

    Keys of `optional` are left for others to check.
    """
    names = [each.name for each in fields(EpochRecord)]
    check_keys(content, names, optional)
    if check_whole("epoch", content["epoch"], 1) != number:
        raise ValueError(f"epoch {content['epoch']} where epoch {number} belongs")
    for name, highest in (("loss", FLOAT32_MAX), ("train_acc", 1), ("test_acc", 1)):
        check_number(name, content[name], highest)
    check_number("seconds", content["seconds"], 1e9, lowest=-1e9)  # clocks are set back
    return EpochRecord(**{name: content[name] for name in names})
