"""Whether the map of a class responds where the object is, as numbers.

A map's values stand for squares of the image. What share of the map's sum lies on the object? A
flat map would have the object's share of the area (chance). But objects are mostly in the middle,
and maps may be too: laid over the object of another image, a map that ignores its own image would
do as well. Only what a map does better on its own image comes from looking at it.
"""

import math
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

import numpy as np

if TYPE_CHECKING:
    from nin_gluon.analysis.trained_net import TrainedNet

__all__ = ["BLACK_BACKGROUND", "Localization", "localize", "squares"]

# Data sets whose background is exactly 0, so that any other pixel belongs to the object.
BLACK_BACKGROUND = ("fashion-mnist", "sample")


def localize(net: "TrainedNet", images: np.ndarray, labels: np.ndarray,
             on_images: Callable[[int], object] = lambda images: None,
             ) -> Optional[Dict[str, Any]]:
    """How the maps of a net lie on the objects of images with a black background.

    Parameters
    ----------
    net : TrainedNet
        With maps of more than one value.
    images : numpy.ndarray, (n, height, width, channels), uint8
        At least one.
    labels : numpy.ndarray, (n,), integers
    on_images : callable, optional
        Called after each batch with its number of images.

    Returns
    -------
    dict or None
        As from `Localization.result`; None if a map has values below zero, as without a last ReLU:
        then there are no shares of its sum.
    """
    found, done = None, 0
    for maps, scores in net.respond(images):
        if maps.min() < 0:
            return None
        part = slice(done, done + len(maps))
        masks = images[part].any(axis=3)
        if found is None:
            rows, columns = (squares(centre, step, count, size, pixels)
                             for (centre, step, _), count, size, pixels in zip(
                                 net.field, maps.shape[2:], net.image_size, masks.shape[1:]))
            found = Localization(rows, columns)
        found.add(maps, labels[part].astype(int), scores.argmax(axis=1), masks)
        done += len(maps)
        on_images(len(maps))
    assert found is not None, "no images"
    return found.result()


def squares(centre: float, step: float, count: int, size: int, pixels: int) -> np.ndarray:
    """Share of each of a map's squares in each pixel of the image, along one axis.

    Parameters
    ----------
    centre, step : float
        Centre of the first square, and distance to the next, which is also a square's edge, in
        pixels of the resized image.
    count : int
        Squares: values of the map along this axis.
    size, pixels : int
        Edge of the resized image and of the original one, in their own pixels.

    Returns
    -------
    numpy.ndarray, (count, pixels), float64
        Each row sums to 1. The part of a square outside the image does not count.
    """
    edges = np.linspace(0, size, pixels + 1)
    low = (centre + step * (np.arange(count) - 0.5))[:, np.newaxis]
    overlap = np.minimum(low + step, edges[1:]) - np.maximum(low, edges[:-1])
    overlap = np.maximum(overlap, 0)
    return overlap / overlap.sum(axis=1, keepdims=True)


class Localization:
    """Collects, batch by batch, how the maps of each class lie on the objects.

    Parameters
    ----------
    rows, columns : numpy.ndarray, (map height, image height) and (map width, image width)
        From `squares`.
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray) -> None:
        self.rows, self.columns = rows, columns
        self.masks: List[np.ndarray] = []  # (batch, map values): object in each square
        self.right: List[np.ndarray] = []  # (batch, map values): the right class's map, sum 1
        self.labels: List[np.ndarray] = []
        self.shares: List[np.ndarray] = []  # (batch, 3): right, predicted, mean of the wrong

    def add(self, maps: np.ndarray, labels: np.ndarray, predicted: np.ndarray,
            masks: np.ndarray) -> None:
        """Take in a batch.

        Parameters
        ----------
        maps : numpy.ndarray, (batch, classes, height, width)
            Not negative.
        labels, predicted : numpy.ndarray, (batch,), integers
        masks : numpy.ndarray, (batch, image height, image width), bool
            Where the object is.
        """
        covered = self.rows @ masks.astype(float) @ self.columns.T
        flat = maps.reshape(len(maps), maps.shape[1], -1).astype(float)
        sums = flat.sum(axis=2)
        with np.errstate(invalid="ignore"):  # a map that is zero has no share: NaN
            weights = flat / sums[..., np.newaxis]
        covered = covered.reshape(len(maps), -1)
        shares = np.einsum("ncm,nm->nc", weights, covered)
        at = np.arange(len(maps))
        wrong = shares.copy()
        wrong[at, labels] = np.nan
        seen = np.isfinite(wrong).sum(axis=1)
        with np.errstate(invalid="ignore"):
            wrong = np.where(seen > 0, np.nansum(wrong, axis=1) / seen, np.nan)
        self.masks.append(covered)
        self.right.append(weights[at, labels])
        self.labels.append(labels)
        self.shares.append(np.stack([shares[at, labels], shares[at, predicted], wrong], axis=1))

    def result(self) -> Dict[str, Any]:
        """The numbers, over all images.

        Returns
        -------
        dict
            ``images``, and ``zero_maps``: how many of them have a right class whose map is zero
            everywhere. Those are left out of everything else.

            Mean shares of a map's sum that lie on the object: ``right`` (the right class's map),
            ``predicted`` (the predicted class's) and ``wrong`` (mean of the wrong classes', where
            not zero); ``flat`` (a flat map's, which is chance); ``other_images`` and ``same_class``
            (the right class's map on the object of any other image, and of any other image of the
            class).

            ``gain`` is ``right`` - ``other_images``, image by image, ``gain_error`` its standard
            error, and ``better`` the share of images where it is positive. ``right_over_wrong``
            says by how much the right class's map beats the wrong ones', with
            ``right_over_wrong_error``.

            ``pointing`` is how much of the square with the map's largest value is object;
            ``pointing_flat`` the same of any square, ``pointing_other_images`` and
            ``pointing_same_class`` on other images.

            None where there is nothing to average.
        """
        masks, weights = np.concatenate(self.masks), np.concatenate(self.right)
        labels, shares = np.concatenate(self.labels), np.concatenate(self.shares)
        some = np.isfinite(shares[:, 0])
        largest = weights == weights.max(axis=1, keepdims=True)
        points = largest / np.maximum(largest.sum(axis=1, keepdims=True), 1)
        anywhere = other_masks(masks, np.zeros_like(labels))
        in_class = other_masks(masks, labels)
        own, strange = shares[:, 0], (weights * anywhere).sum(axis=1)
        gain, gain_error = mean_and_error((own - strange)[some])
        over, over_error = mean_and_error((own - shares[:, 2])[some])
        return {
            "images": len(labels), "zero_maps": int((~some).sum()),
            "right": mean(own[some]), "predicted": mean(shares[some, 1]),
            "wrong": mean(shares[some, 2]),
            "flat": mean(masks[some].mean(axis=1)), "other_images": mean(strange[some]),
            "same_class": mean((weights * in_class).sum(axis=1)[some]),
            "gain": gain, "gain_error": gain_error,
            "better": mean((own > strange)[some].astype(float)),
            "right_over_wrong": over, "right_over_wrong_error": over_error,
            "pointing": mean((points * masks).sum(axis=1)[some]),
            "pointing_flat": mean(masks[some].mean(axis=1)),
            "pointing_other_images": mean((points * anywhere).sum(axis=1)[some]),
            "pointing_same_class": mean((points * in_class).sum(axis=1)[some]),
        }


def other_masks(masks: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each image the mean mask of all others in its group; NaN where there is no other.

    This is what a mask drawn at random from them is on average, without drawing.
    """
    sums = np.zeros((groups.max() + 1, masks.shape[1]))
    np.add.at(sums, groups, masks)
    others = np.bincount(groups)[groups][:, np.newaxis] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(others > 0, (sums[groups] - masks) / others, np.nan)


def mean(values: np.ndarray) -> Optional[float]:
    """Mean of the values that are not NaN; None if there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def mean_and_error(values: np.ndarray) -> Tuple[Optional[float], Optional[float]]:
    """Mean and its standard error, of the values that are not NaN; None if there are too few."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None, None
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
