"""All published runs of the recipe beside our own: how they ended, and how often.

How a run ended is judged by its final test accuracy alone, since that is all that a published log
tells. The test set has ten classes of equal size. A class whose score is 0 for every image is
dead: no image is taken for it, so a net with k dead classes cannot get above 1 - k/10. A net above
1 - k/10 therefore has fewer than k dead classes, and `living_classes` gives the fewest that must be
alive. The reasoning gives an upper bound on the dead and no more:

- An accuracy below 1 - k/10 does not prove k dead classes. A run that learns slowly is there too,
  and so is a net with a class that is alive but never scores highest.
- An accuracy above 0.8 does not tell nine living classes from ten, since no published run reaches
  0.9. Both count as whole.
- An image that scores 0 in all classes is taken for the first one. If that class is dead, its own
  images may still be counted right, and the bound is off by one.

Where a record of ours holds the number of living classes, it is shown beside the accuracy. It does
not decide how the run ended, or our runs could not be compared with published ones.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from nin_gluon.experiments.atlas.published_logs import FRAMEWORKS, RECIPES, PublishedLog
from nin_gluon.experiments.statistics import moves_to_cross, permutation_p, wilson_interval
from nin_gluon.settings import TEXTBOOK, Settings

__all__ = ["CLASSES", "LEVEL", "OURS", "OUTCOMES", "Comparison", "Group", "Run",
           "beyond_the_recipe", "compare", "comparisons", "group_runs", "living_classes",
           "outcome", "own_runs", "published_runs", "read_own_runs", "shares_above"]

log = logging.getLogger(__name__)

CLASSES = 10

# How a run ended, by its accuracy alone.
OUTCOMES = {
    "whole": "above 0.8, where one class at most is dead (two, if the first is one of them)",
    "maimed": "above 0.1, at most 0.8: classes are dead, or alive and not recognized",
    "dead": "at most 0.1, which is guessing: all classes are dead, or all but one, or the net "
            "broke down",
}

OURS = "ours"

# Settings in which a run of ours may differ from the book's and still count as one of its recipe.
FREE = {"seed", "dtype", "epochs", "interpolation", "engine"}

# The share of fewer runs is too uncertain to compare.
MIN_COMPARED = 10

LEVEL = 0.05  # of all comparisons together


@dataclass(frozen=True)
class Run:
    """One run, published or our own, as the atlas sees it."""

    label: str  # where it was published, or the seed
    framework: str  # a key of FRAMEWORKS, or "ours"
    recipe: str
    epochs: int
    test_acc: Tuple[Optional[float], ...]  # by epoch; the last one is known
    counted: Optional[int] = None  # living classes at the end, counted on the net itself
    book: bool = False
    kind: str = ""  # of ours: arithmetic, and what differs from the recipe beyond it

    @property
    def final(self) -> float:
        """Final test accuracy, a fraction."""
        last = self.test_acc[-1]
        assert last is not None
        return last

    def after(self, epoch: int) -> Optional[float]:
        """Test accuracy after an epoch; None if it is not known."""
        return self.test_acc[epoch - 1] if epoch <= len(self.test_acc) else None

    @property
    def living(self) -> int:
        """The fewest living classes at the end that the accuracy allows."""
        return living_classes(self.final)

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


def own_runs(records: Iterable[Any]) -> List[Run]:
    """Our runs of the book's recipe among records of runs.

    Arithmetic, engine, resampling and the number of epochs may differ from the book's. Records of
    other settings or data are left out, and a notice says so. A run that diverged guesses in the
    epochs that it has not made.

    Parameters
    ----------
    records : iterable of nin_gluon.experiments.records.Record
    """
    recipe = TEXTBOOK.but(dataset="fashion-mnist")
    runs: List[Run] = []
    left_out = 0
    for record in records:
        settings = record.settings
        if record.own_data is not None or set(settings.differences(recipe)) - FREE:
            left_out += 1
        else:
            accuracies = [epoch.test_acc for epoch in record.history]
            accuracies += [1 / CLASSES] * (settings.epochs - len(accuracies))
            kind = settings.dtype + beyond_the_recipe(settings)
            runs.append(Run(f"seed {settings.seed}, {kind}", OURS, "sgd-0.1",
                            settings.epochs, tuple(accuracies),
                            None if record.diverged else record.living_classes, kind=kind))
    if left_out:
        log.warning("left out: %d of our records with another recipe than the book's", left_out)
    return runs


def beyond_the_recipe(settings: Settings) -> str:
    """How a run of the recipe differs from it, but for its arithmetic; '' if it does not."""
    return (" with bicubic images" * (settings.interpolation == "bicubic")
            + " with PyTorch" * (settings.engine == "torch"))


def read_own_runs(folder: Union[str, Path]) -> List[Run]:
    """Our runs of the book's recipe from the records in a folder; [] if there are none.

    Raises
    ------
    InputError
        A record is damaged.
    """
    from nin_gluon.experiments.stores import RecordFolder

    return own_runs(RecordFolder(Path(folder), TEXTBOOK).read().values())


# ------------------------------------------------------------------ groups


@dataclass(frozen=True)
class Group:
    """The runs of one framework, recipe and number of epochs, lowest final accuracy first."""

    framework: str
    recipe: str
    epochs: int
    runs: Tuple[Run, ...]

    @property
    def name(self) -> str:
        return "our runs" if self.framework == OURS else FRAMEWORKS[self.framework]

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

    def cells(self) -> List[str]:
        """'13 (37% to 74%)' for each outcome: its runs, and the interval of their share."""
        return [f"{count} ({low:.0%} to {high:.0%})" for name, count in self.counts.items()
                for _, low, high in [self.share(name)]]


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
    """Shares of runs above 0.8 in several groups, and a permutation test of them."""

    epoch: Optional[int]  # after which; None for the end of each run
    shares: Mapping[str, Tuple[int, int]]  # of each group, by title: runs above 0.8, all its runs
    difference: float  # between the highest share and the lowest
    p: float
    level: float  # below which p counts
    change: Optional[Tuple[str, int]]  # `nin_gluon.experiments.statistics.moves_to_cross`

    @property
    def significant(self) -> bool:
        return self.p < self.level


def shares_above(groups: Sequence[Group], epoch: Optional[int]) -> Dict[str, Tuple[int, int]]:
    """Of each group with enough runs, how many are above 0.8 after an epoch, and how many it has.

    Runs without a value for that epoch are left out. None stands for the end of each run, an
    interrupted one included: where it stood is how it ended.
    """
    shares = {}
    for group in groups:
        values = [run.final if epoch is None else run.after(epoch) for run in group.runs]
        above = [outcome(living_classes(value)) == "whole" for value in values if value is not None]
        if len(above) >= MIN_COMPARED:
            shares[group.title] = sum(above), len(above)
    return shares


def compare(shares: Mapping[str, Tuple[int, int]], epoch: Optional[int] = None,
            level: float = LEVEL) -> Comparison:
    """Whether groups differ in the share of runs above 0.8, where nets with few dead classes are.

    Parameters
    ----------
    shares : mapping of str to (int, int)
        Of two groups or more, from `shares_above`.
    epoch : int or None
        That the shares are of.
    level : float
        Below which p counts.
    """
    outcomes = [[1.0] * above + [0.0] * (runs - above) for above, runs in shares.values()]
    difference, p = permutation_p(outcomes)
    return Comparison(epoch, shares, difference, p, level, moves_to_cross(shares, level))


def comparisons(groups: Sequence[Group]) -> List[Comparison]:
    """The comparisons that the atlas makes of published runs: of ten epochs at their end, all after
    epoch 5.

    The level is shared among them (Bonferroni's correction), so that chance alone makes any of them
    count in at most 5 of 100 atlases.
    """
    recipe = [group for group in groups if group.recipe == "sgd-0.1" and group.framework != OURS]
    long = [group for group in recipe if group.epochs == 10]
    asked = [(shares_above(long, None), None), (shares_above(recipe, 5), 5)]
    made = [(shares, epoch) for shares, epoch in asked if len(shares) > 1]
    return [compare(shares, epoch, LEVEL / len(made)) for shares, epoch in made]
