"""The odds of keeping all classes, from the start of runs to their ends."""

import math
from collections import Counter
from statistics import median
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from nin_gluon.analysis.initial_state import InitialState
from nin_gluon.experiments.comparisons import Comparison
from nin_gluon.experiments.records import Record
from nin_gluon.experiments.statistics import wilson_interval
from nin_gluon.text_tables import columns
from nin_gluon.training.progress_marks import no_better_than_guessing

__all__ = ["chance_of_overlap", "deaths", "fates", "format_odds", "known_rows", "rank_correlation"]

CLASSES = 10
SHUFFLES = 2000

MOMENTS = ("before step 1", "at ln 10", "in the epoch of the escape", "later")
FATES = ("started dead", "started dead, dead", "started alive", "started alive, dead",
         "died at ln 10", "died at ln 10, alive later",
         "died after it", "died after it, alive later")

# What is known of a net before its first step; see `InitialState`.
PREDICTORS: Dict[str, Callable[[InitialState], float]] = {
    "living classes": lambda start: len(start.living),
    "spread of the scores": lambda start: start.spread,
    "above 0, last layer": lambda start: float(np.mean(start.positive)),
    "above 0, the layer before": lambda start: start.positive_before,
}


def format_odds(comparison: Comparison) -> str:
    """How many classes live, before the first step and at the end; and what the start tells."""
    known = known_rows([comparison])
    if not known:
        return "No run says which classes were alive."
    parts = [("Classes alive", living_table(known)),
             ("When the classes died that are dead at the end", death_table(known)),
             ("What became of the classes", fate_table(known)),
             ("Rank correlation with the living classes at the end (in brackets, how often "
              "shuffles are as far from 0)", prediction_table(known))]
    return "\n\n".join("\n".join([title, "", *columns(table)]) for title, table in parts)


def known_rows(comparisons: Sequence[Comparison]) -> Dict[str, List[Record]]:
    """The runs of which all is known, by variant; with several comparisons each has its rows."""
    rows = {}
    for comparison in comparisons:
        own = f", own files {comparison.own_data}" if comparison.own_data else ""
        kind = f", {comparison.arithmetic}{own}" if len(comparisons) > 1 else ""
        for label, by_seed in comparison.rows.items():
            rows[label + kind] = known_runs(by_seed)
    return {label: runs for label, runs in rows.items() if runs}


def known_runs(by_seed: Mapping[int, Record]) -> List[Record]:
    """The runs of which all is known: their start, and their living classes after each epoch."""
    return [record for _, record in sorted(by_seed.items())
            if record.start and record.history and record.test_acc is not None
            and all(epoch.living is not None for epoch in record.history)]


# ------------------------------------------------------------------ tables


def living_table(known: Mapping[str, Sequence[Record]]) -> List[List[str]]:
    """A row for each variant: living classes before the first step and at the end, and the odds."""
    table = [["", "runs", "before step 1", "", "", "at the end", "", "",
              "9 or 10 alive", "", "0 or 1"],
             ["", "", "min", "median", "max", "min", "median", "max", "runs", "95 %", "runs"]]
    for label, runs in known.items():
        before = [len(record.start.living) for record in runs if record.start]
        after = [record.living_classes or 0 for record in runs]
        whole, dead = sum(n >= CLASSES - 1 for n in after), sum(n <= 1 for n in after)
        low, high = wilson_interval(whole, len(runs))
        table.append([label, str(len(runs)), *three_numbers(before), *three_numbers(after),
                      str(whole), f"{low:.2f} to {high:.2f}", str(dead)])
    return table


def three_numbers(counts: Sequence[int]) -> List[str]:
    return [f"{value:g}" for value in (min(counts), median(counts), max(counts))]


def by_escape(known: Mapping[str, Sequence[Record]]) -> Dict[str, List[Record]]:
    """The runs of each variant, parted by whether the loss left ln 10 and stayed away; none empty.

    A net that never leaves has nothing to keep a class alive, and one that fell back is a wreck.
    How classes die in a net that learns is another question.
    """
    parts: Dict[str, List[Record]] = {}
    for label, runs in known.items():
        for fate in ("left ln 10", "fell back", "never left"):
            parts[f"{label}, {fate}"] = [run for run in runs if whereabouts(run) == fate]
    return {label: runs for label, runs in parts.items() if runs}


def whereabouts(record: Record) -> str:
    """Where a run's loss went from ln 10."""
    if escape_epoch(record) is None:
        return "never left"
    return "fell back" if no_better_than_guessing(record.history[-1].loss) else "left ln 10"


def death_table(known: Mapping[str, Sequence[Record]]) -> List[List[str]]:
    """At which moment how many classes died that are dead at the end."""
    table = [["", "runs", "dead", *MOMENTS]]
    for label, runs in by_escape(known).items():
        counts: Counter = Counter()
        for record in runs:
            counts.update(deaths(record))
        table.append([label, str(len(runs)), str(sum(counts.values())),
                      *(str(counts[moment]) for moment in MOMENTS)])
    return table


def fate_table(known: Mapping[str, Sequence[Record]]) -> List[List[str]]:
    """How classes ended that started dead or alive, and how many came back in training.

    p is that of `chance_of_overlap`: a small one says that classes that start dead end dead more
    often than others of their runs.
    """
    table = [["", "started dead", "", "started alive", "", "p", "died at ln 10", "",
              "died after it", ""],
             ["", "", "ended dead", "", "ended dead", "", "", "revived", "", "revived"]]
    for label, runs in by_escape(known).items():
        counts: Counter = Counter()
        for record in runs:
            counts.update(fates(record))
        cells = [str(counts[name]) for name in FATES]
        p = chance_of_overlap([(CLASSES - len(alive[0]), CLASSES - len(alive[-1]))
                               for alive in map(lives, runs)], counts["started dead, dead"])
        table.append([label, *cells[:4], "<0.001" if p < 0.0005 else f"{p:.3f}",
                      *cells[4:]])
    return table


def lives(record: Record) -> List[Set[int]]:
    """The living classes before the first step and after each epoch."""
    assert record.start is not None
    return [set(record.start.living), *(set(epoch.living or ()) for epoch in record.history)]


def deaths(record: Record) -> Dict[str, int]:
    """When the classes of a run died that are dead at its end.

    A class died in the epoch after which it was never alive again. "before step 1": it was dead
    from the start on. "at ln 10": in an epoch before that in which the loss left ln 10.
    """
    alive = lives(record)
    escape = escape_epoch(record)
    found: Counter = Counter()
    for number in set(range(CLASSES)) - alive[-1]:
        # 0: before the first step; else the number of the epoch.
        died = 1 + max((epoch for epoch, living in enumerate(alive) if number in living),
                       default=-1)
        found["before step 1" if died == 0 else
              "at ln 10" if escape is None or died < escape else
              "in the epoch of the escape" if died == escape else "later"] += 1
    return dict(found)


def fates(record: Record) -> Dict[str, int]:
    """What became of the classes of a run: {a name of `FATES`: count}.

    A class dies in an epoch if it was alive before it and is dead after it. It may do so more than
    once. "after it": in the epoch of the escape or later.
    """
    alive = lives(record)
    start, end = alive[0], alive[-1]
    found = Counter({"started dead": CLASSES - len(start), "started alive": len(start),
                     "started dead, dead": len(set(range(CLASSES)) - start - end),
                     "started alive, dead": len(start - end)})
    escape = escape_epoch(record) or len(alive)
    for epoch in range(1, len(alive)):
        when = "died at ln 10" if epoch < escape else "died after it"
        for number in alive[epoch - 1] - alive[epoch]:
            found[when] += 1
            found[f"{when}, alive later"] += any(number in later for later in alive[epoch + 1 :])
    return dict(found)


def escape_epoch(record: Record) -> Optional[int]:
    """The first epoch, from 1, whose mean loss is better than guessing; None if there is none.

    Classes are counted after each epoch, so these tables go by whole epochs, although many records
    have the step as well.
    """
    return next((epoch.epoch for epoch in record.history
                 if not no_better_than_guessing(epoch.loss)), None)


# ------------------------------------------------------------------ what the start tells


def prediction_table(known: Mapping[str, Sequence[Record]]) -> List[List[str]]:
    """How well the net before its first step predicts the living classes at the end."""
    table = [["", "runs", *PREDICTORS]]
    for label, runs in known.items():
        after = [record.living_classes or 0 for record in runs]
        cells = []
        for predictor in PREDICTORS.values():
            before = [predictor(record.start) for record in runs if record.start]
            if len(set(before)) < 2 or len(set(after)) < 2:
                cells.append("all alike")
            else:
                value, chance = rank_correlation(before, after)
                cells.append(f"{value:+.2f} ({chance:.3f})")
        table.append([label, str(len(runs)), *cells])
    return table


def chance_of_overlap(runs: Sequence[Tuple[int, int]], overlap: int) -> float:
    """How often chance alone makes at least so many classes dead both at the start and at the end.

    Exact: the classes that are dead at the end are any of the ten of their run, with the same
    probability.

    Parameters
    ----------
    runs : sequence of (int, int)
        How many classes of each run were dead at the start and at the end.
    overlap : int
        How many classes of all runs were dead at both.
    """
    total = np.ones(1)  # the probability of an overlap of 0, 1, 2, ...
    for start, end in runs:
        one = [math.comb(start, both) * math.comb(CLASSES - start, end - both)
               for both in range(min(start, end) + 1)]
        total = np.convolve(total, np.array(one) / math.comb(CLASSES, end))
    return float(total[overlap:].sum())


def rank_correlation(xs: Sequence[float], ys: Sequence[float],
                     seed: int = 0) -> Tuple[float, float]:
    """Spearman's rank correlation, and the share of random orders with one as far from 0.

    Ties get the mean of their ranks. Both must vary.
    """
    x, y = ranks(xs), ranks(ys)
    value = float(np.corrcoef(x, y)[0, 1])
    draw = np.random.RandomState(seed)
    shuffled = np.array([np.corrcoef(draw.permutation(x), y)[0, 1] for _ in range(SHUFFLES)])
    as_far = int((np.abs(shuffled) >= abs(value) - 1e-12).sum())
    return value, (1 + as_far) / (1 + SHUFFLES)


def ranks(values: Sequence[float]) -> np.ndarray:
    """The rank of each value, from 1; equal values share the mean of theirs."""
    array = np.asarray(values, float)
    return np.array([(array < value).sum() + ((array == value).sum() + 1) / 2 for value in array])
