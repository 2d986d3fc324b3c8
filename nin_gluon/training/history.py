"""The record of an epoch, and the textbook's line for it, both ways."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterable, List, Union

from nin_gluon.atomic_files import write_text

__all__ = ["EpochRecord", "parse_log", "read_history", "write_history"]


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
    """The records that `write_history` wrote."""
    lines = Path(path).read_text("utf-8").splitlines()
    return [EpochRecord(**json.loads(line)) for line in lines]
