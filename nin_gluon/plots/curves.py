"""Loss and accuracies of one run."""

from typing import Any, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nin_gluon.plots.style import LN_10, LOSS, TEST, TRAIN, open_axes

__all__ = ["draw_curves"]


def draw_curves(history: Sequence[Any], title: str = "",
                marks: Sequence[Mapping[str, float]] = ()) -> Figure:
    """Loss and accuracies by epoch.

    Parameters
    ----------
    history : sequence of EpochRecord
        Each has ``epoch``, ``loss`` (nats), ``train_acc`` and ``test_acc`` (fractions).
    title : str
    marks : sequence of dict, optional
        Loss and training accuracy within the epochs, drawn as thin lines. Each has ``epochs`` (how
        many were done, with a fraction), ``loss`` and ``train_acc``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_loss(left, history, marks)
    draw_accuracies(right, history, marks)
    epochs = [record.epoch for record in history]
    for axes in (left, right):
        axes.set_xlim(0 if marks else epochs[0] - 0.3, epochs[-1] + 0.03 * len(epochs) + 0.02)
        axes.set_xticks(([0] if marks else []) + epochs[:: max(1, len(epochs) // 10)])
        open_axes(axes)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_loss(axes: Axes, history: Sequence[Any], marks: Sequence[Mapping[str, float]]) -> None:
    """Training loss by epoch, and what guessing would cost."""
    axes.plot([mark["epochs"] for mark in marks], [mark["loss"] for mark in marks], color=LOSS,
              lw=0.7, alpha=0.7)
    axes.plot([r.epoch for r in history], [r.loss for r in history], "o-", color=LOSS,
              label="mean of the epoch")
    axes.axhline(LN_10, color=LOSS, lw=0.8, ls=":")
    axes.annotate("ln 10: guessing", (1, LN_10), (0, 3), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", fontsize=8, color=LOSS)
    axes.set(xlabel="epoch", ylabel="training loss (nats)")
    axes.set_ylim(0, max(2.5, 1.05 * max(r.loss for r in history)))


def draw_accuracies(axes: Axes, history: Sequence[Any],
                    marks: Sequence[Mapping[str, float]]) -> None:
    """Accuracy on training and test images by epoch."""
    epochs = [r.epoch for r in history]
    axes.plot([mark["epochs"] for mark in marks], [mark["train_acc"] for mark in marks],
              color=TRAIN, lw=0.7, alpha=0.7)
    axes.plot(epochs, [r.train_acc for r in history], "o-", color=TRAIN, label="training")
    axes.plot(epochs, [r.test_acc for r in history], "s--", color=TEST, label="test")
    axes.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1))
    axes.legend(loc="lower right", frameon=False)
