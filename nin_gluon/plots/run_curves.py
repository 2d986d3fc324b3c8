"""Any runs, their curves over one another."""

from typing import Any, List, Mapping, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nin_gluon.plots.style import LN_10

__all__ = ["draw_run_curves"]

# A run's name, its epochs (``epoch``, ``loss``, ``test_acc``) and its marks within the epochs
# (``epochs`` done with a fraction, ``loss``).
Run = Tuple[str, Sequence[Any], Sequence[Mapping[str, float]]]

# Colours that also people who do not see red or green tell apart (Okabe and Ito, 2008), and for a
# dark ground the same, lighter.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#5e3c99"]
DARK_COLOURS = ["#5db7f0", "#ff8a3d", "#3fcf9f", "#e7a5cb", "#a5d8f7", "#e6b84a", "#b39ae6"]
LINES = ["-", "--", ":", "-."]  # once the colours are used up

LONGEST_NAME = 48  # characters in the legend


def draw_run_curves(runs: Sequence[Run], dark: bool = False) -> Figure:
    """Training loss and test accuracy by epoch, a curve for each run.

    Parameters
    ----------
    runs : sequence of (str, sequence of EpochRecord, sequence of dict)
        Name, epochs, and the loss within the epochs, which is drawn as a thin line.
    dark : bool
        For a dark ground.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink, ground = ("#e4e4e4", "#181a1b") if dark else ("#222222", "#ffffff")
    rows = -(-len(runs) // 2)
    figure = Figure(figsize=(10, 4 + 0.22 * rows), layout="constrained", facecolor=ground)
    left, right = figure.subplots(1, 2)
    lines = draw_loss(left, runs, dark)
    draw_accuracy(right, runs, dark)
    left.axhline(LN_10, color=ink, lw=0.8, ls=":", alpha=0.7)
    left.annotate("ln 10: guessing", (1, LN_10), (0, 3), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", fontsize=8, color=ink)
    last = max([1, *(record.epoch for _, history, _ in runs for record in history)])
    for axes in (left, right):
        style(axes, ink, ground)
        axes.set_xlim(0, last + 0.03 * last + 0.02)
        axes.set_xticks(range(0, last + 1, max(1, last // 10)))
    if lines:
        figure.legend(handles=lines, loc="outside lower center", ncol=2, frameon=False,
                      fontsize=9, labelcolor=ink)
    return figure


def look(number: int, dark: bool) -> Tuple[str, str]:
    """Colour and line of a run."""
    colours = DARK_COLOURS if dark else COLOURS
    return (colours[number % len(colours)],
            LINES[number // len(colours) % len(LINES)])


def draw_loss(axes: Axes, runs: Sequence[Run], dark: bool) -> List[Any]:
    """The left half; returns the lines for the legend."""
    lines, highest = [], 2.4
    for number, (name, history, marks) in enumerate(runs):
        colour, style = look(number, dark)
        axes.plot([mark["epochs"] for mark in marks], [mark["loss"] for mark in marks],
                  color=colour, lw=0.7, alpha=0.5)
        lines += axes.plot([r.epoch for r in history], [r.loss for r in history], style,
                           marker="o", ms=4, color=colour, label=legend_name(name))
        highest = max([highest, *(r.loss for r in history)])
    axes.set(xlabel="epoch", ylabel="training loss (nats)", ylim=(0, 1.05 * highest))
    return lines


def draw_accuracy(axes: Axes, runs: Sequence[Run], dark: bool) -> None:
    """The right half."""
    for number, (_, history, _) in enumerate(runs):
        colour, style = look(number, dark)
        axes.plot([r.epoch for r in history], [r.test_acc for r in history], style, marker="o",
                  ms=4, color=colour)
    axes.set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))


def style(axes: Axes, ink: str, ground: str) -> None:
    """A faint grid, no frame above and to the right, and these colours."""
    axes.set_facecolor(ground)
    axes.grid(alpha=0.25, color=ink)
    axes.tick_params(colors=ink)
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=ink)


def legend_name(name: str) -> str:
    """A name that is not too long and that Matplotlib takes for no formula."""
    if len(name) > LONGEST_NAME:
        half = (LONGEST_NAME - 3) // 2
        name = f"{name[:half]}...{name[-half:]}"
    # Matplotlib leaves a label that begins with an underscore out of the legend.
    return ("\u200b" if name.startswith("_") else "") + name.replace("$", r"\$")
