"""Images as they are."""

from typing import Any, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw_image", "show_fashion_mnist"]


def draw_image(axes: Axes, image: np.ndarray) -> None:
    """Draw one image, (height, width, channels) uint8; grey if it has one channel."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)


def show_fashion_mnist(images: Any, labels: Sequence[str]) -> Figure:
    """Plot images in a row with their labels. d2lzh's function, but it returns the figure.

    Parameters
    ----------
    images : NDArray or numpy.ndarray, (n, 28, 28, 1) or (n, 1, 28, 28)
    labels : sequence of str, (n,)

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(1.3 * len(images), 1.6), layout="constrained")
    row = figure.subplots(1, len(images), squeeze=False)[0]
    for axes, image, label in zip(row, images, labels):
        image = image.asnumpy() if hasattr(image, "asnumpy") else image
        axes.imshow(image.reshape(28, 28), cmap="gray")
        axes.set_title(label, fontsize=9)
        axes.axis("off")
    return figure
