"""Augmentation and preprocessing of batches in PyTorch, as the Gluon engine does it.

The methods and their sources are described in `nin_gluon.data.augment` and
`nin_gluon.data.preprocess`.
"""

from typing import Callable, Dict, List, Optional

import numpy as np
import torch
from torch import Tensor

from nin_gluon.data.shifts import most_shift
from nin_gluon.data.whitening import NORM, check_preprocess, fit_whitening

__all__ = ["augmenter", "preprocessor"]


def augmenter(name: str) -> Optional[Callable[[Tensor], Tensor]]:
    """Function that changes a batch of images at random, anew each time; None for ``none``.

    Raises
    ------
    InputError
        The name is unknown.
    """
    most = most_shift(name)
    return None if most is None else lambda images: shift_and_mirror(images, most)


def shift_and_mirror(images: Tensor, most: int) -> Tensor:
    """Mirror each image left to right with probability 1/2, then shift it; zeros fill the gap.

    The random numbers come from PyTorch's generator of the images' device.

    Parameters
    ----------
    images : Tensor, (batch, height, width, channels), of any type
    most : int
        In pixels, less than height and width. Each image moves down, and to the right, by a whole
        number of pixels from -most to most, all equally likely.
    """
    batch, height, width, channels = images.shape
    device = images.device
    mirrored = torch.randint(0, 2, (batch, 1, 1), device=device)
    down, right = torch.randint(-most, most + 1, (2, batch, 1, 1), device=device)
    # The row and column that each pixel's value comes from.
    row = torch.arange(height, device=device).view(1, -1, 1) - down
    column = torch.arange(width, device=device).view(1, 1, -1) - right
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    column = column + mirrored * (width - 1 - 2 * column)
    image = torch.arange(batch, device=device).view(-1, 1, 1)
    pixel = (image * height + row) * width + column
    # A pixel of zeros before all others stands for what comes from outside.
    pixels = images.reshape(-1, channels)
    pixels = torch.cat([torch.zeros_like(pixels[:1]), pixels])
    return pixels.index_select(0, (inside * (pixel + 1)).view(-1)).view(images.shape)


def preprocessor(name: str, images: np.ndarray) -> Optional[Callable[[Tensor], Tensor]]:
    """Function that preprocesses a batch of images; None for ``none`` and ``standardize``.

    Parameters
    ----------
    name : {"none", "standardize", "gcn", "zca"}
    images : numpy.ndarray, (n, height, width, channels), uint8
        The training images. The whitening is fitted to them.

    Returns
    -------
    callable or None
        Tensor (batch, height, width, channels) uint8 -> the same shape, float32, same device.

    Raises
    ------
    InputError
        The name is unknown.
    """
    check_preprocess(name)
    if name in ("none", "standardize"):
        return None
    if name == "gcn":
        return contrast_normalize
    fitted = fit_whitening(images, normalized)

    on: Dict[torch.device, List[Tensor]] = {}  # a recorded step cannot bring them there

    def whiten(batch: Tensor) -> Tensor:
        if batch.device not in on:
            on[batch.device] = [torch.tensor(array, device=batch.device) for array in fitted]
        mean, matrix = on[batch.device]
        values = contrast_normalize(batch).reshape(len(batch), -1)
        return ((values - mean) @ matrix).reshape(batch.shape)

    return whiten


def contrast_normalize(batch: Tensor) -> Tensor:
    """Global contrast normalization: (batch, ...) of any type -> the same shape, float32."""
    values = batch.float().reshape(len(batch), -1)
    values = values - values.mean(dim=1, keepdim=True)
    norm = values.norm(dim=1, keepdim=True)
    return (values * (NORM / (norm + (norm == 0)))).reshape(batch.shape)


def normalized(images: np.ndarray) -> np.ndarray:
    """`contrast_normalize` of NumPy arrays."""
    return contrast_normalize(torch.tensor(images)).numpy()
