"""Classes that a net has lost.

A class's score is the mean of a map that comes out of a ReLU. If the map is zero for every image,
so is its gradient, and training cannot bring the class back: its channel is dead.
"""

from typing import Callable, Dict, Iterable, Sequence, Tuple

import numpy as np
from mxnet import nd

__all__ = ["accuracy_of_dead", "living_classes", "which_classes_live"]

Scores = Callable[[nd.NDArray], nd.NDArray]
Batches = Iterable[Tuple[nd.NDArray, nd.NDArray]]


def which_classes_live(scores_fn: Scores, batches: Batches) -> np.ndarray:
    """Which classes have a score above zero for any image.

    Parameters
    ----------
    scores_fn : callable
        X (batch, channels, height, width) -> scores (batch, classes), which are not negative.
    batches : iterable of (X, y)
        At least one; y is not used.

    Returns
    -------
    numpy.ndarray, (classes,), bool
    """
    highest = nd.stack(*[scores_fn(X).max(axis=0) for X, _ in batches]).max(axis=0)
    return (highest > 0).asnumpy().astype(bool)


def living_classes(scores_fn: Scores, batches: Batches) -> int:
    """How many classes have a score above zero for any image; see `which_classes_live`."""
    return int(which_classes_live(scores_fn, batches).sum())


def accuracy_of_dead(living: Sequence[bool], labels: Sequence[int], predictions: Sequence[int],
                     ) -> Dict[int, float]:
    """What each dead class costs: the accuracy on the images of that class.

    Parameters
    ----------
    living : sequence of bool, (classes,)
        As from `which_classes_live`.
    labels, predictions : sequences of int, (n,)

    Returns
    -------
    dict of int to float
        For each dead class that has images, the fraction of them that are classified right. It is
        0 unless scores tie: an image whose scores are all zero is given the first class.
    """
    of_class = np.asarray(labels)
    right = of_class == np.asarray(predictions)
    dead = np.flatnonzero(~np.asarray(living, bool))
    return {int(c): float(right[of_class == c].mean()) for c in dead if (of_class == c).any()}
