"""Adding a published log to an atlas file of the user's own."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Optional, Tuple, Union

import filelock

from nin_gluon.errors import InputError
from nin_gluon.experiments.atlas.log_parsers import ParsedLog
from nin_gluon.experiments.atlas.published_logs import (
    MAX_EPOCHS,
    PACKAGED,
    PublishedLog,
    is_copy,
    read_atlas,
    write_atlas,
)

__all__ = ["add_log", "published_log"]

ROUNDED = 0.01  # how far apart rounding can bring a printed loss and accuracy
PATIENCE = 10  # seconds to wait for another process, which takes far less than one


def published_log(parsed: ParsedLog, source: str, framework: Optional[str] = None,
                  recipe: Optional[str] = None, epochs: Optional[int] = None,
                  loss_is: str = "mean") -> PublishedLog:
    """The log to add from what a file told, and what the user says beyond it.

    Raises
    ------
    InputError
        Something is neither in the file nor given, or a value is impossible.
    """
    framework, recipe = framework or parsed.framework, recipe or parsed.recipe
    done = len(parsed.values["test_acc"])
    epochs = epochs or parsed.epochs or (done if parsed.read_from != "last line" else None)
    for name, value, example in (("framework", framework, "pytorch"), ("recipe", recipe, "sgd-0.1"),
                                 ("epochs", epochs, "10")):
        if value is None:
            raise InputError(f"the file does not tell the {name}; give --{name}, such as "
                             f"--{name} {example}.")
    assert framework and recipe and epochs  # for the type checker
    if epochs > MAX_EPOCHS:
        raise InputError(f"this log cannot be added: {epochs} epochs are more than {MAX_EPOCHS}.")

    def values(name: str) -> Tuple[Optional[float], ...]:
        known = tuple(parsed.values.get(name, ()))
        if parsed.read_from == "last line" and known:  # its values are those of the last epoch
            return (None,) * (epochs - 1) + known
        return known

    try:
        entry = PublishedLog(framework, recipe, epochs, values("test_acc"), (source,),
                             values("train_acc"), values("loss"), parsed.device, parsed.read_from,
                             loss_is)
    except ValueError as error:
        raise InputError(f"this log cannot be added: {error}.") from None
    check_loss(entry)
    return entry


def check_loss(entry: PublishedLog) -> None:
    """Refuse a loss that is too low for a mean: each image that is wrong costs ln 2 at least."""
    if entry.loss_is != "mean":
        return
    for epoch, (loss, accuracy) in enumerate(zip(entry.loss, entry.train_acc), 1):
        if loss is None or accuracy is None:
            continue
        least = math.log(2) * (1 - accuracy)
        if loss < least - ROUNDED:
            raise InputError(
                f"a loss of {loss:g} in epoch {epoch} is no mean over the images: with a training "
                f"accuracy of {accuracy:g} that is {least:.2f} or more; say what it is by "
                "--loss-is, such as --loss-is 'mean / batch size'.")


def add_log(path: Union[str, Path], entry: PublishedLog) -> Optional[PublishedLog]:
    """Add a log to a user's atlas file, which is made if need be.

    It takes the place of its own beginning, where the file has that.

    Returns
    -------
    PublishedLog or None
        The log that is there already, packaged or in the file, of which this one is a copy or the
        beginning; then nothing is written. None if the log was added.

    Raises
    ------
    InputError
        The file is no atlas file, or is the packaged one, or another process has it.
    """
    path = Path(path)
    if path.resolve() == PACKAGED.resolve():
        raise InputError("the packaged atlas is never changed; give --atlas another file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    try:
        with filelock.FileLock(str(lock), timeout=PATIENCE):
            mine = read_atlas(path) if path.exists() else []
            for known in [*read_atlas(), *mine]:
                if is_copy(entry, known):
                    return known
            # What it continues goes; the places that hold it stay.
            beginnings = [log for log in mine if is_copy(log, entry)]
            sources = [source for log in [entry, *beginnings] for source in log.sources]
            kept = [log for log in mine if log not in beginnings]
            write_atlas(path, [*kept, replace(entry, sources=tuple(dict.fromkeys(sources)))])
    except filelock.Timeout:
        raise InputError(f"{lock} cannot be locked: another process has held it for {PATIENCE} s, "
                         "or the folder takes no files; try again, or give --atlas another file."
                         ) from None
    return None
