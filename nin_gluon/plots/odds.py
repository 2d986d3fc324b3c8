"""The picture of a lottery: how many classes live from the first step to the end."""

import textwrap
from typing import Any, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from nin_gluon.plots.atlas import heights
from nin_gluon.plots.style import open_axes
from nin_gluon.text_tables import counted

__all__ = ["draw_odds"]

CLASSES = 10
# From no living class (dark) to all of them; the steps can be told apart in grey too.
COLOURS = ListedColormap(["#2b2b2b", "#4b2d52", "#6b3563", "#8c3f69", "#ab4d68", "#c66163",
                          "#da7a5f", "#e7985f", "#efb96b", "#f3da86", "#2a788e"])
GREY = "#666666"


def draw_odds(rows: Mapping[str, Sequence[Any]], title: str = "") -> Figure:
    """Where runs end and how many classes live in them, a row for each variant.

    Parameters
    ----------
    rows : dict of str to sequence of Record
        Runs by variant. Used of each: ``test_acc``, ``start.living`` and, of each epoch in
        ``history``, ``living``.
    title : str
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Left, the test accuracy of every run, over the lines that a net with k living classes
        cannot pass. Right, the shares of runs by living classes, before the first step (the thin
        bar) and at the end (the thick one). Colours say how many classes live at the end.
    """
    figure = Figure(figsize=(11, 1.8 + 0.62 * max(2, len(rows))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (1.5, 1)})
    for row, runs in enumerate(rows.values()):
        draw_ends(left, row, runs)
        draw_shares(right, row - 0.27, 0.14, [len(run.start.living) for run in runs])
        draw_shares(right, row + 0.06, 0.42, [alive(run) for run in runs])
    for living in range(1, CLASSES):
        left.axvline(living / CLASSES, color=GREY, lw=0.8, ls=(0, (4, 3)), alpha=0.6, zorder=1)
    left.set_yticks(range(len(rows)),
                    [f"{textwrap.fill(label, 16)}\n{counted(len(runs), 'run')}"
                     for label, runs in rows.items()], fontsize=9)
    left.set(ylim=(len(rows) - 0.5, -0.6), xlim=(0, 1), xlabel="test accuracy at the end")
    left.set_xticks([k / CLASSES for k in range(CLASSES + 1)])
    left.set_title("lines: what k living classes cannot pass", fontsize=9, color=GREY)
    right.set(xlim=(0, 100), xlabel="share of runs, %")
    right.set_title("thin bar: before the first step; thick bar: at the end", fontsize=9,
                    color=GREY)
    for axes in (left, right):
        open_axes(axes)
        axes.grid(False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    counts = sorted({alive(run) for runs in rows.values() for run in runs}
                    | {len(run.start.living) for runs in rows.values() for run in runs})
    marks = [left.scatter([], [], s=34, color=COLOURS(count)) for count in counts]
    figure.legend(marks, [str(count) for count in counts], title="living classes", ncol=11,
                  loc="outside lower center", frameon=False, fontsize=9, title_fontsize=9)
    figure.suptitle(textwrap.fill(title, 120), fontsize=10)
    return figure


def alive(run: Any) -> int:
    """How many classes live at the run's end."""
    return len(run.history[-1].living)


def draw_ends(axes: Axes, row: int, runs: Sequence[Any]) -> None:
    """A dot for each run; dots that would cover each other are spread over the row."""
    ordered = sorted(runs, key=lambda run: float(run.test_acc))
    for run, height in zip(ordered, heights([run.test_acc for run in ordered])):
        axes.scatter(run.test_acc, row - height, s=26, zorder=3, color=COLOURS(alive(run)),
                     edgecolor="white", linewidth=0.4)


def draw_shares(axes: Axes, y: float, height: float, counts: Sequence[int]) -> None:
    """A bar whose parts are the shares of runs with so many living classes, most first."""
    left = 0.0
    for count in range(CLASSES, -1, -1):
        share = 100 * sum(each == count for each in counts) / len(counts)
        if not share:
            continue
        axes.barh(y, share, left=left, height=height, color=COLOURS(count), edgecolor="white",
                  linewidth=0.6)
        if height > 0.3 and share > 6:
            axes.text(left + share / 2, y, str(count), ha="center", va="center", fontsize=8,
                      color="black" if 6 <= count <= 9 else "white")
        left += share
