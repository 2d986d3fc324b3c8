"""The maps of the classes, laid over the images."""

from typing import List, Optional, Sequence, Tuple, Union

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from nin_gluon.plots.images import draw_image
from nin_gluon.plots.style import LOSS, RIGHT, WRONG

__all__ = ["draw_class_maps"]


def draw_class_maps(images: np.ndarray, maps: np.ndarray, scores: np.ndarray,
                    labels: Union[Sequence[int], np.ndarray, None], names: Sequence[str],
                    field: Sequence[Tuple[float, float, int]], size: Tuple[int, int],
                    title: str = "") -> Figure:
    """Images, one a row, and beside each the maps of the classes over it, on one scale a row.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    maps : numpy.ndarray, (n, classes, map height, map width)
    scores : numpy.ndarray, (n, classes)
        The class with the highest score is framed.
    labels : sequence of int, (n,), or None
        The true classes, where they are known.
    names : sequence of str
        Class names.
    field : sequence of (float, float, int)
        Where the maps' squares lie, as from `nin_gluon.models.geometry.receptive_field`.
    size : (int, int)
        (height, width) in pixels of the resized image, to which `field` refers.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    classes = len(names)
    figure = Figure(figsize=(1.12 * (classes + 1) + 0.8, 1.3 * len(images) + 0.7),
                    layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, hspace=0.02,
                                                   wspace=0.02))
    grid = figure.subplots(len(images), classes + 1, squeeze=False)
    extent = map_extent(field, maps.shape[2:], size, images.shape[1:3])
    for axes, name in zip(grid[0, 1:], names):
        axes.set_title(name, fontsize=8)
    for i, (image, row) in enumerate(zip(images, grid)):
        label = None if labels is None else int(labels[i])
        norm = Normalize(0, max(0.0, float(maps[i].max())) or 1.0, clip=True)
        draw_row(row, image, maps[i], scores[i], label, names, norm, extent)
        bar = figure.colorbar(ScalarMappable(norm, "inferno"), ax=row[-1], fraction=0.1, pad=0.05)
        bar.ax.tick_params(labelsize=6)
        bar.outline.set_visible(False)
    figure.suptitle(f"{title}\nframed: predicted; dotted: true; below: scores", fontsize=9)
    return figure


def map_extent(field: Sequence[Tuple[float, float, int]], map_size: Sequence[int],
               size: Sequence[int], image_size: Sequence[int],
               ) -> Tuple[float, float, float, float]:
    """(left, right, bottom, top) of a map, in pixels of the original image, as imshow takes them.
    """
    edges: List[float] = []
    for (centre, step, _), count, resized, pixels in zip(field, map_size, size, image_size):
        edges += [(centre + step * (at - 0.5)) * pixels / resized - 0.5 for at in (0, count)]
    top, bottom, left, right = edges
    return left, right, bottom, top


def draw_row(row: Sequence[Axes], image: np.ndarray, maps: np.ndarray, scores: np.ndarray,
             label: Optional[int], names: Sequence[str], norm: Normalize,
             extent: Tuple[float, float, float, float]) -> None:
    """One image, named after its predicted class, and its maps; axes for each."""
    predicted = int(scores.argmax())
    colour = LOSS if label is None else RIGHT if label == predicted else WRONG
    for axes in row:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_facecolor("black")
    draw_image(row[0], image)
    text = names[predicted] if label in (None, predicted) else (
        f"{names[predicted]},\nnot {names[label]}")
    row[0].set_ylabel(text, fontsize=8, color=colour)
    for k, axes in enumerate(row[1:]):
        draw_image(axes, image // 3)
        # Weak values are transparent, so that the image shows through.
        axes.imshow(maps[k], "inferno", norm, alpha=0.85 * norm(maps[k]) ** 0.5, extent=extent,
                    interpolation="nearest")
        axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
        axes.set_xlabel(f"{scores[k]:.2f}", fontsize=7, labelpad=1,
                        weight="bold" if k == predicted else "normal")
        for spine in axes.spines.values():
            spine.set(visible=k in (predicted, label), linewidth=2,
                      color=colour if k == predicted else RIGHT,
                      linestyle="-" if k == predicted else ":")
