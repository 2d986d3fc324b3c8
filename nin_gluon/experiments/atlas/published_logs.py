"""Published training logs of the chapter's net, and the files that hold them.

An atlas file is one JSON object, a run a line::

    {"format": "nin_gluon.atlas 1",
     "runs": [
      {"framework": "mxnet", "recipe": "sgd-0.1", "epochs": 5, "device": "gpu(0)",
       "read_from": "printed", "loss": [2.2627, ...], "train_acc": [0.154, ...],
       "test_acc": [0.362, ...], "sources": ["owner/repository@commit:path"]}
     ]}

A value that was not published is null. ``atlas.json`` beside this module is the packaged file; it
is never written to. A user's own file has the same layout.
"""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from nin_gluon.atomic_files import write_text
from nin_gluon.checked_files import (
    BadFile,
    check_number,
    check_text,
    parse_json,
    read_text,
    reason,
    shown,
)
from nin_gluon.errors import InputError
from nin_gluon.text_tables import counted

__all__ = ["FRAMEWORKS", "LOSS_KINDS", "MAX_EPOCHS", "PACKAGED", "QUANTITIES", "READ_FROM",
           "RECIPES", "PublishedLog", "is_copy", "read_atlas", "write_atlas"]

PACKAGED = Path(__file__).with_name("atlas.json")

FORMAT = "nin_gluon.atlas 1"

FRAMEWORKS = {
    "mxnet": "MXNet",  # the first edition, with MXNet's own arrays
    "mxnet-np": "MXNet np",  # later editions, with its NumPy interface
    "pytorch": "PyTorch",
    "tensorflow": "TensorFlow",
    "paddle": "Paddle",
    "jax": "JAX",
}

# All with batches of 128 images of Fashion-MNIST; 224x224 pixels unless said.
RECIPES = {
    "sgd-0.1": "SGD 0.1",
    "sgd-0.05": "SGD 0.05",
    "adam-0.002": "Adam 0.002",
    "sgd-0.1-max-pooling": "SGD 0.1, global max pooling",
    "mlpconv": "mlpconv edition, SGD 0.2, 112x112",
}

READ_FROM = {
    "printed": "printed",
    "plot": "read off the published plot",
    "last line": "printed for the last epoch only",
}

# Some ports of the book do not print the mean loss over the images. What turns theirs into it:
LOSS_KINDS: Dict[str, Callable[[float, int], float]] = {
    "mean": lambda loss, epoch: loss,
    "mean / batch size": lambda loss, epoch: loss * 128,
    "mean / epoch": lambda loss, epoch: loss * epoch,
}

GUESSED = 0.11  # an accuracy above it is more than that of guessing among ten classes

# How far apart two copies of a value can be: printed to three digits, or read off a plot.
PRINT_ERROR, PLOT_ERROR = 0.00051, 0.0051

QUANTITIES = ("loss", "train_acc", "test_acc")

MAX_BYTES = 50_000_000
MAX_EPOCHS = 10_000
MAX_TEXT = 500  # characters in a note, a source or a device's name

Values = Tuple[Optional[float], ...]


@dataclass(frozen=True)
class PublishedLog:
    """One published run: what trained it, its values by epoch, where it was published.

    Attributes
    ----------
    framework : str
        One of `FRAMEWORKS`.
    recipe : str
        One of `RECIPES`.
    epochs : int
        That the recipe asks for. An interrupted run has fewer values.
    test_acc, train_acc, loss : tuple of (float or None)
        A value an epoch, None where none is published. All have one length; the last test
        accuracy is always known. Accuracies are fractions, losses as published: see `loss_is`.
    sources : tuple of str
        Every place that holds this log.
    device : str or None
        As printed.
    read_from : str
        One of `READ_FROM`.
    loss_is : str
        One of `LOSS_KINDS`: what the published loss is.
    book : bool
        Whether this is the log in the book's own section 7.3.
    note : str

    Raises
    ------
    ValueError
        A value has the wrong type, is out of range or unknown; the message names it.
    """

    framework: str
    recipe: str
    epochs: int
    test_acc: Values
    sources: Tuple[str, ...]
    train_acc: Values = ()
    loss: Values = ()
    device: Optional[str] = None
    read_from: str = "printed"
    loss_is: str = "mean"
    book: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        for name, known in (("framework", FRAMEWORKS), ("recipe", RECIPES),
                            ("read_from", READ_FROM), ("loss_is", LOSS_KINDS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise ValueError(f"{name} is {shown(value)}, not one of {', '.join(known)}")
        if type(self.epochs) is not int or not 1 <= self.epochs <= MAX_EPOCHS:
            raise ValueError(f"epochs is {shown(self.epochs)}, not a number from 1 to {MAX_EPOCHS}")
        if type(self.book) is not bool:
            raise ValueError(f"book is {shown(self.book)}, not true or false")
        check_text("note", self.note, longest=MAX_TEXT)
        if self.device is not None:
            check_text("device", self.device, 1, MAX_TEXT)
        self.check_sources()
        self.check_values()

    def check_sources(self) -> None:
        if not isinstance(self.sources, (list, tuple)) or not self.sources:
            raise ValueError(f"sources is {shown(self.sources)}, not a list of places")
        for source in self.sources:
            check_text("a source", source, 1, MAX_TEXT)
        object.__setattr__(self, "sources", tuple(self.sources))

    def check_values(self) -> None:
        for name, highest in (("test_acc", 1.0), ("train_acc", 1.0), ("loss", math.inf)):
            values = getattr(self, name)
            if not isinstance(values, (list, tuple)):
                raise ValueError(f"{name} is {shown(values)}, not a list of numbers")
            if not values and name != "test_acc":
                values = (None,) * len(self.test_acc)
            object.__setattr__(self, name, tuple(checked(name, v, highest) for v in values))
        done = len(self.test_acc)
        if not 1 <= done <= self.epochs:
            raise ValueError(f"there are {counted(done, 'value')} of test_acc for "
                             f"{counted(self.epochs, 'epoch')}")
        if {len(self.train_acc), len(self.loss)} != {done}:
            raise ValueError(f"test_acc, train_acc and loss have {done}, {len(self.train_acc)} and "
                             f"{len(self.loss)} values")
        if self.test_acc[-1] is None:
            raise ValueError("the last test accuracy is missing")

    @property
    def final(self) -> float:
        """Test accuracy after the last epoch there is, a fraction."""
        last = self.test_acc[-1]
        assert last is not None  # checked when this was made
        return last

    @property
    def mean_loss(self) -> Values:
        """The mean training loss over the images, in nats, by epoch."""
        to_mean = LOSS_KINDS[self.loss_is]
        return tuple(None if value is None else to_mean(value, epoch)
                     for epoch, value in enumerate(self.loss, 1))

    def to_json(self) -> Dict[str, Any]:
        """JSON fields, those with their usual value left out."""
        content: Dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            unpublished = isinstance(value, tuple) and not any(v is not None for v in value)
            if not unpublished and value != field.default:
                content[field.name] = list(value) if isinstance(value, tuple) else value
        return content

    @classmethod
    def from_json(cls, content: Any) -> "PublishedLog":
        """The log that `to_json` gave; ValueError says what is wrong with another."""
        if not isinstance(content, dict):
            raise ValueError(f"a run is {shown(content)}, not an object")
        known = {field.name: field for field in fields(cls)}
        for name in content:
            if name not in known:
                raise ValueError(f"{shown(name)} is no field of a run")
        for name in ("framework", "recipe", "epochs", "test_acc", "sources"):
            if name not in content:
                raise ValueError(f"{name} is missing")
        return cls(**content)


def checked(name: str, value: Any, highest: float) -> Optional[float]:
    """The value as a float if it is one from 0 to `highest`, or None."""
    return None if value is None else float(check_number(f"a value of {name}", value, highest))


# ------------------------------------------------------------------ files


def read_atlas(path: Union[str, Path] = PACKAGED) -> List[PublishedLog]:
    """The logs in an atlas file, by default the packaged one.

    Raises
    ------
    InputError
        The file is none, or is damaged; the message names the run and what is wrong with it.
    """
    path = Path(path)
    place = "it"
    try:
        content = parse_json(read_text(path, MAX_BYTES))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"it does not say \"format\": \"{FORMAT}\"")
        extra = sorted(set(content) - {"format", "runs"})
        if extra or not isinstance(content.get("runs"), list):
            raise ValueError("it has to hold \"format\" and a list \"runs\", and nothing else")
        logs: List[PublishedLog] = []
        for number, run in enumerate(content["runs"], 1):
            place = f"run {number}"
            logs.append(PublishedLog.from_json(run))
        place = "it"
        if sum(log.book for log in logs) > 1:
            raise ValueError("more than one run is marked as the book's")
        return logs
    except FileNotFoundError:
        raise InputError(f"there is no atlas file {path}.") from None
    except BadFile:
        raise
    except ValueError as error:
        where = "" if place == "it" else f"{place}: "
        raise InputError(f"{path} is no atlas file, or is damaged ({where}{reason(error)}); bring "
                         "back a whole copy, or move it away.") from None


def write_atlas(path: Union[str, Path], logs: Sequence[PublishedLog]) -> None:
    """Write an atlas file; it appears whole or not at all."""
    runs = ",\n".join(f"  {json.dumps(log.to_json(), ensure_ascii=False)}" for log in logs)
    write_text(path, f'{{"format": "{FORMAT}",\n "runs": [\n{runs}\n ]}}\n')


# ------------------------------------------------------------------ copies


def is_copy(entry: PublishedLog, known: PublishedLog) -> bool:
    """Whether a log is a copy of a known one, or of its beginning.

    Every value that both have is the same to three digits, which is what most editions print, and
    they share more than a final test accuracy: several runs may well end at the same one. Where
    the numbers of epochs differ, they share accuracies of more than one epoch, and not those of
    guessing, with which many runs begin. A value read off a plot can be wrong by 0.005; where many
    are shared, that is allowed for.
    """
    if entry.framework != known.framework or len(entry.test_acc) > len(known.test_acc):
        return False
    shared = [(name, a, b) for name in QUANTITIES
              for a, b in zip(getattr(entry, name), getattr(known, name))
              if a is not None and b is not None]
    plotted = "plot" in (entry.read_from, known.read_from) and len(shared) > 6
    tolerance = PLOT_ERROR if plotted else PRINT_ERROR
    if not all(abs(a - b) < tolerance for _, a, b in shared):
        return False
    if (entry.epochs, len(entry.test_acc)) == (known.epochs, len(known.test_acc)):
        if any(name != "loss" and a > GUESSED for name, a, _ in shared):
            return len(shared) > 1
        # Every dead run prints the same last line.
        return len(shared) > 3 or not set(entry.sources).isdisjoint(known.sources)
    return sum(name != "loss" and a > GUESSED for name, a, _ in shared) > 2
