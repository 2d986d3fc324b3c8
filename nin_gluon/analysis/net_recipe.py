"""What an engine needs to build a trained net, and what it makes of it."""

from dataclasses import dataclass
from typing import Callable, Iterator, List, Optional, Tuple

import numpy as np

from nin_gluon.array_files import Entry
from nin_gluon.settings import Settings

__all__ = ["Field", "Recipe", "Responses"]

# Images (n, height, width, channels) uint8 -> for each batch of them the maps
# (batch, classes, height', width') and the scores (batch, classes), both float32.
Responses = Callable[[np.ndarray], Iterator[Tuple[np.ndarray, np.ndarray]]]

# Where the maps' squares lie, as from `nin_gluon.models.geometry.receptive_field`.
Field = List[Tuple[float, int, int]]


@dataclass(frozen=True)
class Recipe:
    """A trained net as any engine can build it.

    Attributes
    ----------
    settings : Settings
    shape : (int, int, int)
        (height, width, channels) of the images that are given to it.
    read : callable
        Gets what parameters the net has, in its order; returns their values.
    levels : numpy.ndarray, (256,), float32, or None
        What each byte of an image becomes, where that is settled.
    training_images : numpy.ndarray, (n, height, width, channels), uint8
        To fit the preprocessing to; none where it needs none.
    """

    settings: Settings
    shape: Tuple[int, int, int]
    read: Callable[[List[Entry]], List[np.ndarray]]
    levels: Optional[np.ndarray]
    training_images: np.ndarray
