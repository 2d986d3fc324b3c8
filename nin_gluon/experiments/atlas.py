"""All published runs of the recipe beside our own: how they ended, and how often.

How a run ended is judged by its final test accuracy alone, since that is all that a published log
tells. The test set has ten classes of equal size. A class whose score is 0 for every image is
dead: no image is taken for it, so a net with k dead classes cannot get above 1 - k/10. A net above
1 - k/10 therefore has fewer than k dead classes, and `living_classes` gives the fewest that must be
alive. The reasoning gives an upper bound on the dead and no more:

- An accuracy below 1 - k/10 does not prove k dead classes; a run that learns slowly is there too.
- An accuracy above 0.8 does not tell nine living classes from ten, since no published run reaches
  0.9. Both count as whole.
- An image that scores 0 in all classes is taken for the first one. If that class is dead, its own
  images may still be counted right, and the bound is off by one.

Where a record of ours holds the number of living classes, that number is used.

What the published runs do not allow to conclude:

- They are no random sample of runs. Many are outputs of the book's own builds that readers kept, so
  an interval says what chance alone does to so many runs and nothing about how they were chosen.
- MXNet's runs of 5 and of 10 epochs show the same recipe, but those of 10 epochs stand far lower
  at epoch 5. Nobody has said why, so they are never put into one group.
- The values of most later runs were read off plots, which is right to 0.005 or better.
- Some PyTorch ports print another loss than the mean over images; see ``loss_is``.
"""

import logging
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import filelock

from nin_gluon.errors import InputError
from nin_gluon.experiments.log_parsers import ParsedLog
from nin_gluon.experiments.published_logs import (
    FRAMEWORKS,
    PACKAGED,
    RECIPES,
    PublishedLog,
    read_atlas,
    same_log,
    write_atlas,
)
from nin_gluon.experiments.statistics import moves_to_cross, permutation_p, wilson_interval

__all__ = ["CLASSES", "OUTCOMES", "Comparison", "Group", "Run", "add_log", "compare", "comparisons",
           "group_runs", "living_classes", "outcome", "own_runs", "published_log",
           "published_runs", "report", "report_data", "runs_of_histories"]

log = logging.getLogger(__name__)

CLASSES = 10

OUTCOMES = {
    "whole": "nine or ten classes alive (final accuracy above 0.8)",
    "maimed": "two to eight classes alive",
    "dead": "at most one class alive (final accuracy of at most 0.1, which is guessing)",
}

OURS = "ours"

# The share of fewer runs is too uncertain to compare.
MIN_COMPARED = 10

LEVEL = 0.05


@dataclass(frozen=True)
class Run:
    """One run, published or our own, as the atlas sees it."""

    label: str  # where it was published, or the seed
    framework: str  # a key of FRAMEWORKS, or "ours"
    recipe: str
    epochs: int
    test_acc: Tuple[Optional[float], ...]  # by epoch; the last one is known
    measured: Optional[int] = None  # living classes at the end, counted on the net itself
    book: bool = False

    @property
    def final(self) -> float:
        """Final test accuracy, a fraction."""
        last = self.test_acc[-1]
        assert last is not None
        return last

    @property
    def living(self) -> int:
        """Living classes at the end: counted, or the fewest that the accuracy allows."""
        return living_classes(self.final) if self.measured is None else self.measured

    @property
    def outcome(self) -> str:
        return outcome(self.living)


def living_classes(accuracy: float) -> int:
    """The fewest living classes with which a net can have this test accuracy, from 0 to 10.

    The accuracy is a fraction of ten classes of equal size; see the module for what this can tell.
    """
    # Rounded first: 10 * 0.7 and its like may come out a little above a whole number.
    return math.ceil(round(CLASSES * accuracy, 6))


def outcome(living: int) -> str:
    """The key of `OUTCOMES` for a number of living classes."""
    return "whole" if living >= CLASSES - 1 else "maimed" if living > 1 else "dead"


# ------------------------------------------------------------------ runs


def published_runs(logs: Iterable[PublishedLog]) -> List[Run]:
    """The runs of published logs."""
    return [Run(entry.sources[0], entry.framework, entry.recipe, entry.epochs, entry.test_acc,
                book=entry.book) for entry in logs]


def runs_of_histories(pairs: Iterable[Tuple[str, Sequence[Any]]]) -> List[Run]:
    """Our own runs of the book's recipe from (label, history) pairs.

    Each history is a sequence of an epoch's record with a ``test_acc``; if its last one has a list
    ``alive`` of ten truth values, a class each, or their number, that is used.
    """
    return [Run(label, OURS, "sgd-0.1", len(history),
                tuple(float(epoch.test_acc) for epoch in history), measured_living(history[-1]))
            for label, history in pairs if len(history)]


def measured_living(epoch: Any) -> Optional[int]:
    alive = getattr(epoch, "alive", None)
    if alive is None or isinstance(alive, int):
        return alive
    return sum(map(bool, alive))


def own_runs(folder: Union[str, Path]) -> List[Run]:
    """Our runs of the book's recipe from the records in a folder; [] if there are none.

    Arithmetic and the number of epochs may differ from the book's. Records of other settings are
    left out, and a notice says so.

    Raises
    ------
    InputError
        A record is damaged.
    """
    from nin_gluon.experiments import records
    from nin_gluon.experiments.published import EDITIONS

    recipe = records.recipe_settings(EDITIONS["d2l-mxnet"])
    pairs, others = [], 0
    for record in records.read_records(folder).values():
        if set(records.departures(record.settings, recipe)) <= {"dtype", "epochs"}:
            pairs.append((f"seed {record.seed}, {record.settings['dtype']}", record.history))
        else:
            others += 1
    if others:
        log.warning("%s: left out %d of another recipe than the book's.", folder, others)
    return runs_of_histories(pairs)


@dataclass(frozen=True)
class Group:
    """The runs of one framework, recipe and number of epochs, lowest final accuracy first."""

    framework: str
    recipe: str
    epochs: int
    runs: Tuple[Run, ...]

    @property
    def name(self) -> str:
        return FRAMEWORKS.get(self.framework, self.framework)

    @property
    def title(self) -> str:
        other = "" if self.recipe == "sgd-0.1" else f", {RECIPES[self.recipe]}"
        return f"{self.name}, {self.epochs} epochs{other}"

    @property
    def counts(self) -> Dict[str, int]:
        """How many runs ended in each way."""
        ended = Counter(run.outcome for run in self.runs)
        return {name: ended[name] for name in OUTCOMES}

    def share(self, name: str) -> Tuple[float, float, float]:
        """(share, lowest, highest) of an outcome, with Wilson's interval of 95 % confidence."""
        count, total = self.counts[name], len(self.runs)
        return (count / total, *wilson_interval(count, total))


def group_runs(runs: Iterable[Run]) -> List[Group]:
    """The groups: the book's recipe first, frameworks in their order, our own runs last of each."""
    found: Dict[Tuple[str, str, int], List[Run]] = {}
    for run in runs:
        found.setdefault((run.framework, run.recipe, run.epochs), []).append(run)
    frameworks, recipes = [*FRAMEWORKS, OURS], list(RECIPES)
    order = sorted(found, key=lambda key: (recipes.index(key[1]), frameworks.index(key[0]), key[2]))
    return [Group(*key, tuple(sorted(found[key], key=lambda run: (run.final, run.label))))
            for key in order]


# ------------------------------------------------------------------ do frameworks differ?


@dataclass(frozen=True)
class Comparison:
    """Shares of whole runs of several groups after some epoch, and a permutation test of them."""

    epoch: int
    shares: Mapping[str, Tuple[int, int]]  # of each group, by title: whole runs, runs
    difference: float  # between the highest share and the lowest
    p: float
    change: Optional[Tuple[str, int]]  # `nin_gluon.experiments.statistics.moves_to_cross`

    def words(self) -> str:
        """What was asked, what came out, what would change it."""
        shares = ", ".join(f"{whole} of {runs} ({title})"
                           for title, (whole, runs) in self.shares.items())
        if self.p < LEVEL:
            verdict, side = "The groups differ by more than chance explains", "above"
        else:
            verdict, side = "Chance alone explains this", "below"
        if self.change is None:
            change = f"No other outcomes of one group would bring p {side} {LEVEL}."
        else:
            title, moved = self.change
            change = (f"p would be {side} {LEVEL} if {abs(moved)} {'more' if moved > 0 else 'fewer'}"
                      f" of the runs of {title} were whole.")
        return (f"Whole after epoch {self.epoch}: {shares}.\n"
                f"The shares differ by up to {100 * self.difference:.0f} points. When the runs are "
                f"dealt to the groups at random, they differ as much in {share_words(self.p)} "
                f"deals (p = {self.p:.2g}).\n{verdict}. {change}")


def share_words(p: float) -> str:
    return f"{100 * p:.0f} of 100" if p >= 0.01 else "fewer than 1 of 100"


def compare(groups: Sequence[Group], epoch: int) -> Optional[Comparison]:
    """Whether the groups differ in the share of runs that are whole after an epoch.

    Only groups of at least `MIN_COMPARED` runs that have a value for that epoch are compared; None
    if there are fewer than two.
    """
    shares: Dict[str, Tuple[int, int]] = {}
    for group in groups:
        values = [run.test_acc[epoch - 1] for run in group.runs if len(run.test_acc) >= epoch]
        known = [value for value in values if value is not None]
        if len(known) >= MIN_COMPARED:
            whole = sum(outcome(living_classes(value)) == "whole" for value in known)
            shares[group.title] = whole, len(known)
    if len(shares) < 2:
        return None
    outcomes = [[1.0] * whole + [0.0] * (runs - whole) for whole, runs in shares.values()]
    difference, p = permutation_p(outcomes)
    change = moves_to_cross(shares, LEVEL)
    return Comparison(epoch, shares, difference, p,
                      None if change is None else (str(change[0]), change[1]))


def comparisons(groups: Sequence[Group]) -> List[Comparison]:
    """The comparisons that the atlas makes: ten epochs at their end, and all after epoch 5."""
    recipe = [group for group in groups if group.recipe == "sgd-0.1"]
    made = [compare([group for group in recipe if group.epochs == 10], 10), compare(recipe, 5)]
    return [comparison for comparison in made if comparison]


# ------------------------------------------------------------------ words and data


def report(groups: Sequence[Group]) -> str:
    """The atlas in words and tables, for a terminal."""
    own = sum(len(group.runs) for group in groups if group.framework == OURS)
    published = sum(len(group.runs) for group in groups) - own
    parts = [f"Final test accuracy of {published} published runs and {own} of our own. Before it, "
             "how many classes\nmust be alive for it (counted: +). The book's own run: *",
             *(group_words(group) for group in groups),
             "How they ended, with 95 % confidence intervals (Wilson)\n\n" + outcome_table(groups),
             *(comparison.words() for comparison in comparisons(groups)),
             CAUTION]
    return "\n\n".join(parts)


CAUTION = """\
Read with care. These runs are no random sample, and many come from the book's own builds. An
accuracy below 1 - k/10 does not prove k dead classes, least of all after few epochs. More than one
comparison was made, and p is not corrected for that."""


def group_words(group: Group) -> str:
    """The runs of a group, a line for each number of living classes."""
    lines = [f"{group.title}: {len(group.runs)} run{'s' * (len(group.runs) != 1)}, median "
             f"{median(run.final for run in group.runs):.3f}"]
    by_living: Dict[str, List[str]] = {}
    for run in group.runs:
        accuracy = f"{run.final:.3f}{'*' * run.book}"
        by_living.setdefault(living_words(run), []).append(accuracy)
    for living, accuracies in by_living.items():
        lines += [f"  {living if not start else '':>8}  {' '.join(accuracies[start:start + 12])}"
                  for start in range(0, len(accuracies), 12)]
    return "\n".join(lines)


def living_words(run: Run) -> str:
    """'5', '9 or 10', or '8+' for a number that was counted."""
    if run.measured is not None:
        return f"{run.measured}+"
    return "9 or 10" if run.living >= CLASSES - 1 else str(run.living)


def outcome_table(groups: Sequence[Group]) -> str:
    rows = [["", "runs", *OUTCOMES]]
    for group in groups:
        cells = []
        for name, count in group.counts.items():
            _, low, high = group.share(name)
            cells.append(f"{count:2d} ({100 * low:.0f}-{100 * high:.0f} %)")
        rows.append([group.title, str(len(group.runs)), *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]),
                        *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
             for row in rows]
    meaning = "\n".join(f"{name}: {what}" for name, what in OUTCOMES.items())
    return "\n".join(lines) + "\n\n" + meaning


def report_data(groups: Sequence[Group]) -> Dict[str, Any]:
    """The same as `report`, for programs: JSON values."""
    return {
        "groups": [{
            "framework": group.framework, "recipe": group.recipe, "epochs": group.epochs,
            "title": group.title,
            "outcomes": {name: dict(zip(("count", "share", "low", "high"),
                                        (count, *group.share(name))))
                         for name, count in group.counts.items()},
            "runs": [{"label": run.label, "final_test_acc": run.final, "living": run.living,
                      "counted": run.measured is not None, "outcome": run.outcome,
                      "book": run.book, "test_acc": list(run.test_acc)} for run in group.runs],
        } for group in groups],
        "comparisons": [asdict(comparison) for comparison in comparisons(groups)],
    }


# ------------------------------------------------------------------ a user's own file


def published_log(parsed: ParsedLog, source: str, framework: Optional[str] = None,
                  recipe: Optional[str] = None, epochs: Optional[int] = None) -> PublishedLog:
    """The log to add from what a file told, and what the user says beyond it.

    Raises
    ------
    InputError
        Something is neither in the file nor given, or a value is impossible.
    """
    framework, recipe = framework or parsed.framework, recipe or parsed.recipe
    columns = {name: list(values) for name, values in parsed.values.items()}
    done = len(columns["test_acc"])
    epochs = epochs or parsed.epochs or (done if parsed.read_from != "last line" else None)
    for name, value, example in (("framework", framework, "pytorch"), ("recipe", recipe, "sgd-0.1"),
                                 ("epochs", epochs, "10")):
        if value is None:
            raise InputError(f"the file does not tell the {name}; give --{name}, such as "
                             f"--{name} {example}.")
    assert framework and recipe and epochs  # for the type checker
    if parsed.read_from == "last line":  # the values are those of the last epoch
        columns = {name: [None] * (epochs - 1) + values for name, values in columns.items()}
    try:
        return PublishedLog(framework, recipe, epochs, sources=(source,), device=parsed.device,
                            read_from=parsed.read_from,
                            **{name: tuple(values) for name, values in columns.items()})
    except ValueError as error:
        raise InputError(f"this log cannot be added: {error}.") from None


def add_log(path: Union[str, Path], entry: PublishedLog) -> Optional[PublishedLog]:
    """Add a log to a user's atlas file, which is made if need be.

    Returns
    -------
    PublishedLog or None
        The log that is there already with the same values, packaged or in the file; then nothing
        is written. None if the log was added.

    Raises
    ------
    InputError
        The file is no atlas file, or is the packaged one.
    """
    path = Path(path)
    if path.resolve() == PACKAGED.resolve():
        raise InputError("the packaged atlas is never changed; give --atlas another file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(str(path.with_name(f".{path.name}.lock"))):
        mine = read_atlas(path) if path.exists() else []
        for known in [*read_atlas(), *mine]:
            if same_log(known, entry):
                return known
        write_atlas(path, [*mine, entry])
    return None
