"""The record of a run: what is kept of it, and its form as JSON.

As JSON, a record is an object with the settings, the seed, the device, the machine with its
versions, the command and, if the run diverged, how; and a list of epochs, in full precision, as in
``history.jsonl``. `nin_gluon.experiments.run_records` makes records from run folders, and
`nin_gluon.experiments.stores` has the files in which they are kept.
"""

import math
import re
import shlex
from dataclasses import asdict, dataclass, field, fields, replace
from statistics import median
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from nin_gluon.analysis.initial_state import InitialState
from nin_gluon.checked_files import (
    check_keys,
    check_number,
    check_text,
    check_whole,
    shown,
)
from nin_gluon.settings import PRESETS, TEXTBOOK, Settings, default_preset
from nin_gluon.training.history import EpochRecord, parse_history, parse_living

__all__ = ["Key", "Record", "differences_from", "device_kind", "named_settings",
           "parse_head", "record_from_json", "record_to_json", "slug",
           "train_command", "train_options", "whole_run"]

# Records have always named the settings in this order, and so have file names and commands. A
# setting that is not listed follows those that are.
SETTING_ORDER = ("model", "dataset", "epochs", "batch_size", "resize", "limit", "optimizer", "lr",
                 "momentum", "wd", "schedule", "init", "augment", "preprocess", "validation",
                 "dtype", "kvstore")

# What exercises measure of a run, in the order of the JSON.
MEASURED = ("parameters", "macs", "test_images", "steps", "stall", "train_images", "alive")

# What tells a run from all others: its settings with the seed, its device, its data.
Key = Tuple[Settings, str, Optional[str]]


@dataclass(frozen=True)
class Record:
    """What is kept of one run.

    Attributes
    ----------
    settings : Settings
        With the seed.
    device : str
        "cpu", "gpu", or with their number: "gpu2".
    ctx : str
        As --ctx was given.
    machine : dict
        What `nin_gluon.runtime.describe_machine` returned, and the devices.
    command : str
        A command that makes this run. Versions may write it differently, so it is not compared.
    diverged : str or None
        What became infinite and when; None for a run that did not diverge.
    history : tuple of EpochRecord
    own_data : str or None
        `nin_gluon.data.sets.own_data`; None for a published data set.
    parameters, macs : int or None
        Of the net; MACs (multiply-adds) of one image, forward. These and the next five are None in
        a record that no exercise has made.
    test_images, train_images : int or None
        How many images the run was judged by (those held out for validation, if any) and trained
        on. Early records lack the second.
    steps : int or None
        Of the whole run.
    stall : int or None
        Steps in which the loss was no better than guessing; None if that was so in all.
    alive : int or None
        Classes with a score above zero for any of 500 images, at the end. Only early records have
        it; since then the history tells, and `living_classes` asks both.
    escape_step : int or None
        The step, from 1, at which the loss left ln 10: `nin_gluon.training.progress_marks`.
    start : InitialState or None
        The net before the first step.
    """

    settings: Settings
    device: str
    ctx: str
    machine: Dict[str, Any]
    command: str = field(compare=False)
    diverged: Optional[str]
    history: Tuple[EpochRecord, ...]
    own_data: Optional[str] = None
    parameters: Optional[int] = None
    macs: Optional[int] = None
    test_images: Optional[int] = None
    steps: Optional[int] = None
    stall: Optional[int] = None
    train_images: Optional[int] = None
    alive: Optional[int] = None
    escape_step: Optional[int] = None
    start: Optional[InitialState] = None

    @property
    def seed(self) -> int:
        return self.settings.seed

    @property
    def key(self) -> Key:
        """What no other record of a store has."""
        return self.settings, self.device, self.own_data

    @property
    def kind(self) -> Key:
        """What runs must have in common to be compared as seeds of one recipe."""
        return self.settings.but(seed=0), self.device, self.own_data

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end: all its epochs, or divergence."""
        return self.diverged is not None or len(self.history) >= self.settings.epochs

    @property
    def seconds(self) -> Optional[float]:
        """Seconds an epoch, the median; None if there is none."""
        return median(epoch.seconds for epoch in self.history) if self.history else None

    @property
    def test_acc(self) -> Optional[float]:
        """After the last epoch; None for a run that diverged."""
        return None if self.diverged else self.history[-1].test_acc

    @property
    def living_classes(self) -> Optional[int]:
        """How many classes were alive after the last epoch, if the record says so.

        Those of the history have a score above zero for any test image. Early histories lack them.
        """
        if self.history and self.history[-1].living is not None:
            return len(self.history[-1].living)
        return self.alive

    def is_same_run(self, other: "Record") -> bool:
        """Whether both are records of one run, whatever else is known of it in one of them."""
        return (self.key, self.diverged, self.history) == (other.key, other.diverged,
                                                           other.history)


# ------------------------------------------------------------------ settings


def named_settings(settings: Settings) -> Dict[str, Any]:
    """Every setting but the seed, in the order of the records."""
    values = settings.to_json()
    del values["seed"]
    return {name: values[name] for name in (*SETTING_ORDER, *values)}


def differences_from(recipe: Settings, settings: Settings) -> Dict[str, Any]:
    """The settings that are not the recipe's, the seed left aside: {name: value}."""
    return {name: value for name, value in named_settings(settings).items()
            if value != getattr(recipe, name)}


def slug(recipe: Settings, settings: Settings, device: str, own_data: Optional[str] = None) -> str:
    """Name of a group of runs, for files: 'bfloat16-cpu', 'float32-gpu-epochs-2'."""
    words = [settings.dtype, device]
    words += [f"{name}-{value}" for name, value in differences_from(recipe, settings).items()
              if name != "dtype"]
    words += ["own-data", own_data] if own_data else []
    return re.sub(r"[^\w.-]", "_", "-".join(words))


def train_options(settings: Settings, ctx: str = "auto") -> List[str]:
    """The train command's options for these settings: no more than it takes, and the seed."""
    # Without --model, the default preset would be another.
    usual = PRESETS[default_preset(settings.model)].settings.but(model=TEXTBOOK.model)
    options = []
    for name, value in differences_from(usual, settings).items():
        options += [f"--{name.replace('_', '-')}", str(value)]
    if "--optimizer" in options and "--lr" not in options:  # the train command insists
        options += ["--lr", str(settings.lr)]
    options += ["--seed", str(settings.seed)]
    return options + (["--ctx", ctx] if ctx != "auto" else [])


def train_command(settings: Settings, ctx: str = "auto") -> str:
    """The command that makes a run, for people."""
    return f"python -m nin_gluon.train {shlex.join(train_options(settings, ctx))}"


def device_kind(names: Iterable[str]) -> str:
    """'cpu' or 'gpu' for devices such as ['gpu(0)'], with their number if there are several."""
    kinds = [name.split("(")[0] for name in names]
    return "".join(sorted(set(kinds))) + (str(len(kinds)) if len(kinds) > 1 else "")


# ------------------------------------------------------------------ as JSON


def record_to_json(record: Record) -> Dict[str, Any]:
    """A record as a JSON object; what is not known of a run is left out."""
    content: Dict[str, Any] = {
        "seed": record.seed, "settings": named_settings(record.settings), "device": record.device,
        "ctx": record.ctx, "machine": record.machine, "command": record.command,
        "diverged": record.diverged, "history": [epoch.to_json() for epoch in record.history],
        "own_data": record.own_data}
    if record.parameters is not None:
        content.update({name: getattr(record, name) for name in MEASURED})
    if record.escape_step is not None:
        content["escape_step"] = record.escape_step
    if record.start is not None:
        content["start"] = {name: list(value) if isinstance(value, tuple) else value
                            for name, value in asdict(record.start).items()}
    return content


def record_from_json(content: Any) -> Record:
    """The record that `record_to_json` turned into this object; ValueError says what is wrong."""
    check_keys(content, ["history"], content)
    head = parse_head({name: value for name, value in content.items() if name != "history"})
    return whole_run(replace(head, history=tuple(parse_history(content["history"]))))


def parse_head(content: Any) -> Record:
    """A record without its epochs, from its JSON object; ValueError says what is wrong."""
    check_keys(content, ["seed", "settings", "device", "ctx", "machine", "command", "diverged"],
               ["own_data", "escape_step", "start", *MEASURED])
    record = Record(parse_settings(content["settings"], content["seed"]), history=(),
                    **{name: content[name] for name in ("device", "ctx", "machine", "command",
                                                        "diverged")},
                    own_data=content.get("own_data"), **parse_measured(content),
                    escape_step=optional_whole(content, "escape_step", 1),
                    start=parse_start(content.get("start")))
    check_head(record)
    return record


def check_head(record: Record) -> None:
    """Raise ValueError unless all but the settings and the epochs is as a record has it."""
    check_whole("seed", record.seed)
    for name in ("device", "ctx", "command"):
        check_text(name, getattr(record, name))
    for name in ("diverged", "own_data"):
        if getattr(record, name) is not None:
            check_text(name, getattr(record, name))
    if not re.fullmatch(r"[a-z]{1,20}[0-9]{0,5}", record.device):
        raise ValueError(f"device is {shown(record.device)}, not such as cpu or gpu2")
    check_machine(record.machine)


def parse_settings(content: Any, seed: Any) -> Settings:
    """The settings of a record; one that it does not name had the textbook's value."""
    names = [each.name for each in fields(Settings) if each.name != "seed"]
    check_keys(content, ["dtype", "epochs"], names)
    return Settings.from_json({**content, "seed": seed})


def parse_measured(content: Mapping[str, Any]) -> Dict[str, Any]:
    """What an exercise has measured: all of it or nothing. The early records lack two."""
    if not set(MEASURED) & set(content):
        return {}
    for name in ("parameters", "macs", "test_images", "steps", "stall"):
        if name not in content:
            raise ValueError(f"it has no {name!r}")
    counts: Dict[str, Any] = {name: check_whole(name, content[name], 1) for name in
                              ("parameters", "macs", "test_images", "steps")}
    for name, lowest in (("stall", 0), ("train_images", 1), ("alive", 0)):
        counts[name] = optional_whole(content, name, lowest)
    return counts


def parse_start(content: Any) -> Optional[InitialState]:
    """The net before the first step; ValueError says what is wrong."""
    if content is None:
        return None
    check_keys(content, [each.name for each in fields(InitialState)])
    living = parse_living(content["living"]) or ()
    if not isinstance(content["positive"], list):
        raise ValueError(f"positive is {shown(content['positive'])}, not a list")
    return InitialState(
        living, check_number("spread", content["spread"]),
        tuple(check_number("positive", share, 1) for share in content["positive"]),
        check_number("positive_before", content["positive_before"], 1))


def optional_whole(content: Mapping[str, Any], name: str, lowest: int) -> Optional[int]:
    value = content.get(name)
    return None if value is None else check_whole(name, value, lowest)


def check_machine(machine: Any) -> None:
    """Raise ValueError unless this can describe a machine: names with finite values."""
    if not isinstance(machine, dict):
        raise ValueError(f"machine is {shown(machine)}, not a JSON object")
    for name, value in machine.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, (list, dict)) or (isinstance(part, float)
                                                  and not math.isfinite(part)):
                raise ValueError(f"{shown(name)} of machine is {shown(value)}")


def whole_run(record: Record) -> Record:
    """The record, if it is that of a whole run; else ValueError."""
    done, wanted = len(record.history), record.settings.epochs
    if done > wanted or (done < wanted and not record.diverged):
        raise ValueError(f"{done} epochs of {wanted}")
    return record
