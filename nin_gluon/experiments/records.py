"""Evidence on a published log: a record of each seed, what the seeds span, where the log lies.

A record is a file of JSON lines. The first holds the settings, the seed, the device, the machine
with its versions, the command and, if the run diverged, how; each of the others is an epoch, in
full precision, as `nin_gluon.training.history` writes it. Records are made from run folders of the train
command and never from anything else.
"""

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Optional, Tuple

from nin_gluon.atomic_files import write_text
from nin_gluon.errors import InputError
from nin_gluon.settings import PRESETS, TEXTBOOK, usual_preset
from nin_gluon.training.history import EpochRecord, read_history

__all__ = ["MIN_SEEDS", "QUANTITIES", "Group", "Record", "Spread", "departures", "device_kind",
           "groups_of", "machines_of", "read_record", "read_records", "recipe_settings",
           "record_of_run", "seed_words", "series", "settings_of", "side_by_side", "slug", "some",
           "train_command", "train_options", "whole_record", "write_record"]

QUANTITIES = {"loss": "loss", "train_acc": "train acc", "test_acc": "test acc"}

# The range of fewer seeds says nothing: of two, it misses a third one like them two times in three.
MIN_SEEDS = 3

# In a run's config.json, but no setting of what it computes.
NO_SETTINGS = {"preset", "seed", "ctx", "data_dir", "own_data", "machine", "workers"}


@dataclass(frozen=True)
class Record:
    """What is kept of the run of one seed."""

    seed: int
    settings: dict  # the train command's, with neither the seed nor where it ran
    device: str  # "cpu", "gpu", or with their number: "gpu2"
    ctx: str  # as --ctx was given
    machine: dict  # `nin_gluon.runtime.describe_machine`
    command: str
    diverged: Optional[str]  # what became infinite and when; None for a run that did not diverge
    history: Tuple[EpochRecord, ...]
    own_data: Optional[str] = None  # `nin_gluon.data.sets.own_data`; None for a published data set

    @property
    def kind(self):
        """What runs must have in common to be held against one another as seeds."""
        return self.settings, self.device, self.own_data

    @property
    def finished(self):
        """Whether the run has come to its end: all its epochs, or divergence."""
        return self.diverged is not None or len(self.history) >= self.settings["epochs"]

    @property
    def seconds(self):
        """Seconds an epoch, the median; None if there is none."""
        return median(r.seconds for r in self.history) if self.history else None


# ------------------------------------------------------------------ settings


def settings_of(config):
    """What a run computes, from its config; a setting it does not name had its usual value."""
    return {name: value for name, value in {**TEXTBOOK, **config}.items()
            if name not in NO_SETTINGS}


def recipe_settings(edition):
    """The settings of an edition's published run."""
    return settings_of({"dataset": "fashion-mnist", **edition.recipe})


def departures(settings, recipe):
    """The settings that are not the recipe's: {name: value}."""
    return {name: value for name, value in settings.items()
            if name not in recipe or recipe[name] != value}


def train_options(settings, seed, ctx):
    """The train command's options for these settings, as short as they can be."""
    # Without --model it would not be known whose preset is the usual one.
    usual = {**PRESETS[usual_preset(settings["model"])], "model": TEXTBOOK["model"]}
    options = []
    for name, value in {**settings, "seed": seed, "ctx": ctx}.items():
        if name == "seed" or value != usual.get(name):
            options += [f"--{name.replace('_', '-')}", str(value)]
    return options


def train_command(settings, seed, ctx):
    """The command that trains one seed, for people."""
    words = ["python -m nin_gluon.train", *train_options(settings, seed, ctx)]
    return " ".join(f"'{word}'" if "(" in word else word for word in words)


def device_kind(names):
    """'cpu' or 'gpu' for devices such as ['gpu(0)'], with their number if there are several."""
    kinds = [name.split("(")[0] for name in names]
    return "".join(sorted(set(kinds))) + (str(len(kinds)) if len(kinds) > 1 else "")


def device_of(config):
    """The kind of device a run was made on; '' if its config does not tell."""
    if "devices" in config["machine"]:
        return device_kind(config["machine"]["devices"])
    # A run made before the devices were kept. Only CPUs have bfloat16.
    given = "cpu" if config["dtype"] == "bfloat16" else config["ctx"]
    return device_kind(re.findall("cpu|gpu", given))


# ------------------------------------------------------------------ records


def record_of_run(run):
    """The record of a run folder; its `history` may be shorter than its settings ask for.

    Raises
    ------
    InputError
        The folder is none of the train command, or a file in it is damaged.
    """
    run = Path(run)
    try:
        config = json.loads((run / "config.json").read_text("utf-8"))
        settings, seed, ctx = settings_of(config), config["seed"], config["ctx"]
        device = device_of(config)
        machine, log = config["machine"], run / "history.jsonl"
        if not (isinstance(settings["epochs"], int) and isinstance(seed, int)):
            raise ValueError(f"epochs is {settings['epochs']!r}, seed is {seed!r}")
        # A run that was killed in its first moments has no history yet.
        history = tuple(read_history(log)) if log.exists() else ()
        for number, record in enumerate(history, 1):
            check_epoch(record, expected=number)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{run} is not a run folder of the train command: it has no "
                         "config.json.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the run folder {run} cannot be read ({error}).") from None
    if config.get("workers", 1) != 1:
        raise InputError(f"{run} was made by {config['workers']} workers, each with a batch of its "
                         "own in every step; only runs of one process follow a published recipe.")
    if not device:
        raise InputError(f"{run / 'config.json'} does not say on which device the run was made; "
                         f"python -m nin_gluon.train --resume {run} writes it there.")
    marker = run / "diverged.txt"
    diverged = marker.read_text("utf-8").strip() if marker.exists() else None
    return Record(seed, settings, device, ctx, machine, train_command(settings, seed, ctx),
                  diverged, history, config.get("own_data"))


def write_record(path, record):
    """Write a record; the file appears whole or not at all."""
    first = asdict(record)
    lines = [first, *first.pop("history")]
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_record(path):
    """The record that `write_record` wrote.

    Raises
    ------
    InputError
        The file is damaged; the message names it, the line and what is wrong there.
    """
    number = 1

    def epochs(lines):
        nonlocal number
        for number, line in enumerate(lines, 2):  # noqa: B007 (told when the line is damaged)
            yield json.loads(line)

    try:
        first, *rest = path.read_text("utf-8").splitlines() or [""]
        return whole_record(json.loads(first), epochs(rest))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged (line {number}: {error}); bring back a whole copy, "
                         "or move it away and run its seed again.") from None


def whole_record(fields, epochs):
    """The record of a finished run, from its JSON fields and those of its epochs.

    Raises ValueError or TypeError, which say what is wrong with them.
    """
    record = Record(**{"history": (), **fields})
    for name, kind in (("seed", int), ("settings", dict), ("device", str), ("machine", dict),
                       ("command", str), ("diverged", (str, type(None))),
                       ("own_data", (str, type(None)))):
        if not isinstance(getattr(record, name), kind):
            raise ValueError(f"{name} is {getattr(record, name)!r}")
    missing = [name for name in ("dtype", "epochs") if name not in record.settings]
    if missing:
        raise ValueError(f"the settings do not say {missing[0]}")
    history = []
    for number, epoch in enumerate(epochs, 1):
        history.append(EpochRecord(**epoch))
        check_epoch(history[-1], expected=number)
    whole = len(history) == record.settings["epochs"]
    if not whole and not (record.diverged and len(history) < record.settings["epochs"]):
        raise ValueError(f"{len(history)} epochs of {record.settings['epochs']}")
    return Record(**{**vars(record), "settings": settings_of(record.settings),
                     "history": tuple(history)})


def check_epoch(record, expected):
    """Raise ValueError unless this is a possible record of that epoch."""
    if record.epoch != expected:
        raise ValueError(f"epoch {record.epoch} where epoch {expected} belongs")
    for name, highest in (("loss", math.inf), ("train_acc", 1), ("test_acc", 1),
                          ("seconds", math.inf)):
        value = getattr(record, name)
        if not (isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= highest):
            raise ValueError(f"{name} is {value!r}")


def read_records(folder):
    """The records in a folder: {path: Record}, in the order of their names.

    Raises
    ------
    InputError
        One is damaged, or two are of the same seed and settings.
    """
    records = {}
    for path in sorted(Path(folder).glob("*.jsonl")):
        record = read_record(path)
        for other, earlier in records.items():
            if (record.seed, record.kind) == (earlier.seed, earlier.kind):
                raise InputError(f"{other} and {path} are both of seed {record.seed} with the same "
                                 "settings; move one of them away.")
        records[path] = record
    return records


# ------------------------------------------------------------------ what they say


@dataclass(frozen=True)
class Spread:
    """The values of one quantity in one epoch over the seeds, and the published one."""

    low: float
    median: float
    high: float
    seeds: int  # how many have a value
    published: Optional[float]
    below: int  # seeds below the published value
    above: int
    decimals: int

    @property
    def outside(self):
        """How far the published value lies outside the range: negative below it, 0 within it."""
        if self.published is None:
            return 0
        return round(min(0, self.published - self.low) + max(0, self.published - self.high),
                     self.decimals)

    @property
    def where(self):
        """Where the published value lies, in words."""
        if self.published is None:
            return "not published"
        if self.outside:
            side = "below" if self.outside < 0 else "above"
            return f"{side} all, by {self.show(abs(self.outside))}"
        return f"above {self.below} of {self.seeds}, below {self.above}"

    def show(self, value):
        """A value with as many digits as were published."""
        return f"{value:.{self.decimals}f}"


class Group:
    """The seeds of one set of settings on one kind of device, against an edition.

    Values are compared as the textbook prints them, with as many digits.

    Parameters
    ----------
    edition : nin_gluon.experiments.published.Edition
    records : dict of Path to Record
        All of the same settings and device.
    """

    def __init__(self, edition, records):
        self.edition = edition
        self.paths = sorted(records, key=lambda path: records[path].seed)
        self.records = [records[path] for path in self.paths]
        self.settings, self.device = self.records[0].settings, self.records[0].device
        self.departures = departures(self.settings, recipe_settings(edition))
        self.rows = {epoch: {name: self.spread(epoch, name) for name in QUANTITIES}
                     for epoch in range(1, max(len(r.history) for r in self.records) + 1)}

    @property
    def seeds(self):
        return [record.seed for record in self.records]

    @property
    def diverged(self):
        return [record for record in self.records if record.diverged]

    @property
    def slug(self):
        """The group's name in file names: arithmetic, device, what departs from the recipe."""
        return slug(self.edition, *self.records[0].kind)

    @property
    def title(self):
        """The group's name for people."""
        own = self.records[0].own_data
        return ", ".join([f"{self.settings['dtype']} on {self.device}", *self.departure_words(),
                          *([f"own files {own}"] if own else [])])

    def departure_words(self):
        """What makes these runs others than the published recipe, arithmetic left aside."""
        recipe = recipe_settings(self.edition)
        usual = {name: "all images" if name == "limit" else recipe.get(name) for name in
                 self.departures}
        return [f"{name.replace('_', ' ')} {value} instead of {usual[name]}"
                for name, value in self.departures.items() if name != "dtype"]

    def values(self, record):
        """A run's values as the textbook prints them: {(epoch, quantity): value}."""
        return {(r.epoch, name): round(getattr(r, name), self.edition.decimals[name])
                for r in record.history for name in QUANTITIES}

    def published(self):
        """The published values of the epochs that were run, in the same form."""
        return {(epoch, name): figures[name] for epoch, figures in self.edition.published.items()
                for name in QUANTITIES if epoch in self.rows}

    def spread(self, epoch, name):
        values = [self.values(record)[epoch, name] for record in self.records
                  if len(record.history) >= epoch]
        published = self.edition.published.get(epoch, {}).get(name)
        below = above = 0
        if published is not None:
            below = sum(value < published for value in values)
            above = sum(value > published for value in values)
        return Spread(min(values), median(values), max(values), len(values), published, below,
                      above, self.edition.decimals[name])

    def outside(self):
        """The published values outside the range of the seeds: {(epoch, quantity): Spread}."""
        return {(epoch, name): self.rows[epoch][name] for epoch, name in self.published()
                if self.rows[epoch][name].outside}

    def expected_outside(self):
        """How many published values would lie outside if they came from one more run like ours.

        Of n + 1 values in random order, the one drawn first is lowest or highest with probability
        2 / (n + 1).
        """
        return sum(2 / (self.rows[epoch][name].seeds + 1) for epoch, name in self.published())

    def strays(self):
        """How many values of each run lie outside the range of all other runs.

        The published run is held against the seeds, and each seed against the others and the
        published run, on the published values alone. If the published run is one like ours, each
        of the runs is equally likely to be the one that strays farthest.

        Returns
        -------
        published : int
        seeds : dict of int to int
        """
        published = self.published()
        runs = [published] + [
            {at: value for at, value in self.values(record).items() if at in published}
            for record in self.records]

        def count(run):
            others = [other for other in runs if other is not run]
            return sum(not min(near) <= value <= max(near) for at, value in run.items()
                       for near in [[other[at] for other in others if at in other]] if near)

        first, *rest = map(count, runs)
        return first, dict(zip(self.seeds, rest))

    def notes(self):
        """What the verdict needs beside it, a sentence each."""
        lines = []
        if self.diverged:
            lines.append(f"{len(self.diverged)} of {some(len(self.records), 'seed')} diverged: "
                         + "; ".join(f"seed {r.seed}, {r.diverged}" for r in self.diverged) + ".")
        if self.settings["dtype"] != "float32":
            lines.append(f"Convolutions were computed in {self.settings['dtype']}; the published "
                         "run's in float32.")
        compared = len(self.published())
        if compared and len(self.records) >= MIN_SEEDS:
            lines.append(f"One more run like the seeds would on average have "
                         f"{self.expected_outside():.1f} of its {compared} values outside their "
                         "range: each with probability 2/(n + 1), n being the seeds.")
            stray, seeds = self.strays()
            lines.append("Values outside the range of all other runs: the published run "
                         f"{stray}; " + ", ".join(f"seed {s} {n}" for s, n in seeds.items()) + ".")
        if self.edition.notes:
            lines.append(self.edition.notes)
        return lines

    def verdict(self):
        """One sentence: whether the log is reproduced, and what that rests on."""
        compared, outside = len(self.published()), self.outside()
        seeds = f"{some(len(self.records), 'seed')} ({self.title})"
        if not self.edition.published:
            return (f"The {self.edition.name} edition published no figures of its epochs, so there "
                    f"is nothing to hold {seeds} against.")
        whole = len(self.records) - len(self.diverged)
        if whole < MIN_SEEDS:
            return (f"Too few seeds to say anything: {whole} finished, of {seeds}; it takes at "
                    f"least {MIN_SEEDS}.")
        if not compared:
            first = min(self.edition.published)
            return (f"The {self.edition.name} edition published no figures before epoch {first}, "
                    f"which {seeds} did not reach, so there is nothing to compare.")
        if outside:
            within, verb = compared - len(outside), "does" if len(outside) == 1 else "do"
            far = "; ".join(f"{QUANTITIES[name]} of epoch {epoch} ({s.show(s.published)}, "
                            f"{s.where})" for (epoch, name), s in outside.items())
            verdict = (f"{within} of {compared} published values lie within the range of {seeds}, "
                       f"{len(outside)} {verb} not: {far}")
        else:
            verdict = f"All {compared} published values lie within the range of {seeds}"
        other = [words for words in self.departure_words() if not words.startswith("epochs ")]
        if other:
            return (f"{verdict}; but with {' and '.join(other)} these are not the published "
                    "recipe, and this says nothing of it.")
        if outside:
            verdict += f"; {self.weight()}"
        return verdict + "."

    def weight(self):
        """How much it means that published values lie outside the range."""
        stray, others = self.strays()
        alike = sum(count >= stray for count in others.values())
        if alike:
            return (f"{alike} of the seeds, held against the other runs in the same way, "
                    f"{'has' if alike == 1 else 'have'} as many outside, so going by their "
                    "number alone the published log could be one of these runs")
        return ("no seed, held against the other runs in the same way, has as many outside, which "
                f"by chance happens at most once in {len(self.records) + 1} times")


def slug(edition, settings, device, own_data=None):
    """Name of a group of runs, for files: 'bfloat16-cpu', 'float32-gpu-epochs-2'."""
    left = departures(settings, recipe_settings(edition))
    words = [settings["dtype"], device,
             *(f"{name}-{value}" for name, value in left.items() if name != "dtype"),
             *(["own-data", own_data] if own_data else [])]
    return re.sub(r"[^\w.-]", "_", "-".join(words))


def some(number, noun):
    """'1 seed', '3 seeds'."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def seed_words(seeds):
    """Seeds as people list them: [0, 1, 2, 5] -> '0-2,5'."""
    parts = []
    for seed in sorted(seeds):
        if parts and parts[-1][1] == seed - 1:
            parts[-1] = parts[-1][0], seed
        else:
            parts.append((seed, seed))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def groups_of(edition, records):
    """The records as groups of one kind each; nearest to the recipe first."""
    gathered = []
    for path, record in records.items():
        for members in gathered:
            first = next(iter(members.values()))
            if first.kind == record.kind:
                members[path] = record
                break
        else:
            gathered.append({path: record})
    groups = [Group(edition, members) for members in gathered]
    return sorted(groups, key=lambda g: (len(g.departure_words()), -len(g.records),
                                         len(g.departures), g.slug))


def side_by_side(groups):
    """Pairs of groups that differ in arithmetic alone, with the runs of the seeds in both.

    Epochs may differ too where the schedule is constant: a shorter run is then the beginning of
    a longer one.

    Returns
    -------
    list of (Group, Group, dict of int to list of (EpochRecord, EpochRecord))
        The epochs that both have, by seed.
    """

    def rest(group):
        free = {"dtype", "epochs"} if group.settings.get("schedule") == "constant" else {"dtype"}
        return group.device, {k: v for k, v in group.settings.items() if k not in free}

    pairs = []
    ordered = sorted(groups, key=lambda group: group.settings["dtype"] != "float32")
    for i, one in enumerate(ordered):
        for other in ordered[i + 1 :]:
            if one.settings["dtype"] == other.settings["dtype"] or rest(one) != rest(other):
                continue
            runs = {record.seed: record.history for record in other.records}
            both = {record.seed: list(zip(record.history, runs[record.seed]))
                    for record in one.records if record.seed in runs}
            if both:
                pairs.append((one, other, both))
    return pairs


def series(group, name):
    """A quantity's values as the pictures want them: the runs' and the published ones."""
    runs = [[(r.epoch, getattr(r, name)) for r in record.history] for record in group.records]
    published = [(epoch, figures[name]) for epoch, figures in group.edition.published.items()]
    return [run for run in runs if run], published


def machines_of(groups):
    """The distinct machines of all runs, in order of first appearance."""
    machines = []
    for record in (record for group in groups for record in group.records):
        if record.machine not in machines:
            machines.append(record.machine)
    return machines
