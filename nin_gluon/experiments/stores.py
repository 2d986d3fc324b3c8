"""Where records are kept: a folder with a file for each run, or the one file of an exercise.

Both hold records in the same form (`nin_gluon.experiments.records.record_to_json`). A folder's
files have the epochs on lines of their own; an exercise's file has a run a line, and the signals
through untrained nets where the exercise asks for them.
"""

import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, TypeVar

from nin_gluon.analysis.signal import Signal
from nin_gluon.atomic_files import write_ours, write_text
from nin_gluon.checked_files import (
    check_keys,
    check_number,
    check_text,
    check_whole,
    parse_json,
    read_text,
    reason,
    shown,
)
from nin_gluon.errors import InputError, why
from nin_gluon.experiments.records import (
    Key,
    Record,
    named_settings,
    parse_head,
    record_from_json,
    record_to_json,
    slug,
    whole_run,
)
from nin_gluon.settings import Settings
from nin_gluon.training.history import parse_epoch

if TYPE_CHECKING:
    import filelock

__all__ = ["EXERCISE_SIGNATURE", "ExerciseFile", "RecordFolder", "read_record", "write_record"]

# In every file that the exercises write. One without it is somebody else's and is left alone.
EXERCISE_SIGNATURE = "Written by nin_gluon.exercises"

T = TypeVar("T")


# ------------------------------------------------------------------ a folder of records


class RecordFolder:
    """A folder with one file of JSON lines for each run; the first line is all but the epochs.

    Parameters
    ----------
    path : pathlib.Path
        It need not exist yet.
    recipe : Settings
        Files are named after what differs from it.
    """

    def __init__(self, path: Path, recipe: Settings) -> None:
        self.path, self.recipe = path, recipe

    def read(self) -> Dict[Path, Record]:
        """The records by their files, in the order of the names.

        Raises
        ------
        InputError
            One is damaged, or two are of the same seed and settings.
        """
        records: Dict[Path, Record] = {}
        paths: Dict[Key, Path] = {}
        for name in sorted(names_in(self.path)):
            if not name.endswith(".jsonl"):
                continue
            path = self.path / name
            record = read_record(path)
            if record.key in paths:
                raise InputError(f"{paths[record.key]} and {path} are both of seed {record.seed} "
                                 "with the same settings; move one of them away.")
            records[path], paths[record.key] = record, path
        return records

    def keys(self) -> Set[Key]:
        """The keys of all records."""
        return {record.key for record in self.read().values()}

    def add(self, record: Record, origin: Path) -> None:
        """Keep the record of a finished run, unless it is there; what is there is not changed.

        Raises
        ------
        InputError
            There is a record of another run of this seed, or a file of that name.
        """
        with locked(self.path / ".records.lock"):
            for path, other in self.read().items():
                if other.is_same_run(record):
                    return
                if other.key == record.key:
                    raise InputError(f"{path} holds another run of seed {record.seed} than "
                                     f"{origin}; finished seeds are kept, so move one of them "
                                     "away.")
            name = slug(self.recipe, *record.kind)
            path = self.path / f"{name}-seed-{record.seed}.jsonl"
            if path.exists():
                raise InputError(f"{path} is in the way: it holds a run of other settings or seed.")
            write_record(path, record)


def names_in(folder: Path) -> List[str]:
    """The names of what is in a folder; none if there is no folder."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {why(error)}.") from None


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON lines; the file appears whole or not at all."""
    head = record_to_json(record)
    lines = [head, *head.pop("history")]
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_record(path: Path) -> Record:
    """The record that `write_record` wrote.

    Raises
    ------
    InputError
        The file is damaged; the message names it, the line and what is wrong there.
    """
    try:
        head, *rest = read_text(path).split("\n")
        if rest and not rest[-1]:  # the end of the last line
            rest.pop()
        record = at_line(1, lambda: parse_head(parse_json(head)))
        epochs = [at_line(number, lambda: parse_epoch(parse_json(line), number - 1))  # noqa: B023
                  for number, line in enumerate(rest, 2)]
        return at_line(1 + len(rest), lambda: whole_run(replace(record, history=tuple(epochs))))
    except FileNotFoundError:
        raise InputError(f"{path} is gone; call again.") from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is damaged ({reason(error)}); bring back a whole copy, or move "
                         "it away and run its seed again.") from None


def at_line(number: int, parse: Callable[[], T]) -> T:
    """What `parse` returns; a ValueError of it names the line."""
    try:
        return parse()
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None


# ------------------------------------------------------------------ an exercise's file


class ExerciseFile:
    """The runs and signals of one exercise in one JSON file.

    Parameters
    ----------
    path : pathlib.Path
        It need not exist yet.
    name, question : str
        The exercise's, for the file's head.
    inits : sequence of str, optional
        The initializations whose signals it may hold; any by default.
    """

    def __init__(self, path: Path, name: str = "", question: str = "",
                 inits: Optional[Sequence[str]] = None) -> None:
        self.path, self.name, self.question, self.inits = path, name, question, inits

    def read(self) -> Tuple[List[Record], List[Signal]]:
        """The runs and signals; none if there is no file.

        Raises
        ------
        InputError
            The file is damaged; the message names it and what is wrong there.
        """
        try:
            text = read_text(self.path)
        except FileNotFoundError:
            return [], []
        try:
            content = parse_json(text)
            check_keys(content, ["about", "exercise", "question", "runs", "signals"])
            for name in ("runs", "signals"):
                if not isinstance(content[name], list):
                    raise ValueError(f"{name} is {shown(content[name])}, not a list")
            records = [exercise_record(kept) for kept in content["runs"]]
            signals = [self.parse_signal(kept) for kept in content["signals"]]
            check_layers(signals)
            if len({record.key for record in records}) < len(records):
                raise ValueError("two runs are of the same seed and settings")
        except ValueError as error:
            raise InputError(f"{self.path} is damaged ({reason(error)}); bring back a whole copy, "
                             "or move it away: finished runs that are still in runs/exercises/ are "
                             "taken in again.") from None
        return records, signals

    def parse_signal(self, content: Any) -> Signal:
        """A signal from its JSON object; ValueError says what is wrong."""
        check_keys(content, [each.name for each in fields(Signal)])
        title = (f"the signal of {check_text('init', content['init'])}, seed "
                 f"{check_whole('seed', content['seed'])},")
        check_whole("resize", content["resize"], 1)
        check_text("dataset", content["dataset"])
        if self.inits is not None and content["init"] not in self.inits:
            raise ValueError(f"{title} does not belong here")
        layers = {}
        for name in ("size", "spread", "gradient"):
            if not isinstance(content[name], list):
                raise ValueError(f"{name} is {shown(content[name])}, not a list")
            try:
                layers[name] = tuple(check_number(name, each) for each in content[name])
            except ValueError as error:
                raise ValueError(f"{title} has {str(error).replace(' is ', ' ', 1)}") from None
        return Signal(**{**content, **layers})

    def keys(self) -> Set[Key]:
        """The keys of all runs."""
        return {record.key for record in self.read()[0]}

    def add(self, record: Record, origin: Path) -> None:
        """Keep the record of a finished run, unless there is one of its seed and settings."""
        with self.lock():
            records, signals = self.read()
            if all(other.key != record.key for other in records):
                self.write([*records, record], signals)

    def add_signal(self, signal: Signal) -> None:
        """Keep a signal, unless another process has added the same one."""
        with self.lock():
            records, signals = self.read()
            if all(other.key != signal.key for other in signals):
                self.write(records, [*signals, signal])

    def write(self, records: Sequence[Record], signals: Sequence[Signal]) -> None:
        """Write the file: the same bytes for the same records in any order."""

        def order(record: Record) -> Tuple[str, int]:
            settings, device, own_data = record.kind
            return json.dumps([named_settings(settings), device, own_data],
                              sort_keys=True), record.seed

        runs = [json.dumps(record_to_json(record)) for record in sorted(records, key=order)]
        measured = [json.dumps(asdict(signal)) for signal in
                    sorted(signals, key=lambda s: (s.dataset, s.resize, s.init, s.seed))]
        head = [f' "{name}": {json.dumps(value)},' for name, value in
                (("about", EXERCISE_SIGNATURE), ("exercise", self.name),
                 ("question", self.question))]
        lines = ["{", *head, ' "runs": [', lines_of(runs), " ],", ' "signals": [',
                 lines_of(measured), " ]", "}", ""]
        write_ours(self.path, "\n".join(lines).encode(), EXERCISE_SIGNATURE)

    def lock(self) -> "filelock.BaseFileLock":
        """Held while the file is read and written: other processes may add to it, too.

        It lies beside the file, because they may have other working folders.
        """
        return locked(self.path.with_name(f".{self.path.stem}.lock"))


def lines_of(objects: Sequence[str]) -> str:
    return ",\n".join(f"  {each}" for each in objects)


def exercise_record(content: Any) -> Record:
    """A record with what an exercise measures; ValueError says what is wrong or missing."""
    record = record_from_json(content)
    if record.parameters is None:
        raise ValueError("a run has no 'parameters'")
    return record


def check_layers(signals: Sequence[Signal]) -> None:
    """Raise ValueError unless all signals are of nets with as many layers, at least one."""
    for signal in signals:
        lengths = {len(signal.size), len(signal.spread), len(signal.gradient)}
        if lengths != {len(signals[0].size)} or not signal.size:
            raise ValueError(f"the signal of {signal.init}, seed {signal.seed}, is not that of "
                             "every layer")


def locked(path: Path) -> "filelock.BaseFileLock":
    """A lock on this file, to be held by a with statement; its folder is made."""
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path)
