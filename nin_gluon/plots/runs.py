"""Several runs of one recipe, from different seeds."""

import textwrap
from statistics import median
from typing import Dict, List, Sequence, Tuple

from matplotlib.figure import Figure

from nin_gluon.plots.style import LOSS, PUBLISHED, TRAIN, open_axes
from nin_gluon.text_tables import counted

__all__ = ["draw_band", "draw_runs"]


def draw_band(runs: Sequence[Sequence[Tuple[int, float]]],
              published: Sequence[Tuple[int, float]], name: str, guess: float,
              title: str = "") -> Figure:
    """One quantity of several runs by epoch, as a band, with the published values over it.

    Parameters
    ----------
    runs : list of list of (int, float)
        The epochs and values of each run. Runs may differ in length.
    published : list of (int, float)
        The published epochs and values; may be empty.
    name : str
        The quantity's name.
    guess : float
        The quantity's value for a net that guesses.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.subplots()
    by_epoch: Dict[int, List[float]] = {}
    for run in runs:
        axes.plot(*zip(*run), color=TRAIN, lw=0.7, alpha=0.6)
        for epoch, value in run:
            by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    low = [min(by_epoch[epoch]) for epoch in epochs]
    high = [max(by_epoch[epoch]) for epoch in epochs]
    middle = [median(by_epoch[epoch]) for epoch in epochs]
    axes.fill_between(epochs, low, high, color=TRAIN, alpha=0.18, lw=0,
                      label=f"range of {counted(len(runs), 'seed')}")
    # A band over one epoch has no width; a bar shows it.
    axes.vlines(epochs, low, high, color=TRAIN, alpha=0.3, lw=2)
    axes.plot(epochs, middle, "o-", color=TRAIN, lw=1.6, ms=4, label="median")
    if published:
        axes.plot(*zip(*published), "s--", color=PUBLISHED, lw=1.6, ms=6, label="published")
    axes.axhline(guess, color=LOSS, lw=0.8, ls=":", label="guessing")
    last = max([*epochs, *(epoch for epoch, _ in published)])
    axes.set(xlabel="epoch", ylabel=name, xlim=(0.7, last + 0.3))
    axes.set_ylim(0, None if name == "loss" else 1)
    axes.set_xticks(range(1, last + 1, 1 + (last - 1) // 10))
    open_axes(axes)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=4, frameon=False, fontsize=8)
    axes.set_title(textwrap.fill(title, 70), fontsize=10)
    return figure


def draw_runs(others: Sequence[Sequence[Tuple[int, float]]],
              ours: Sequence[Sequence[Tuple[int, float]]],
              published: Sequence[Tuple[int, float]]) -> Figure:
    """Test accuracy of all runs of a recipe by epoch, the published log over them.

    Parameters
    ----------
    others, ours : list of list of (int, float)
        The epochs and test accuracies of each run, other people's and our own.
    published : list of (int, float)

    Returns
    -------
    matplotlib.figure.Figure
        With a line for each number of living classes, which a net with only so many cannot pass.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")  # readable on a phone, too
    axes = figure.subplots()
    last = max(epoch for run in (*others, *ours, published) for epoch, _ in run)
    for living in range(1, 10):
        axes.axhline(living / 10, color=LOSS, lw=0.6, ls=(0, (4, 4)), alpha=0.45, zorder=1)
    right = axes.secondary_yaxis("right")
    right.set_yticks([living / 10 for living in range(1, 10)], list(map(str, range(1, 10))))
    right.tick_params(length=0, labelsize=8, labelcolor=LOSS)
    right.set_ylabel("living classes: with only so many, a net stays below the line", fontsize=8,
                     color=LOSS, rotation=270, va="bottom")
    right.spines["right"].set_visible(False)
    for runs, colour, width, label in ((others, "#8c8c8c", 0.9, "other published runs"),
                                       (ours, TRAIN, 1.5, "our runs"),
                                       ([published], PUBLISHED, 2.6, "the published log")):
        if len(runs) > 1:
            label += f" ({len(runs)})"
        for number, run in enumerate(runs):
            axes.plot(*zip(*run), "o-", color=colour, lw=width, ms=2 + 1.6 * width, alpha=0.85,
                      label=None if number else label)
    axes.set(xlabel="epoch", ylabel="test accuracy", xlim=(0.85, last + 0.1), ylim=(0, 1))
    axes.set_xticks(range(1, last + 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=3, frameon=False, fontsize=9)
    return figure
