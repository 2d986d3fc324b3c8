"""What an engine needs to build a trained net, and what it makes of it."""

from dataclasses import dataclass
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from nin_gluon.array_files import Entry
from nin_gluon.exports.layers import Layer
from nin_gluon.settings import Settings

__all__ = ["Built", "Field", "LayerOutput", "Recipe", "Responses", "Walk"]

# Images (n, height, width, channels) uint8 -> for each batch of them the maps
# (batch, classes, height', width') and the scores (batch, classes), both float32.
Responses = Callable[[np.ndarray], Iterator[Tuple[np.ndarray, np.ndarray]]]

# Where the maps' squares lie, as from `nin_gluon.models.geometry.receptive_field`.
Field = List[Tuple[float, int, int]]


class LayerOutput(NamedTuple):
    """What one of the net's layers, or blocks of layers, makes of an image.

    Attributes
    ----------
    layers : list of Layer
        What it consists of; nothing for dropout, which does nothing outside of training.
    values : numpy.ndarray, (channels, height, width) or (channels,), float32
    """

    layers: List[Layer]
    values: np.ndarray


# An image (height, width, channels) uint8, and the edge in pixels to which it is resized -> what
# each of the net's layers makes of it, in order.
Walk = Callable[[np.ndarray, int], List[LayerOutput]]


class Built(NamedTuple):
    """A trained net as an engine has built it; see `nin_gluon.analysis.trained_net.TrainedNet`."""

    respond: Responses
    field: Field
    walk: Walk
    smallest: int


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
