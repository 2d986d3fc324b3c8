"""How a net does on the test images: confusion, precision and recall, calibration."""

from typing import Any, Dict, List, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from nin_gluon.plots.style import TEST, TRAIN, open_axes

__all__ = ["draw_evaluation"]


def draw_evaluation(result: Dict[str, Any], title: str = "") -> Figure:
    """The confusion matrix, and beside it precision and recall by class, and the calibration.

    Parameters
    ----------
    result : dict
        As from `nin_gluon.analysis.evaluation.evaluation_of`.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(12.5, 6.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1))
    names = [row["name"] for row in result["classes"]]
    draw_confusion(figure.add_subplot(grid[:, 0]), np.array(result["confusion"]), names)
    draw_classes(figure.add_subplot(grid[0, 1]), result["classes"])
    draw_calibration(figure.add_subplot(grid[1, 1]), result["calibration"])
    figure.suptitle(title, fontsize=11)
    return figure


def draw_confusion(axes: Axes, confusion: np.ndarray, names: Sequence[str]) -> None:
    """How many images of each true class (rows) were taken for each class (columns)."""
    images = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    share = confusion / images
    # The square root shows the rare confusions, which are what one looks for.
    axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8,
                      color="white" if share[row, column] > 0.35 else "#222222")
    places = range(len(names))
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title("Images by true and predicted class", fontsize=10)


def draw_classes(axes: Axes, classes: Sequence[Dict[str, Any]]) -> None:
    """Precision and recall of each class, as a dot each."""
    places = np.arange(len(classes))
    precision, recall = (np.array([np.nan if row[name] is None else row[name] for row in classes])
                         for name in ("precision", "recall"))
    axes.vlines(places, precision, recall, color="#bbbbbb", linewidth=2, zorder=1)
    axes.scatter(places, precision, color=TRAIN, label="precision", zorder=2)
    axes.scatter(places, recall, color=TEST, label="recall", marker="D", s=26, zorder=2)
    names = [row["name"] for row in classes]
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    open_axes(axes)
    axes.legend(fontsize=8, frameon=False, loc="lower left", ncols=2)
    axes.set_title("Precision and recall", fontsize=10)
    known = [value for value in (*precision, *recall) if np.isfinite(value)]
    lowest = float(min(known, default=0))
    axes.set_ylim(lowest - 0.25 * (1.05 - lowest), 1.02)  # room for the legend below the dots


def draw_calibration(axes: Axes, calibration: Dict[str, Any]) -> None:
    """Accuracy over confidence, and how many images there are of each confidence."""
    filled: List[Dict[str, Any]] = [row for row in calibration["bins"] if row["images"]]
    width = 1 / len(calibration["bins"])
    images = sum(row["images"] for row in filled)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":",
              label="as often right as it says")
    axes.bar([row["above"] + width / 2 for row in filled],
             [row["images"] / images for row in filled], width=0.9 * width, color="#d9d9d9",
             label="share of the images")
    axes.plot([row["confidence"] for row in filled], [row["accuracy"] for row in filled],
              color=TRAIN, marker="o", markersize=4, label="accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("probability of the predicted class", fontsize=9)
    open_axes(axes)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    axes.set_title(f"Calibration (expected error {calibration['error']:.3f})", fontsize=10)
