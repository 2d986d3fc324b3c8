"""Images with the classes that a net gives them."""

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure

from nin_gluon.plots.images import draw_image
from nin_gluon.plots.style import RIGHT, WRONG

__all__ = ["draw_predictions"]


def draw_predictions(images: np.ndarray, labels: Sequence[int], predictions: Sequence[int],
                     names: Sequence[str], title: str = "", columns: int = 8) -> Figure:
    """Images with their predicted classes. Wrong ones are marked and name the true class too.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels, predictions : sequences of int, (n,)
    names : sequence of str
        Class names.
    title : str
    columns : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.35 * columns, 1.75 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image, label, predicted in zip(grid, images, labels, predictions):
        label, predicted = int(label), int(predicted)
        draw_image(axes, image)
        right = label == predicted
        text = names[predicted] if right else f"{names[predicted]}, not\n{names[label]}"
        axes.set_title(text, fontsize=8, color=RIGHT if right else WRONG, va="bottom")
    figure.suptitle(title, fontsize=10)
    return figure
