"""Does the log reproduce? Where the published log lies among all runs of its recipe.

The runs are other people's published ones, from the atlas, and our own. Two questions are answered:
how many of them end as low as the published log, and whether the log as a whole is unusual among
them. The second is asked twice, of the published runs alone and of all runs: ours differ from the
published ones in more than the seed, so the two answers may differ, too. Whether ours differ in
their first epochs is tested, and then the second test is repeated without that epoch.

For the second, every value of every run is ranked among the same values of all runs. A run is the
more unusual the further its ranks lie from the middle, on average over its values. If the published
log is one more run of the same kind, it is equally likely to have any place in that order. So the
share of runs that are at least as unusual as it, itself included, is a p-value, and it holds for
any number of runs (conformal prediction: Vovk, Gammerman and Shafer, Algorithmic Learning in a
Random World, 2005).
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from nin_gluon.experiments.atlas.groups import beyond_the_recipe, living_classes, outcome
from nin_gluon.experiments.atlas.published_logs import PublishedLog, read_atlas
from nin_gluon.experiments.published import Edition
from nin_gluon.experiments.records import Record, differences_from
from nin_gluon.experiments.statistics import permutation_p, wilson_interval
from nin_gluon.text_tables import counted

__all__ = ["FEWEST", "LEVEL", "Values", "Verdict", "fewest_above", "unusualness", "verdict_of"]

LEVEL = 0.05  # a smaller p-value says that the log is none of these runs

FEWEST = math.floor(1 / LEVEL) + 1  # runs with which p can be below the level

WHOLE = 0.8  # a run above it has lost one class at most

# What our seeds may do otherwise than the published run and still be counted among its like.
FREE = {"dtype", "interpolation", "engine"}

# What a net that has diverged prints.
GUESSES = {"loss": math.inf, "train_acc": 0.1, "test_acc": 0.1}

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
        Other people's published runs, with at least the same places. At least one.
    ours : tuple of dict
        Our own, of any seed, arithmetic, device and engine. May be empty.
    kinds : dict
        How many of ours there are of each kind, as `kind_words` names it.
    made : tuple of int
        The epochs that each of the others has made; a run that was broken off stands still after
        them. Empty: all.
    living : tuple of (float, int)
        Of ours whose classes were counted at the end: the test accuracy and the living classes.
    """

    edition: Edition
    published: Values
    others: Tuple[Values, ...]
    ours: Tuple[Values, ...]
    kinds: Mapping[str, int] = field(default_factory=dict)
    made: Tuple[int, ...] = ()
    living: Tuple[Tuple[float, int], ...] = ()

    @property
    def last(self) -> Place:
        return self.edition.recipe.epochs, "test_acc"

    @property
    def runs(self) -> List[Values]:
        """All runs but the published one."""
        return [*self.others, *self.ours]

    @property
    def compared(self) -> Dict[str, List[Values]]:
        """The runs among which the log is ranked: other published ones, and all."""
        found = {"published": list(self.others)}
        return {**found, "all": self.runs} if self.ours else found

    def as_low(self, runs: Iterable[Values]) -> int:
        """How many of these runs end with a test accuracy no higher than the published one."""
        return sum(run[self.last] <= self.published[self.last] for run in runs)

    def as_high(self, runs: Iterable[Values]) -> int:
        """How many of these runs end with a test accuracy no lower than the published one."""
        return sum(run[self.last] >= self.published[self.last] for run in runs)

    @property
    def is_high(self) -> bool:
        """Whether the log ends in the upper half of the runs."""
        return self.as_high(self.runs) < self.as_low(self.runs)

    def as_extreme(self, runs: Iterable[Values]) -> int:
        """How many of these runs end at least as high as the published one; as low, if it is low.
        """
        return self.as_high(runs) if self.is_high else self.as_low(runs)

    def as_far(self, runs: Sequence[Values], places: Optional[Sequence[Place]] = None) -> int:
        """How many of these runs are at least as unusual among them as the published one.

        Over these places of the log, or over all of it.
        """
        first, *rest = unusualness([self.published, *runs],
                                   list(self.published) if places is None else places)
        return sum(value >= first - 1e-12 for value in rest)

    def p(self, runs: Sequence[Values], places: Optional[Sequence[Place]] = None) -> float:
        """The share of these runs and the published one that are at least as unusual as it."""
        return (1 + self.as_far(runs, places)) / (1 + len(runs))

    def unlike(self) -> Optional[Tuple[float, float]]:
        """How much higher our mean loss is than other people's in the first epoch, and p.

        p is that of a permutation test. None unless it is below the level. Runs that diverged in
        that epoch are left out.
        """
        first = 1, "loss"
        if first not in self.published or not self.later():
            return None
        ours, theirs = ([run[first] for run in runs if math.isfinite(run[first])]
                        for runs in (self.ours, self.others))
        if min(len(ours), len(theirs)) < 3:
            return None
        p = permutation_p([ours, theirs])[1]
        return (float(np.mean(ours) - np.mean(theirs)), p) if p < LEVEL else None

    def later_decides(self) -> bool:
        """Whether both tests speak against the log once the first epoch is left out."""
        return self.belongs is None and max(
            self.p(self.others), self.p(self.runs, self.later())) < LEVEL

    def later(self) -> List[Place]:
        """The places of the log after the first epoch."""
        return [(epoch, name) for epoch, name in self.published if epoch > 1]

    @property
    def belongs(self) -> Optional[bool]:
        """Whether the log is one of these runs; None if that is open.

        It is open if the tests disagree, or if there are too few published runs for a p below the
        level. It is open without runs of ours, too: the question is whether this project
        reproduces the log, and nobody has drawn the published runs at random.
        """
        if not self.ours or 1 + len(self.others) < FEWEST:
            return None
        found = {self.p(runs) >= LEVEL for runs in self.compared.values()}
        return found.pop() if len(found) == 1 else None

    # -------------------------------------------------------------- in words

    def answer(self) -> str:
        """The answer in one sentence."""
        end = f"{self.as_extreme(self.runs)} of {len(self.runs)} other runs ended {self.so_far()}"
        if self.belongs is False:
            return f"No: the published log is too unusual for a run of its recipe; {end}."
        draw = f"the published log is {self.how_rare()} draw in a lottery; {end}"
        if self.belongs:
            return f"Yes, as far as these runs can tell: {draw}."
        if self.ours:
            return f"Perhaps: {draw}; whether the whole log fits is open."
        return ("Not tried: this project has no runs of this recipe. Among the published runs, "
                f"{draw}.")

    def so_far(self) -> str:
        """'as low or lower', or 'as high or higher' where the log is high."""
        return "as high or higher" if self.is_high else "as low or lower"

    def how_rare(self) -> str:
        """Where the end of the log lies among the ends of all runs."""
        share = self.as_extreme(self.runs) / len(self.runs)
        side = "high" if self.is_high else "low"
        return f"a rare {side}" if share < 0.1 else f"a {side}" if share < 0.3 else "a common"

    def sentences(self) -> List[str]:
        """What the answer rests on, a sentence each."""
        value = f"{self.published[self.last]:.{self.edition.decimals['test_acc']}f}"
        values = counted(len(self.published), "value")
        count, total, low, high = self.odds()["whole"]
        ours = (f" and {self.as_extreme(self.ours) or 'none'} of our "
                f"{counted(len(self.ours), 'run')}" if self.ours else "")
        tests = []
        for name, runs in self.compared.items():
            number, far = 1 + len(runs), self.as_far(runs)
            among = f"all {number} runs" if name == "all" else f"the {number} published runs"
            least = "" if far else f"No smaller p is possible with {number} runs. "
            tests.append(f"Among {among}, {others_are(far)} from the middle, averaged over the "
                         f"log's {values} (rank test, p = {self.p(runs):.3f}). {least}"
                         + self.what_would_change_it(runs))
        unlike = self.unlike()
        if unlike:
            difference, p = unlike
            tests.append(
                "The second test assumes that our runs are of the same kind as the published ones. "
                f"In the first epoch they are not: our mean loss is {abs(difference):.2f} "
                f"{'lower' if difference < 0 else 'higher'} (permutation test, p = {p:.4f}). "
                f"Without that epoch p is {self.p(self.runs, self.later()):.3f}."
                + f" Both tests would then give less than {LEVEL}." * self.later_decides())
        return [
            f"The log ends at a test accuracy of {value}; {self.as_extreme(self.others)} of "
            f"{len(self.others)} other published runs{ours} ended {self.so_far()}.", *tests,
            f"The odds: {count} of all {total} runs are above 0.8 after "
            f"{self.edition.recipe.epochs} epochs (95 % interval: {low:.0%} to {high:.0%})."]

    def what_would_change_it(self, runs: Sequence[Values]) -> str:
        """How far p is from the level, in runs."""
        more = fewest_above(1 + len(runs)) - self.as_far(runs)
        if more > 0:
            return f"If {more} more of them were as far, p would be {LEVEL} or more."
        if 1 + len(runs) < FEWEST:
            return f"So few runs cannot bring p below {LEVEL}; that takes {FEWEST}."
        return f"If {1 - more} fewer of them were, p would be below {LEVEL}."

    def explanation(self) -> List[str]:
        """What a reader of the odds has to know, a paragraph each; code in backticks."""
        found = [
            "Why a lottery: the score of a class is the average of a map that comes out of a ReLU. "
            "If the map is zero for every image, so is its gradient, and the class cannot come "
            "back by itself. A net with k dead classes cannot get above 1 - k/10, the dashed lines "
            "of the picture. The first class does not count among them: an image without any score "
            "is taken for it. Which classes die depends on the weights, the order of the images, "
            "the dropout masks and the rounding. A low accuracy does not prove dead classes: a "
            "living class may not be recognized either." + self.counted_words(),
            "The other published runs were found in public notebooks of the same recipe and "
            "framework, some of them output of the book's own builds. Copies count once"
            + (", and a run that was broken off counts as it stood" if self.broken_off else "")
            + "; `python -m nin_gluon.atlas` shows them. They are no random sample, so p and the "
            "intervals are a guide.",
            "The rank test orders the runs by how far their values lie from the middle, on average "
            "over the log. It is two-sided: the best run lies as far out as the worst. If the "
            "published log is one more run of the same kind, it is equally likely to take any "
            "place in this order, whatever the number of runs. " + self.rule()]
        if self.ours and self.same_weights:
            found.append(
                "Our runs are not of the same kind. The chapter sets no seed, so all its "
                "runs with MXNet start from the same weights; each of our seeds draws its own. The "
                "published runs were made on GPUs in float32, those with MXNet 1.2.1 on "
                "images that were resized in another way (bicubic). Ours: "
                + ", ".join(f"{runs} {kind}" for kind, runs in self.kinds.items())
                + ". A seed that was trained in two ways counts as two runs.")
        return found

    @property
    def broken_off(self) -> bool:
        """Whether one of the published runs has not come to its end."""
        return any(epochs < self.edition.recipe.epochs for epochs in self.made)

    def rule(self) -> str:
        """What makes the answer a yes or a no, and what another test would say."""
        ends = " and ".join(f"{self.p(runs, [self.last]):.2f}" for runs in self.compared.values())
        chosen = ("The test was chosen after the log was known. By the last test accuracy alone, p "
                  f"would be {ends}.")
        if not self.ours:
            return chosen
        return (f"The answer is yes if both tests give {LEVEL} or more, no if both give less, and "
                f"perhaps otherwise, as with fewer than {FEWEST} published runs. {chosen}")

    def counted_words(self) -> str:
        """How many classes live in those of our runs that ended low; '' if none was counted."""
        low = self.low_and_living()
        if not low:
            return ""
        living = f"{low[0]} to {low[-1]}" if low[0] < low[-1] else f"{low[0]}"
        return (f" Of our {counted(len(self.living), 'run')} whose classes were counted, "
                f"{len(low)} ended at {WHOLE} or lower, with {living} living classes."
                + (" Lost classes alone do not explain that." if low[0] >= 9 else ""))

    def low_and_living(self) -> List[int]:
        """The living classes of those of our runs that ended at 0.8 or lower, fewest first."""
        return sorted(living for accuracy, living in self.living if accuracy <= WHOLE)

    @property
    def same_weights(self) -> bool:
        """Whether the published runs start from the same weights: Gluon's do, without a seed."""
        return self.edition.framework.startswith("MXNet")

    def odds(self) -> Dict[str, Tuple[int, int, float, float]]:
        """How all runs, the published one among them, ended: {outcome: (runs, all, low, high)}."""
        return odds_of([self.published, *self.runs], self.last)

    def odds_rows(self) -> List[List[str]]:
        """A table: how the published runs and ours ended, with 95 % intervals of the shares."""
        rows = []
        for name, runs in (("published runs", [self.published, *self.others]),
                           ("our runs", self.ours)):
            if not runs:
                continue
            cells = [f"{count} ({low:.0%} to {high:.0%})"
                     for count, _, low, high in odds_of(runs, self.last).values()]
            rows.append([name, str(len(runs)), *cells])
        return rows


def others_are(runs: int) -> str:
    """'no other is as far', '1 other is as far or farther', '2 others are as far or farther'."""
    if not runs:
        return "no other is as far"
    return f"{runs} other{' is' if runs == 1 else 's are'} as far or farther"


def fewest_above(runs: int) -> int:
    """How many of so many runs must be as unusual as one of them for its p to reach the level."""
    return math.ceil(round(LEVEL * runs, 9)) - 1


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

    None if there are no others, or if all records are of something else, such as a quick look.

    Parameters
    ----------
    edition : Edition
    records : iterable of Record
        Ours. Left out are those of other recipes, of fewer epochs and with data of their own.
    atlas : sequence of PublishedLog, optional
        The packaged one by default.
    """
    if not edition.atlas or not edition.published:
        return None
    published = {(epoch, name): figures[name] for epoch, figures in edition.published.items()
                 for name in figures}
    logs = [values_of(log) for log in (read_atlas() if atlas is None else atlas)
            if (log.framework, log.recipe, log.epochs) == edition.atlas]
    made = [max((epoch for epoch, _ in values), default=0) for values in logs]
    logs = [{**standing(values, published), **values} for values in logs]
    others = [(values, epochs) for values, epochs in zip(logs, made)
              if set(published) <= set(values)
              # The atlas may hold the edition's own log, too.
              and any(abs(values[place] - value) > 1e-9 for place, value in published.items())]
    records = list(records)
    ours = [record for record in records if is_like(record, edition, FREE)]
    kinds = Counter(map(kind_words, ours))
    of_the_recipe = not records or any(is_like(record, edition, FREE | {"epochs"})
                                       for record in records)
    if not others or not of_the_recipe:
        return None
    return Verdict(edition, published, tuple(values for values, _ in others),
                   tuple(printed(record, edition) for record in ours), kinds,
                   tuple(epochs for _, epochs in others),
                   tuple((record.test_acc, record.living_classes) for record in ours
                         if record.test_acc is not None and record.living_classes is not None))


def values_of(log: PublishedLog) -> Values:
    """The values of a published log that are known."""
    columns = {"loss": log.mean_loss, "train_acc": log.train_acc, "test_acc": log.test_acc}
    return {(epoch, name): value for name, column in columns.items()
            for epoch, value in enumerate(column, 1) if value is not None}


def standing(values: Values, places: Iterable[Place]) -> Values:
    """The last values of a log for the epochs after its last: a run that was broken off."""
    last = max((epoch for epoch, _ in values), default=0)
    return {(epoch, name): values[last, name] for epoch, name in places
            if epoch > last and (last, name) in values}


def printed(record: Record, edition: Edition) -> Values:
    """A run's values with as many digits as were published.

    A net that has diverged takes every image for the first class. In the epochs that such a run
    has not made, it would have guessed.
    """
    values = {(epoch, name): guess for name, guess in GUESSES.items()
              for epoch in range(1, record.settings.epochs + 1)}
    values.update({(epoch.epoch, name): round(getattr(epoch, name), digits)
                   for epoch in record.history for name, digits in edition.decimals.items()})
    return values


def is_like(record: Record, edition: Edition, free: Set[str]) -> bool:
    """Whether a run of ours is one of the edition's recipe, but for the settings in `free`."""
    return (record.own_data is None
            and set(differences_from(edition.recipe, record.settings)) <= free)


def kind_words(record: Record) -> str:
    """'in float32 on cpu', and how it differs from the recipe beyond that."""
    return f"in {record.settings.dtype} on {record.device}" + beyond_the_recipe(record.settings)
