"""The picture of the atlas: where every run ended, and how many ended in which way."""

from typing import Any, Dict, List, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nin_gluon.text_tables import counted

__all__ = ["draw_atlas"]

# Okabe and Ito's colours, which colour-blind readers can tell apart; the marks differ as well.
STYLES: Dict[str, Dict[str, Any]] = {
    "whole": {"color": "#0072B2", "marker": "o"},
    "maimed": {"color": "#E69F00", "marker": "^"},
    "dead": {"color": "#333333", "marker": "X"},
}
BOOK = "#D0021B"
GREY = "#666666"

ROW = 0.56  # inches
MIN_ROWS = 4  # that the picture has room for

# Marks of runs whose accuracies differ by less would cover each other.
APART = 0.0095
STEP = 0.15  # between marks above each other, in rows; less where a row would not hold them
SPREAD = 0.8  # rows that the marks of a group may take


def draw_atlas(groups: Sequence[Any]) -> Figure:
    """Final test accuracy of every run, a row a group, and the shares of how they ended.

    Parameters
    ----------
    groups : sequence of nin_gluon.experiments.atlas.Group
        From the top. The book's own run is red.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(12, 1.9 + ROW * max(MIN_ROWS, len(groups))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True,
                                   gridspec_kw={"width_ratios": (2.6, 1)})
    for row, group in enumerate(groups):
        draw_marks(left, row, group)
        draw_outcomes(right, row, group)
    own_axes(left, groups)
    share_axes(right)
    figure.suptitle("How runs of the Network in Network chapter end", fontsize=13, x=0.01,
                    ha="left", weight="bold")
    return figure


def draw_marks(axes: Axes, row: int, group: Any) -> None:
    """A mark for each run of a group."""
    for run, height in zip(group.runs, heights([run.final for run in group.runs])):
        style: Dict[str, Any] = {**STYLES[run.outcome], "s": 30, "zorder": 3}
        if run.book:
            style.update(color=BOOK, marker="*", s=190, zorder=4)
            axes.annotate(f"the book's log: {run.final:.3f}", (run.final, row), (-8, 8),
                          textcoords="offset points", color=BOOK, fontsize=9, ha="right",
                          va="center", weight="bold")
        axes.scatter(run.final, row - height, edgecolor="white", linewidth=0.5, **style)


def heights(accuracies: Sequence[float]) -> List[float]:
    """How far above its row each mark stands, the accuracies being in order: near ones stack."""
    placed: List[List[float]] = []  # of each level, the accuracies there
    levels = []
    for accuracy in accuracies:
        level = next((i for i, there in enumerate(placed) if accuracy - there[-1] >= APART),
                     len(placed))
        if level == len(placed):
            placed.append([])
        placed[level].append(accuracy)
        levels.append(level)
    step = min(STEP, SPREAD / max(1, len(placed) - 1))
    return [step * offset(level) for level in levels]


def offset(level: int) -> int:
    """0, 1, -1, 2, -2, ... for levels 0, 1, 2, 3, 4, ..."""
    return (level + 1) // 2 * (1 if level % 2 else -1)


def draw_outcomes(axes: Axes, row: int, group: Any) -> None:
    """A bar of the three outcomes with their counts, and the interval of the whole ones."""
    left = 0.0
    for name, count in group.counts.items():
        share = 100 * count / len(group.runs)
        if count:
            axes.barh(row, share, left=left, height=0.5, color=STYLES[name]["color"], alpha=0.85,
                      edgecolor="white", linewidth=0.8)
            axes.text(left + share / 2, row, str(count), ha="center", va="center", fontsize=9,
                      color="black" if name == "maimed" else "white")
        left += share
    _, low, high = group.share("whole")
    axes.plot([100 * low, 100 * high], [row + 0.36] * 2, color=STYLES["whole"]["color"], lw=2,
              solid_capstyle="butt")


def own_axes(axes: Axes, groups: Sequence[Any]) -> None:
    """The left axes: rows named, a line for each number of living classes, the legend."""
    for living in range(1, 10):
        axes.axvline(living / 10, color=GREY, lw=0.8, ls=(0, (4, 3)), alpha=0.6, zorder=1)
    for row in range(1, len(groups)):
        if groups[row].recipe != groups[row - 1].recipe:
            axes.axhline(row - 0.5, color=GREY, lw=0.8, alpha=0.5)
    labels = [row_label(group) for group in groups]
    axes.set_yticks(range(len(groups)), labels, fontsize=9)
    ends = [run.final for group in groups for run in group.runs]
    axes.set(ylim=(len(groups) - 0.45, -0.55), xlabel="final test accuracy",
             xlim=(min(0.05, min(ends) - 0.02), max(0.95, max(ends) + 0.02)))
    axes.set_xticks([k / 10 for k in range(1, 10)])
    axes.tick_params(axis="y", length=0)
    top = axes.secondary_xaxis("top")
    top.set_xticks([k / 10 for k in range(1, 10)], [str(k) for k in range(1, 10)])
    top.set_xlabel("living classes: a net with only so many cannot pass the line", fontsize=9,
                   color=GREY)
    top.tick_params(length=0, colors=GREY)
    top.spines[:].set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    for name, style in STYLES.items():
        axes.scatter([], [], s=34, label=name, **style)
    axes.scatter([], [], s=150, color=BOOK, marker="*", label="the book's own run")
    below = 0.5 / (ROW * max(MIN_ROWS, len(groups)))  # half an inch
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -below), ncol=4, frameon=False, fontsize=9)


def row_label(group: Any) -> str:
    """The group's title in two lines, with the number of its runs."""
    name, epochs, *recipe = group.title.split(", ")
    return f"{name}, {epochs}\n" + ", ".join([*recipe, counted(len(group.runs), "run")])


def share_axes(axes: Axes) -> None:
    """The right axes: shares in percent."""
    axes.set(xlim=(0, 100), xlabel="share of runs, %")
    axes.set_title("how they ended; line: 95 % interval\nof the whole ones", fontsize=9, color=GREY)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
