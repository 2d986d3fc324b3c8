"""Pictures of the user's own, where a net looks in them, and what it takes them for."""

from typing import NamedTuple, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from nin_gluon.plots.class_maps import map_extent
from nin_gluon.plots.images import draw_image
from nin_gluon.plots.style import TRAIN

__all__ = ["OwnPicture", "draw_own_pictures"]

LONGEST_NAME = 40  # characters


class OwnPicture(NamedTuple):
    """One picture and what the net says of it.

    Attributes
    ----------
    name : str
    thumbnail : numpy.ndarray, (height, width, 3), uint8
        The picture itself.
    pixels : numpy.ndarray, (height, width, channels), uint8
        What the net was given.
    maps : numpy.ndarray, (classes, map height, map width)
    inverted : bool
        Whether light and dark were swapped.
    top : sequence of (int, float)
        The most probable classes with their probabilities, the best first.
    """

    name: str
    thumbnail: np.ndarray
    pixels: np.ndarray
    maps: np.ndarray
    inverted: bool
    top: Sequence[Tuple[int, float]]


def draw_own_pictures(pictures: Sequence[OwnPicture], names: Sequence[str],
                      field: Sequence[Tuple[float, float, int]], size: Tuple[int, int],
                      title: str = "") -> Figure:
    """Pictures, one a row; beside each what the net was given, with the map of the class over it,
    and the most probable classes.

    Parameters
    ----------
    pictures : sequence of OwnPicture
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
    figure = Figure(figsize=(8.6, 2.0 * len(pictures) + 0.8), layout="constrained")
    grid = figure.subplots(len(pictures), 4, squeeze=False, width_ratios=(1, 1, 1, 1.3))
    for axes, words in zip(grid[0], ("the picture", "what the net is given", "where it looks", "")):
        axes.set_title(words, fontsize=9)
    for row, picture in zip(grid, pictures):
        draw_row(row, picture, names, field, size)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_row(row: Sequence[Axes], picture: OwnPicture, names: Sequence[str],
             field: Sequence[Tuple[float, float, int]], size: Tuple[int, int]) -> None:
    """One picture."""
    original, given, seen, bars = row
    for axes in (original, given, seen):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="#cccccc", linewidth=0.8)
    original.imshow(picture.thumbnail)
    original.set_xlabel(shortened(picture.name), fontsize=8)
    draw_image(given, picture.pixels)
    given.set_xlabel("light and dark swapped" if picture.inverted else "", fontsize=8)
    draw_map(seen, picture, names[picture.top[0][0]], field, size)
    draw_bars(bars, picture.top, names)


def draw_map(axes: Axes, picture: OwnPicture, name: str,
             field: Sequence[Tuple[float, float, int]], size: Tuple[int, int]) -> None:
    """The map of the predicted class over what the net was given."""
    the_map = picture.maps[picture.top[0][0]]
    axes.set_facecolor("black")
    draw_image(axes, picture.pixels // 3)
    if the_map.size == 1:
        axes.set_xlabel("one value: no telling where", fontsize=8)
        return
    norm = Normalize(0, max(0.0, float(the_map.max())) or 1.0, clip=True)
    # Weak values are transparent, so that the image shows through.
    axes.imshow(the_map, "inferno", norm, alpha=0.85 * norm(the_map) ** 0.5,
                extent=map_extent(field, the_map.shape, size, picture.pixels.shape[:2]),
                interpolation="nearest")
    height, width = picture.pixels.shape[:2]
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_xlabel(f"the map of {name}", fontsize=8)


def draw_bars(axes: Axes, top: Sequence[Tuple[int, float]], names: Sequence[str]) -> None:
    """The most probable classes, the best on top."""
    places = range(len(top))
    axes.barh(places, [chance for _, chance in top], color=TRAIN, height=0.6)
    for place, (_, chance) in zip(places, top):
        axes.text(min(chance, 0.72) + 0.02 if chance < 0.72 else chance - 0.02, place,
                  f"{chance:.3f}", va="center", ha="left" if chance < 0.72 else "right",
                  fontsize=8, color="black" if chance < 0.72 else "white")
    axes.set_yticks(places, [names[k] for k, _ in top], fontsize=8)
    axes.set(xlim=(0, 1), ylim=(max(len(top), 3) - 0.4, -0.6), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def shortened(name: str) -> str:
    """The end of a long name, which tells more than its beginning."""
    return name if len(name) <= LONGEST_NAME else "..." + name[-LONGEST_NAME + 3:]
