"""The odds of keeping all classes, from the start of runs to their ends."""

from collections import Counter
from statistics import median
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nin_gluon.experiments.comparisons import Comparison
from nin_gluon.experiments.records import Record
from nin_gluon.experiments.statistics import wilson_interval
from nin_gluon.experiments.wording import counted
from nin_gluon.text_tables import columns

__all__ = ["deaths", "format_odds", "known_rows", "rank_correlation"]

CLASSES = 10
SHUFFLES = 2000


def format_odds(comparison: Comparison) -> str:
    """How many classes live, before the first step and at the end; and what the start tells."""
    known = known_rows([comparison])
    if not known:
        return "No run says which classes were alive."
    return "\n".join(["Classes alive", "", *columns(living_table(known)), "",
                      "When classes died, in all runs of a row", "", *columns(death_table(known)),
                      "", *(prediction(label, runs) for label, runs in known.items())])


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


def death_table(known: Mapping[str, Sequence[Record]]) -> List[List[str]]:
    """A row for each variant: at which moment how many classes died, and how many came back."""
    moments = ("before step 1", "at ln 10", "in the epoch of the escape", "later", "came back")
    table = [["", *moments]]
    for label, runs in known.items():
        counts: Counter = Counter()
        for record in runs:
            counts.update(deaths(record))
        table.append([label, *(str(counts[moment]) for moment in moments)])
    return table


def deaths(record: Record) -> Dict[str, int]:
    """When the classes of a run died that are dead at its end, and how many came back.

    A class died in the epoch after which it was never alive again. "before step 1": it was dead
    from the start on. "at ln 10": in an epoch before that in which the loss left ln 10 for good.
    "came back": alive at the end, though it was dead before the first step.
    """
    start = set(record.start.living) if record.start else set()
    living = [set(epoch.living or ()) for epoch in record.history]
    escape = escape_epoch(record)
    found: Counter = Counter()
    for number in range(CLASSES):
        if number in living[-1]:
            found["came back"] += number not in start
            continue
        last = max((epoch for epoch, alive in enumerate([start, *living]) if number in alive),
                   default=-1)
        died = last + 1  # 0: before the first step; else the number of the epoch
        found["before step 1" if died == 0 else
              "at ln 10" if escape is None or died < escape else
              "in the epoch of the escape" if died == escape else "later"] += 1
    return dict(found)


def escape_epoch(record: Record) -> Optional[int]:
    """The epoch, from 1, in which the loss left ln 10 for good; None if it never did."""
    if record.escape_step is None or not record.steps:
        return None
    per_epoch = record.steps / record.settings.epochs
    return min(int((record.escape_step - 1) // per_epoch) + 1, record.settings.epochs)


# ------------------------------------------------------------------ what the start tells


def prediction(label: str, runs: Sequence[Record]) -> str:
    """How well the living classes at the start predict those at the end, in a sentence."""
    before = [len(record.start.living) for record in runs if record.start]
    after = [record.living_classes or 0 for record in runs]
    if len(set(before)) < 2 or len(set(after)) < 2:
        return (f"{label}: in all {counted(len(runs), 'run')} as many classes live at the "
                f"{'start' if len(set(before)) < 2 else 'end'}, so nothing can be predicted.")
    value, chance = rank_correlation(before, after)
    survived = [len(set(record.start.living) & set(record.history[-1].living or ()))
                for record in runs if record.start]
    return (f"{label}: rank correlation of the living classes at the start and at the end "
            f"{value:+.2f} (by chance as far from 0 in {chance:.3f} of shuffles, {len(runs)} "
            f"runs); of {sum(before)} classes that started alive {sum(survived)} ended alive.")


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
