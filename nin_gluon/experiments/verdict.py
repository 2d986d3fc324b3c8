"""Does the log reproduce? Where the published log lies among all runs of its recipe.

The runs are other people's published ones, from the atlas, and our own. Two questions are answered:
how many of them end as low as the published log, and whether the log as a whole is unusual among
them.

For the second, every value of every run is ranked among the same values of all runs. A run is the
more unusual the further its ranks lie from the middle, on average over its values. If the published
log is one more run of the same kind, it is equally likely to have any place in that order. So the
share of runs that are at least as unusual as it, itself included, is a p-value, and it holds for
any number of runs (conformal prediction: Vovk, Gammerman and Shafer, Algorithmic Learning in a
Random World, 2005).
"""

import math
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from nin_gluon.experiments.atlas.groups import living_classes, outcome
from nin_gluon.experiments.atlas.published_logs import LOSS_KINDS, PublishedLog, read_atlas
from nin_gluon.experiments.published import Edition
from nin_gluon.experiments.records import Record, differences_from
from nin_gluon.experiments.statistics import wilson_interval
from nin_gluon.experiments.wording import counted

__all__ = ["FEWEST", "LEVEL", "Values", "Verdict", "unusualness", "verdict_of"]

LEVEL = 0.05  # a smaller p-value says that the log is none of these runs

FEWEST = math.floor(1 / LEVEL) + 1  # runs with which p can be below the level

# What our seeds may do otherwise than the published run and still be counted among its like.
FREE = {"dtype", "interpolation", "engine"}

# One value of a log: the epoch and the name of the quantity.
Place = Tuple[int, str]
Values = Dict[Place, float]


@dataclass(frozen=True)
class Verdict:
    """The published log among other runs of its recipe.

    Attributes
    ----------
    edition : Edition
    published : dict
        The published values: {(epoch, quantity): value}.
    others : tuple of dict
        Other people's published runs, with at least the same places.
    seeds : tuple of dict
        Our own, of any arithmetic, device and engine.
    """

    edition: Edition
    published: Values
    others: Tuple[Values, ...]
    seeds: Tuple[Values, ...]

    @property
    def last(self) -> Place:
        return self.edition.recipe.epochs, "test_acc"

    @property
    def runs(self) -> List[Values]:
        """All runs but the published one."""
        return [*self.others, *self.seeds]

    def as_low(self, runs: Iterable[Values]) -> int:
        """How many of these runs end with a test accuracy no higher than the published one."""
        return sum(run[self.last] <= self.published[self.last] for run in runs)

    @property
    def p(self) -> float:
        """The share of all runs that are at least as unusual as the published one."""
        first, *rest = unusualness([self.published, *self.runs], list(self.published))
        return (1 + sum(value >= first - 1e-12 for value in rest)) / (1 + len(rest))

    @property
    def as_far(self) -> int:
        """How many of all runs are at least as unusual as the published one, itself included."""
        return round(self.p * (1 + len(self.runs)))

    @property
    def allowed(self) -> int:
        """How many there may be of those for p to be below the level."""
        return math.ceil(LEVEL * (1 + len(self.runs))) - 1

    # -------------------------------------------------------------- in words

    def answer(self) -> str:
        """The answer in one sentence."""
        if self.p < LEVEL:
            return (f"No: among {len(self.runs)} other runs of its recipe, the published log is "
                    "too unusual to be one of them.")
        return (f"Yes, as far as {len(self.runs)} other runs can tell: the published log is "
                f"{self.how_rare()} draw of a lottery.")

    def how_rare(self) -> str:
        """Where the end of the log lies among the ends of all runs."""
        share = self.as_low(self.runs) / len(self.runs)
        return ("a rare low" if share < 0.1 else "a low" if share < 0.3 else
                "a high" if share > 0.7 else "a common")

    def sentences(self) -> List[str]:
        """What the answer rests on, a sentence each."""
        value = f"{self.published[self.last]:.{self.edition.decimals['test_acc']}f}"
        values = counted(len(self.published), "value")
        count, total, low, high = self.odds()["whole"]
        return [
            f"The log ends at a test accuracy of {value}; {self.as_low(self.others)} of "
            f"{len(self.others)} other published runs and {self.as_low(self.seeds)} of "
            f"our {counted(len(self.seeds), 'seed')} end no higher.",
            f"Over all its {values}, {self.as_far} of "
            f"{1 + len(self.runs)} runs, itself among them, lie as far from the middle "
            f"(rank test, p = {self.p:.2f}).",
            self.what_would_change_it(),
            f"The odds: {count} of all {total} runs are above 0.8 after "
            f"{self.edition.recipe.epochs} epochs (95 % interval: {low:.0%} to {high:.0%})."]

    def what_would_change_it(self) -> str:
        """How far p is from the level, in runs."""
        if self.as_far <= self.allowed:
            further = counted(self.allowed + 1 - self.as_far, "more run")
            return f"p would be {LEVEL} or more if {further} lay as far."
        if not self.allowed:
            return (f"With {1 + len(self.runs)} runs p cannot fall below {LEVEL}; that takes "
                    f"{FEWEST}.")
        return (f"p would be below {LEVEL} if no more than {counted(self.allowed, 'run')} lay as "
                "far, itself among them.")

    def odds(self) -> Dict[str, Tuple[int, int, float, float]]:
        """How all runs, the published one among them, ended: {outcome: (runs, all, low, high)}."""
        return odds_of([self.published, *self.runs], self.last)

    def odds_rows(self) -> List[List[str]]:
        """A table: how the published runs and ours ended, with 95 % intervals of the shares."""
        rows = []
        for name, runs in (("published runs", [self.published, *self.others]),
                           ("our seeds", self.seeds)):
            cells = [f"{count} ({low:.0%} to {high:.0%})"
                     for count, _, low, high in odds_of(runs, self.last).values()]
            rows.append([name, str(len(runs)), *cells])
        return rows


def odds_of(runs: Sequence[Values], last: Place) -> Dict[str, Tuple[int, int, float, float]]:
    """How many runs ended whole, maimed and dead, with Wilson's 95 % interval of their share."""
    ended = [outcome(living_classes(run[last])) for run in runs]
    return {name: (ended.count(name), len(ended), *wilson_interval(ended.count(name), len(ended)))
            for name in ("whole", "maimed", "dead")}


def unusualness(runs: Sequence[Values], places: Sequence[Place]) -> List[float]:
    """How far each run's values lie from the middle of all runs', in ranks: from 0 to below 1.

    Parameters
    ----------
    runs : sequence of dict
        Each has all of the places.
    places : sequence

    Returns
    -------
    list of float
        For each run the mean over the places of ``|2 u - 1|``, where u is the share of runs that
        lie below its value; equal values share their ranks.
    """
    table = np.array([[run[place] for place in places] for run in runs])
    below = (table[:, None, :] > table[None, :, :]).sum(axis=1)
    equal = (table[:, None, :] == table[None, :, :]).sum(axis=1)
    share = (below + equal / 2) / len(runs)
    return [float(value) for value in np.abs(2 * share - 1).mean(axis=1)]


# ------------------------------------------------------------------ from atlas and records


def verdict_of(edition: Edition, records: Iterable[Record],
               atlas: Optional[Sequence[PublishedLog]] = None) -> Optional[Verdict]:
    """The published log of an edition among all runs of its recipe.

    None if there are no others, or none of ours.

    Parameters
    ----------
    edition : Edition
    records : iterable of Record
        Ours. Left out are those of other recipes, with data of their own, and diverged ones.
    atlas : sequence of PublishedLog, optional
        The packaged one by default.
    """
    if not edition.atlas or not edition.published:
        return None
    published = {(epoch, name): figures[name] for epoch, figures in edition.published.items()
                 for name in figures}
    logs = [values_of(log) for log in (read_atlas() if atlas is None else atlas)
            if (log.framework, log.recipe, log.epochs) == edition.atlas]
    logs = [values for values in logs if set(published) <= set(values)]
    others = [values for values in logs  # the atlas holds the edition's own log, too
              if any(abs(values[place] - value) > 1e-9 for place, value in published.items())]
    seeds = tuple(printed(record, edition) for record in records if is_like(record, edition))
    return Verdict(edition, published, tuple(others), seeds) if others and seeds else None


def values_of(log: PublishedLog) -> Values:
    """The values of a published log that are known."""
    mean = LOSS_KINDS[log.loss_is]
    found = {(epoch, name): value for name in ("train_acc", "test_acc")
             for epoch, value in enumerate(getattr(log, name), 1) if value is not None}
    found.update({(epoch, "loss"): mean(value, epoch)
                  for epoch, value in enumerate(log.loss, 1) if value is not None})
    return found


def printed(record: Record, edition: Edition) -> Values:
    """A run's values with as many digits as were published."""
    return {(epoch.epoch, name): round(getattr(epoch, name), digits)
            for epoch in record.history for name, digits in edition.decimals.items()}


def is_like(record: Record, edition: Edition) -> bool:
    """Whether a run of ours is one of the edition's recipe, to its end."""
    return (record.own_data is None and not record.diverged
            and set(differences_from(edition.recipe, record.settings)) <= FREE)
