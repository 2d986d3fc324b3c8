"""Resizing 8-bit images on any device, with the pixels that Gluon's Resize gives on a CPU.

On a CPU, Gluon's Resize is OpenCV's. OpenCV computes with weights that are whole multiples of
1/2048. On a GPU, the same operator interpolates in floating point, and some pixels differ by a grey
level. The classes here are OpenCV's arithmetic as NDArray operations, so every device gives the
CPU's pixels.

Source: the behaviour of OpenCV's ``resize`` of 8-bit images (INTER_LINEAR and INTER_CUBIC), as
bundled with MXNet 1.9.1 for x86-64.
"""

from typing import Callable, List, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd

from nin_gluon.data.resize_weights import (
    INTERPOLATIONS,
    ONE,
    Size,
    bicubic_weights,
    bilinear_weights,
    check_interpolation,
)

__all__ = ["INTERPOLATIONS", "BicubicResize", "BilinearResize", "check_interpolation", "resizer"]


def resizer(old: Size, new: Union[int, Size], ctx: mx.Context,
            interpolation: str = "bilinear") -> Callable[[nd.NDArray], nd.NDArray]:
    """Function from uint8 images (batch, height, width, channels) on `ctx` to the new size.

    Parameters
    ----------
    old : (int, int)
        (height, width) in pixels.
    new : int or (int, int)
        Edge length, or (width, height) in the order of Gluon's Resize, in pixels.
    ctx : mxnet.Context
    interpolation : {"bilinear", "bicubic"}

    Raises
    ------
    InputError
        The interpolation is unknown.
    """
    check_interpolation(interpolation)
    width, height = (new, new) if isinstance(new, int) else new
    if ctx.device_type == "cpu":  # where Gluon's operator is OpenCV
        return lambda images: nd.image.resize(images, size=(width, height),
                                              interp=INTERPOLATIONS[interpolation])
    resize = BilinearResize if interpolation == "bilinear" else BicubicResize
    return resize(old, (height, width), ctx)


class BilinearResize:
    """Resizes images of one size to another, as OpenCV's INTER_LINEAR does.

    The vertical pass drops bits twice before it rounds.

    Parameters
    ----------
    old, new : (int, int)
        (height, width) in pixels.
    ctx : mxnet.Context
        The device of the images.
    """

    def __init__(self, old: Size, new: Size, ctx: mx.Context) -> None:
        rows, row_weights, columns, column_weights = bilinear_weights(old, new)
        self.rows = on_device(rows, ctx)
        self.row_weights = on_device(row_weights, ctx, (1, -1, 1, 1))
        self.columns = on_device(columns, ctx)
        self.column_weights = on_device(column_weights, ctx, (1, 1, -1, 1))

    def __call__(self, images: nd.NDArray) -> nd.NDArray:
        """(batch, height, width, channels) uint8 -> (batch, new height, new width, channels)."""
        images = images.astype("int32")
        left, right = (nd.take(images, column, axis=2) * weight
                       for column, weight in zip(self.columns, self.column_weights))
        wide = (left + right) / 16  # dividing int32 NDArrays of positive numbers rounds down
        above, below = (nd.take(wide, row, axis=1) * weight / 65536
                        for row, weight in zip(self.rows, self.row_weights))
        return ((above + below + 2) / 4).astype("uint8")


class BicubicResize:
    """Resizes images of one size to another, as OpenCV's INTER_CUBIC does.

    Each new pixel is a weighted sum of four rows of four pixels; beyond the image its edge is
    repeated. The horizontal pass is exact in integers. OpenCV computes the vertical pass of eight
    values at a time, in single precision, and what is left at the end of a row in integers. The
    two round differently, so both are needed here.

    Parameters
    ----------
    old, new : (int, int)
        (height, width) in pixels.
    ctx : mxnet.Context
        The device of the images.
    """

    def __init__(self, old: Size, new: Size, ctx: mx.Context) -> None:
        rows, row_weights, columns, column_weights = bicubic_weights(old, new)
        self.rows = on_device(rows, ctx)
        self.row_weights = on_device(row_weights, ctx, (1, -1, 1))
        self.columns = on_device(columns, ctx)
        self.column_weights = on_device(column_weights, ctx, (1, 1, -1, 1))

    def __call__(self, images: nd.NDArray) -> nd.NDArray:
        """(batch, height, width, channels) uint8 -> (batch, new height, new width, channels)."""
        images = images.astype("int32")
        # At most 255 * 2048 * 1.1875, so float32 holds it exactly.
        wide = sum(nd.take(images, column, axis=2) * weight
                   for column, weight in zip(self.columns, self.column_weights))
        batch, _, width, channels = wide.shape
        wide = wide.reshape((batch, -1, width * channels))
        whole = width * channels // 8 * 8  # values of a row that go eight at a time
        parts = []
        if whole:
            parts.append(self.in_single_precision(wide[:, :, :whole]))
        if whole < width * channels:
            parts.append(self.in_integers(wide[:, :, whole:]))
        resized = nd.concat(*parts, dim=2) if len(parts) > 1 else parts[0]
        return resized.reshape((batch, -1, width, channels))

    def in_single_precision(self, wide: nd.NDArray) -> nd.NDArray:
        """Vertical pass of (batch, rows, values) int32; rounds halves to even."""
        wide = wide.astype("float32")
        # The order of the additions decides the rounding.
        total = sum(nd.take(wide, row, axis=1) * (weight.astype("float32") / ONE**2)
                    for row, weight in zip(self.rows, self.row_weights))
        # `nd.rint` rounds halves down. Adding 1.5 * 2**23 leaves no bits after the point, and the
        # addition itself rounds as we need it.
        magic = 1.5 * 2**23
        return ((total + magic) - magic).clip(0, 255).astype("uint8")

    def in_integers(self, wide: nd.NDArray) -> nd.NDArray:
        """Vertical pass of (batch, rows, values) int32; rounds halves up."""
        # Less than 1.6e9, so int32 holds it.
        total = sum(nd.take(wide, row, axis=1) * weight
                    for row, weight in zip(self.rows, self.row_weights))
        # A negative total becomes 0, whichever way the division rounds.
        return ((total + ONE**2 // 2) / ONE**2).clip(0, 255).astype("uint8")


def on_device(values: np.ndarray, ctx: mx.Context, shape: Tuple[int, ...] = (-1,)) -> List:
    """The rows of an integer array as int32 NDArrays of this shape."""
    return [nd.array(row.reshape(shape), ctx, "int32") for row in values]
