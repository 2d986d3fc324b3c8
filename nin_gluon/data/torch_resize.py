"""Resizing 8-bit images in PyTorch, with the pixels that Gluon's Resize gives on a CPU.

The arithmetic is that of `nin_gluon.data.resize`, whose docstrings explain it: OpenCV's, in
integers, so every device gives the same pixels.
"""

from typing import Callable, List

import numpy as np
import torch
from torch import Tensor

from nin_gluon.data.resize_weights import (
    ONE,
    Size,
    bicubic_weights,
    bilinear_weights,
    check_interpolation,
)

__all__ = ["BicubicResize", "BilinearResize", "resizer"]


def resizer(old: Size, new: Size, device: torch.device,
            interpolation: str = "bilinear") -> Callable[[Tensor], Tensor]:
    """Function from uint8 images (batch, height, width, channels) on a device to the new size.

    Parameters
    ----------
    old, new : (int, int)
        (height, width) in pixels.
    device : torch.device
    interpolation : {"bilinear", "bicubic"}

    Raises
    ------
    InputError
        The interpolation is unknown.
    """
    check_interpolation(interpolation)
    resize = BilinearResize if interpolation == "bilinear" else BicubicResize
    return resize(old, new, device)


class BilinearResize:
    """Resizes images of one size to another, as OpenCV's INTER_LINEAR does."""

    def __init__(self, old: Size, new: Size, device: torch.device) -> None:
        rows, row_weights, columns, column_weights = bilinear_weights(old, new)
        self.rows, self.columns = on_device(rows, device), on_device(columns, device)
        self.row_weights = on_device(row_weights, device, -1, 1, 1)
        self.column_weights = on_device(column_weights, device, 1, -1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """(batch, height, width, channels) uint8 -> (batch, new height, new width, channels)."""
        images = images.int()
        left, right = (images.index_select(2, column) * weight
                       for column, weight in zip(self.columns, self.column_weights))
        wide = (left + right) >> 4
        above, below = ((wide.index_select(1, row) * weight) >> 16
                        for row, weight in zip(self.rows, self.row_weights))
        return ((above + below + 2) >> 2).to(torch.uint8)


class BicubicResize:
    """Resizes images of one size to another, as OpenCV's INTER_CUBIC does."""

    def __init__(self, old: Size, new: Size, device: torch.device) -> None:
        rows, row_weights, columns, column_weights = bicubic_weights(old, new)
        self.rows, self.columns = on_device(rows, device), on_device(columns, device)
        self.row_weights = on_device(row_weights, device, -1, 1)
        self.column_weights = on_device(column_weights, device, 1, -1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """(batch, height, width, channels) uint8 -> (batch, new height, new width, channels)."""
        wide = total(images.int(), 2, self.columns, self.column_weights)
        batch, _, width, channels = wide.shape
        wide = wide.reshape(batch, -1, width * channels)
        whole = width * channels // 8 * 8  # values of a row that OpenCV takes eight at a time
        resized = torch.cat([self.in_single_precision(wide[:, :, :whole]),
                             self.in_integers(wide[:, :, whole:])], dim=2)
        return resized.reshape(batch, -1, width, channels)

    def in_single_precision(self, wide: Tensor) -> Tensor:
        """Vertical pass of (batch, rows, values) int32; rounds halves to even."""
        weights = [weight.float() / ONE**2 for weight in self.row_weights]
        return total(wide.float(), 1, self.rows, weights).round_().clamp_(0, 255).to(torch.uint8)

    def in_integers(self, wide: Tensor) -> Tensor:
        """Vertical pass of (batch, rows, values) int32; rounds halves up."""
        sums = total(wide, 1, self.rows, self.row_weights)
        return ((sums + ONE**2 // 2) >> 22).clamp_(0, 255).to(torch.uint8)


def total(values: Tensor, axis: int, taps: List[Tensor], weights: List[Tensor]) -> Tensor:
    """The weighted sum of the values at the taps; in order, which decides the rounding."""
    first, *rest = (values.index_select(axis, tap) * weight for tap, weight in zip(taps, weights))
    for product in rest:
        first = first + product
    return first


def on_device(values: np.ndarray, device: torch.device, *shape: int) -> List[Tensor]:
    """The rows of an integer array as int32 tensors of this shape."""
    return [torch.tensor(row.reshape(shape or (-1,)), dtype=torch.int32, device=device)
            for row in values]
