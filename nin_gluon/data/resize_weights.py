"""OpenCV's weights for resizing 8-bit images: which pixels are added up, and how often.

No framework is imported here. `nin_gluon.data.resize` and `nin_gluon.data.torch_resize` compute
with these weights.

Source: the behaviour of OpenCV's ``resize`` of 8-bit images (INTER_LINEAR and INTER_CUBIC), as
bundled with MXNet 1.9.1 for x86-64.
"""

from typing import Dict, List, Tuple

import numpy as np

from nin_gluon.errors import InputError

__all__ = ["INTERPOLATIONS", "ONE", "bicubic_weights", "bilinear_weights", "check_interpolation"]

# Name -> the number by which Gluon's operator, like OpenCV, knows it.
INTERPOLATIONS: Dict[str, int] = {"bilinear": 1, "bicubic": 2}

ONE = 2048  # a weight of 1

Size = Tuple[int, int]  # (height, width) in pixels

# Rows and their weights, columns and theirs: each (taps, new height or width), int.
Weights = Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def check_interpolation(name: str) -> None:
    """Raise InputError unless `name` is one of `INTERPOLATIONS`."""
    if name not in INTERPOLATIONS:
        raise InputError(f"interpolation is {name!r}; use {' or '.join(INTERPOLATIONS)}.")


def bilinear_weights(old: Size, new: Size) -> Weights:
    """The pixels that OpenCV's INTER_LINEAR uses, all of them within the image, and the weights."""
    rows, row_weights = bilinear_taps(old[0], new[0])
    columns, column_weights = bilinear_taps(old[1], new[1])
    # Outside the first and the last row, OpenCV uses the edge row twice and keeps both weights.
    # Outside the first and the last column, it uses the edge column once. Both give the edge's
    # value, except for the bits that two products drop and one does not.
    outside = (columns[0] < 0) | (columns[1] >= old[1])
    column_weights[:, outside] = [[ONE], [0]]
    return (rows.clip(0, old[0] - 1), row_weights,
            columns.clip(0, old[1] - 1), column_weights)


def bicubic_weights(old: Size, new: Size) -> Weights:
    """The same for INTER_CUBIC."""
    rows, row_weights = bicubic_taps(old[0], new[0])
    columns, column_weights = bicubic_taps(old[1], new[1])
    return (rows.clip(0, old[0] - 1), row_weights,
            columns.clip(0, old[1] - 1), column_weights)


def centres(old: int, new: int) -> Tuple[np.ndarray, np.ndarray]:
    """Along one axis, the place of each new pixel's centre in the old image.

    Returns
    -------
    first : numpy.ndarray, (new,), int
        The old pixel at or before it; -1 before the image.
    fraction : numpy.ndarray, (new,), float32
        The distance from there, from 0 to below 1.
    """
    # The order of operations and the types are OpenCV's: they decide the rounding.
    place = ((np.arange(new) + 0.5) * (1 / (new / old)) - 0.5).astype(np.float32)
    first = np.floor(place)
    return first.astype(int), place - first


def fixed_point(weights: List[np.ndarray]) -> np.ndarray:
    """Float32 weights in units of 1/2048, rounded: (taps, new) int."""
    return np.rint(np.stack(weights) * np.float32(ONE)).astype(int)


def bilinear_taps(old: int, new: int) -> Tuple[np.ndarray, np.ndarray]:
    """Along one axis: the two old pixels on either side of each new one, and their weights.

    Returns
    -------
    pixels : numpy.ndarray, (2, new), int
        From -1 to `old`: those two lie outside the image.
    weights : numpy.ndarray, (2, new), int
        In units of 1/2048.
    """
    first, fraction = centres(old, new)
    return np.stack([first, first + 1]), fixed_point([1 - fraction, fraction])


def bicubic_taps(old: int, new: int) -> Tuple[np.ndarray, np.ndarray]:
    """Along one axis: the four old pixels around each new one, and their weights.

    The weights are those of cubic convolution with a = -0.75 (Keys, "Cubic Convolution
    Interpolation for Digital Image Processing", 1981, has -0.5).

    Returns
    -------
    pixels : numpy.ndarray, (4, new), int
        From -2 to `old` + 1: some lie outside the image.
    weights : numpy.ndarray, (4, new), int
        In units of 1/2048.
    """
    first, x = centres(old, new)
    a, one = np.float32(-0.75), np.float32(1)
    outer = ((a * (x + one) - 5 * a) * (x + one) + 8 * a) * (x + one) - 4 * a
    inner, next_inner = (((a + 2) * t - (a + 3)) * t * t + one for t in (x, one - x))
    # The last weight is what is missing to 1; it is not a polynomial of its own.
    weights = [outer, inner, next_inner, one - outer - inner - next_inner]
    return np.stack([first + tap for tap in (-1, 0, 1, 2)]), fixed_point(weights)
