"""The variants of an exercise, side by side."""

import textwrap
from statistics import median
from typing import Any, Dict, List, Sequence, Set, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nin_gluon.plots.style import LOSS, PUBLISHED, TEST, TRAIN, open_axes

__all__ = ["draw_comparisons"]


def draw_comparisons(comparisons: Sequence[Any], signals: Sequence[Any] = ()) -> Figure:
    """Accuracy of the variants of an exercise, and the signal through its untrained nets.

    Parameters
    ----------
    comparisons : list of Comparison
        Each gets axes: a dot for every seed, a bar at their median, and a line through the runs
        of one seed, with the published accuracies beside them. Used of each: ``title``, ``rows``
        (its keys label the variants), ``accuracies(label)`` ({seed: accuracy}) and, of its
        ``part``, ``published`` ({label: accuracy}), ``published_title`` and ``judged_by``.
    signals : list of Signal
        For several initializations and seeds; may be empty. Used of each: ``init`` and ``spread``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = len(comparisons) + bool(signals)
    figure = Figure(figsize=(9, 3.6 * rows), layout="constrained")
    grid = figure.subplots(rows, 1, squeeze=False).ravel()
    for axes, comparison in zip(grid, comparisons):
        draw_comparison(axes, comparison)
    if signals:
        draw_signals(grid[-1], signals)
    for axes in grid:
        open_axes(axes)
    return figure


def draw_comparison(axes: Axes, comparison: Any) -> None:
    """The variants of one comparison, side by side."""
    labels: List[str] = list(comparison.rows)
    by_seed: Dict[int, List[Tuple[int, float]]] = {}
    for x, label in enumerate(labels):
        accuracies = comparison.accuracies(label)
        for seed, value in accuracies.items():
            by_seed.setdefault(seed, []).append((x, value))
        if accuracies:
            axes.hlines(median(accuracies.values()), x - 0.2, x + 0.2, color=TEST, lw=2.5,
                        label="" if x else "median")
    for seed, points in sorted(by_seed.items()):
        axes.plot(*zip(*points), "o-", color=TRAIN, lw=0.6, ms=4, alpha=0.7,
                  label="one seed" if seed == min(by_seed) else "")
    part = comparison.part
    published = [(x, part.published[label]) for x, label in enumerate(labels)
                 if label in part.published]
    if published:
        axes.plot(*zip(*published), "s", color=PUBLISHED, ms=6, mfc="none",
                  label=textwrap.fill(part.published_title, 10))
    axes.set_xticks(range(len(labels)),
                    [textwrap.fill(label, 80 // len(labels)) for label in labels])
    axes.set(ylabel=f"{part.judged_by} accuracy", xlim=(-0.5, len(labels) - 0.5))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_title(textwrap.fill(comparison.title, 100), fontsize=10)


def draw_signals(axes: Axes, signals: Sequence[Any]) -> None:
    """How much of the difference between images is left after each ReLU, by initialization."""
    styles = dict(zip(dict.fromkeys(s.init for s in signals), ((LOSS, "o-"), (TRAIN, "s-"),
                                                               (TEST, "^-"))))
    labelled: Set[str] = set()
    for signal in signals:
        color, style = styles[signal.init]
        axes.plot(range(1 + len(signal.spread)), (1, *signal.spread), style, color=color, lw=0.8,
                  ms=3, alpha=0.8, label="" if signal.init in labelled else signal.init)
        labelled.add(signal.init)
    axes.set_yscale("log")
    axes.set_xticks(range(1 + len(signals[0].spread)))
    axes.set(xlabel="after ReLU (0: the images)", ylabel="spread over images")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_title("what tells images apart, in the untrained net", fontsize=10)
