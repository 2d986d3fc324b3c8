"""Runs of one recipe from several seeds, and where a published log lies among them."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from nin_gluon.data.sets import DATASETS
from nin_gluon.experiments.published import Edition
from nin_gluon.experiments.records import Key, Record, differences_from, named_settings, slug
from nin_gluon.text_tables import counted
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.progress_marks import no_better_than_guessing

__all__ = ["MIN_SEEDS", "QUANTITIES", "Group", "Pair", "Spread", "groups_of", "machines_of",
           "same_seeds", "series"]

QUANTITIES = {"loss": "loss", "train_acc": "train acc", "test_acc": "test acc"}

# The range of fewer seeds says nothing: of two, it misses a third one like them two times in three.
MIN_SEEDS = 3

# One value of a log: the epoch and the name of the quantity.
Place = Tuple[int, str]


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
    def outside(self) -> float:
        """How far the published value lies outside the range: negative below it, 0 within it."""
        if self.published is None:
            return 0
        return round(min(0, self.published - self.low) + max(0, self.published - self.high),
                     self.decimals)

    @property
    def where(self) -> str:
        """Where the published value lies, in words."""
        if self.published is None:
            return "not published"
        if self.outside:
            side = "below" if self.outside < 0 else "above"
            return f"{side} all, by {self.show(abs(self.outside))}"
        return f"above {self.below} of {self.seeds}, below {self.above}"

    def show(self, value: float) -> str:
        """A value with as many digits as were published."""
        return f"{value:.{self.decimals}f}"


class Group:
    """The seeds of one recipe on one kind of device, against an edition.

    Values are compared as the textbook prints them, with as many digits.

    Parameters
    ----------
    edition : nin_gluon.experiments.published.Edition
    records : mapping of Path to Record
        All of one kind.

    Attributes
    ----------
    differences : dict
        The settings that are not the edition's: {name: value}.
    rows : dict of int to dict of str to Spread
        By epoch and quantity.
    """

    def __init__(self, edition: Edition, records: Mapping[Path, Record]) -> None:
        self.edition = edition
        self.paths = sorted(records, key=lambda path: records[path].seed)
        self.records = [records[path] for path in self.paths]
        self.settings, self.device, self.own_data = self.records[0].kind
        self.differences = differences_from(edition.recipe, self.settings)
        self.rows: Dict[int, Dict[str, Spread]] = {
            epoch: {name: self.spread(epoch, name) for name in QUANTITIES}
            for epoch in range(1, max(len(r.history) for r in self.records) + 1)}

    @property
    def seeds(self) -> List[int]:
        return [record.seed for record in self.records]

    @property
    def diverged(self) -> List[Record]:
        return [record for record in self.records if record.diverged]

    @property
    def slug(self) -> str:
        """The group's name in file names: arithmetic, device, differences from the recipe."""
        return slug(self.edition.recipe, self.settings, self.device, self.own_data)

    @property
    def title(self) -> str:
        """The group's name for people."""
        return ", ".join([f"{self.settings.dtype} on {self.device}", *self.difference_words(),
                          *([f"own files {self.own_data}"] if self.own_data else [])])

    @property
    def named_settings(self) -> Dict[str, Any]:
        """Every setting but the seed."""
        return named_settings(self.settings)

    def difference_words(self) -> List[str]:
        """How these runs differ from the published recipe, arithmetic left aside."""
        recipe = named_settings(self.edition.recipe)
        return [f"{name.replace('_', ' ')} {value} instead of "
                f"{'all images' if name == 'limit' else recipe[name]}"
                for name, value in self.differences.items() if name != "dtype"]

    # -------------------------------------------------------------- values

    def values(self, record: Record) -> Dict[Place, float]:
        """A run's values as the textbook prints them."""
        return {(epoch.epoch, name): round(getattr(epoch, name), self.edition.decimals[name])
                for epoch in record.history for name in QUANTITIES}

    def published(self) -> Dict[Place, float]:
        """The published values of the epochs that were run."""
        return {(epoch, name): figures[name] for epoch, figures in self.edition.published.items()
                for name in QUANTITIES if epoch in self.rows}

    def spread(self, epoch: int, name: str) -> Spread:
        """One quantity in one epoch."""
        values = [self.values(record)[epoch, name] for record in self.records
                  if len(record.history) >= epoch]
        published = self.edition.published.get(epoch, {}).get(name)
        below = above = 0
        if published is not None:
            below = sum(value < published for value in values)
            above = sum(value > published for value in values)
        return Spread(min(values), median(values), max(values), len(values), published, below,
                      above, self.edition.decimals[name])

    def published_outside(self) -> Dict[Place, Spread]:
        """The published values that lie outside the range of the seeds."""
        return {(epoch, name): self.rows[epoch][name] for epoch, name in self.published()
                if self.rows[epoch][name].outside}

    def expected_outside(self) -> float:
        """How many published values would lie outside if they came from one more run like ours.

        Of n + 1 values in random order, the one drawn first is lowest or highest with probability
        2 / (n + 1).
        """
        return sum(2 / (self.rows[epoch][name].seeds + 1) for epoch, name in self.published())

    def outside_range(self) -> Tuple[int, Dict[int, int]]:
        """How many values of each run lie outside the range of all other runs.

        The published run is compared with the seeds, and each seed with the other seeds and the
        published run, on the published values alone. If the published run is one like ours, each
        run is equally likely to be the one with most values outside.

        Returns
        -------
        published : int
        seeds : dict of int to int
        """
        published = self.published()
        runs = [published] + [
            {place: value for place, value in self.values(record).items() if place in published}
            for record in self.records]

        def count(run: Dict[Place, float]) -> int:
            others = [other for other in runs if other is not run]
            ranges = {place: [other[place] for other in others if place in other] for place in run}
            return sum(not min(ranges[place]) <= value <= max(ranges[place])
                       for place, value in run.items() if ranges[place])

        first, *rest = map(count, runs)
        return first, dict(zip(self.seeds, rest))

    # -------------------------------------------------------------- classes

    def class_rows(self) -> List[List[str]]:
        """What became of the classes, a row for each seed of which something is known.

        The cells: seed; classes alive before the first step; the step at which the loss left
        ln 10; classes alive after each epoch; which are dead at the end; the accuracy at the end of
        each class that has less than 0.5.
        """
        known = DATASETS.get(str(self.settings.dataset))  # a record may name any data set
        names = known.classes if known else [f"class {number}" for number in range(10)]
        rows = []
        for record in self.records:
            last = record.history[-1] if record.history else None
            if last is None or (last.living is None and record.start is None):
                continue
            start = str(len(record.start.living)) if record.start else "?"
            step = (f"{record.escape_step:,}" if record.escape_step is not None else
                    "never" if all(no_better_than_guessing(epoch.loss)
                                   for epoch in record.history) else "?")
            alive = ["?" if epoch.living is None else str(len(epoch.living))
                     for epoch in record.history]
            dead = low = ["?"]
            if last.living is not None:
                dead = [name for number, name in enumerate(names) if number not in last.living]
            if last.class_acc is not None:
                low = [f"{name} {accuracy:.3f}" for name, accuracy in zip(names, last.class_acc)
                       if accuracy is not None and accuracy < 0.5]
            rows.append([str(record.seed), start, step, ", ".join(alive),
                         ", ".join(dead) or "none", ", ".join(low) or "none"])
        return rows

    # -------------------------------------------------------------- in words

    def notes(self) -> List[str]:
        """What the verdict needs beside it, a sentence each."""
        lines = []
        if self.diverged:
            lines.append(f"{len(self.diverged)} of {counted(len(self.records), 'seed')} diverged: "
                         + "; ".join(f"seed {r.seed}, {r.diverged}" for r in self.diverged) + ".")
        if self.settings.dtype != "float32":
            lines.append(f"Convolutions were computed in {self.settings.dtype}; the published "
                         "run's in float32.")
        compared = len(self.published())
        if compared and len(self.records) >= MIN_SEEDS:
            lines.append(f"One more run like the seeds would on average have "
                         f"{self.expected_outside():.1f} of its {compared} values outside their "
                         "range: each with probability 2/(n + 1), n being the seeds.")
            published, seeds = self.outside_range()
            lines.append(f"{published} of the published values lie outside the range of all seeds, "
                         f"and {min(seeds.values())} to {max(seeds.values())} values of each seed "
                         "outside that of the other runs.")
        if self.edition.notes:
            lines.append(self.edition.notes)
        return lines

    def verdict(self) -> str:
        """How many of the published values lie within the range of the seeds, and what it means."""
        published, outside = self.published(), self.published_outside()
        seeds = f"{counted(len(self.records), 'seed')} ({self.title})"
        reservation = self.no_comparison(seeds)
        if reservation:
            return reservation
        if outside:
            verdict = (f"{len(published) - len(outside)} of {len(published)} published values lie "
                       f"within the range of {seeds}")
        else:
            verdict = f"All {len(published)} published values lie within the range of {seeds}"
        # Which interpolation the published run had is not known.
        other = [words for words in self.difference_words()
                 if not words.startswith(("epochs ", "interpolation "))]
        if other:
            return (f"{verdict}; but with {' and '.join(other)} these are not the published "
                    "recipe, and this says nothing of it.")
        return f"{verdict}." + (f" {self.weight()}" if outside else "")

    def no_comparison(self, seeds: str) -> Optional[str]:
        """Why nothing can be said, in a sentence; None if something can."""
        if not self.edition.published:
            return (f"The {self.edition.name} edition published no figures of its epochs, so there "
                    f"is nothing to hold {seeds} against.")
        whole = len(self.records) - len(self.diverged)
        if whole < MIN_SEEDS:
            return (f"Too few seeds to say anything: {whole} finished, of {seeds}; it takes at "
                    f"least {MIN_SEEDS}.")
        if not self.published():
            first = min(self.edition.published)
            return (f"The {self.edition.name} edition published no figures before epoch {first}, "
                    f"which {seeds} did not reach, so there is nothing to compare.")
        return None

    def weight(self) -> str:
        """How much it means that published values lie outside the range."""
        published, seeds = self.outside_range()
        alike = sum(count >= published for count in seeds.values())
        if alike:
            return (f"Compared with the other runs in the same way, {counted(alike, 'seed')} "
                    f"{'has' if alike == 1 else 'have'} at least as many outside "
                    f"(p = {(1 + alike) / (1 + len(seeds)):.2f}).")
        return ("No seed, compared with the other runs in the same way, has as many outside; by "
                f"chance that happens at most once in {len(seeds) + 1} times.")


def groups_of(edition: Edition, records: Mapping[Path, Record]) -> List[Group]:
    """The records as groups of one kind each; nearest to the recipe first."""
    gathered: Dict[Key, Dict[Path, Record]] = {}
    for path, record in records.items():
        gathered.setdefault(record.kind, {})[path] = record
    groups = [Group(edition, members) for members in gathered.values()]
    return sorted(groups, key=lambda g: (len(g.difference_words()), -len(g.records),
                                         len(g.differences), g.slug))


# Two groups, and by seed the epochs that both have.
Pair = Tuple[Group, Group, Dict[int, List[Tuple[EpochRecord, EpochRecord]]]]


def same_seeds(groups: Sequence[Group]) -> List[Pair]:
    """Pairs of groups that differ in arithmetic alone, with the runs of the seeds in both.

    Epochs may differ too where the schedule is constant: a shorter run is then the beginning of
    a longer one.
    """

    def rest(group: Group) -> Tuple[Any, ...]:
        settings = group.settings.but(dtype="float32")
        if settings.schedule == "constant":
            settings = settings.but(epochs=1)
        return group.device, group.own_data, settings

    pairs = []
    ordered = sorted(groups, key=lambda group: group.settings.dtype != "float32")
    for i, one in enumerate(ordered):
        for other in ordered[i + 1 :]:
            if one.settings.dtype == other.settings.dtype or rest(one) != rest(other):
                continue
            runs = {record.seed: record.history for record in other.records}
            both = {record.seed: list(zip(record.history, runs[record.seed]))
                    for record in one.records if record.seed in runs}
            if both:
                pairs.append((one, other, both))
    return pairs


def series(group: Group, name: str) -> Tuple[List[List[Tuple[int, float]]],
                                             List[Tuple[int, float]]]:
    """A quantity's values as the pictures need them: the runs' and the published ones."""
    runs = [[(r.epoch, getattr(r, name)) for r in record.history] for record in group.records]
    published = [(epoch, figures[name]) for epoch, figures in group.edition.published.items()]
    return [run for run in runs if run], published


def machines_of(groups: Sequence[Group]) -> List[Dict[str, Any]]:
    """The distinct machines of all runs, in order of first appearance."""
    machines: List[Dict[str, Any]] = []
    for record in (record for group in groups for record in group.records):
        if record.machine not in machines:
            machines.append(record.machine)
    return machines
