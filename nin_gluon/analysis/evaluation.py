"""How well scores tell the classes of images: accuracy, errors by class, calibration."""

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

__all__ = ["BINS", "evaluation_of", "probabilities"]

BINS = 15  # of the calibration, as in Guo et al.


def probabilities(scores: np.ndarray) -> np.ndarray:
    """The softmax of scores (n, classes): (n, classes), float64."""
    values: np.ndarray = np.exp(log_softmax(scores))
    return values


def evaluation_of(scores: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Dict[str, Any]:
    """What the scores of a net come to, JSON-ready.

    Parameters
    ----------
    scores : numpy.ndarray, (n, classes)
        Of at least one image.
    labels : numpy.ndarray, (n,), integers
        The true classes.
    names : sequence of str, (classes,)

    Returns
    -------
    dict
        ``images``, how many there are; ``accuracy``, the fraction classified correctly; ``loss``,
        the mean cross-entropy in nats.

        ``classes``: for each its ``name``, its ``images``, how many images were ``predicted`` to be
        of it, ``precision`` (the fraction of those that are) and ``recall`` (the fraction of its
        images that were found). None where there is nothing to divide by.

        ``confusion``: for each true class a list, how many of its images were taken for each class.

        ``calibration``: see `calibration_of`.
    """
    labels, chances = labels.astype(int), probabilities(scores)
    predicted = scores.argmax(axis=1)
    losses = -log_softmax(scores)[np.arange(len(labels)), labels]
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (labels, predicted), 1)
    right, true, taken = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "images": len(labels), "accuracy": float(right.sum() / len(labels)),
        "loss": float(losses.mean()),
        "classes": [{"name": name, "images": int(true[k]), "predicted": int(taken[k]),
                     "precision": ratio(right[k], taken[k]), "recall": ratio(right[k], true[k])}
                    for k, name in enumerate(names)],
        "confusion": confusion.tolist(),
        "calibration": calibration_of(chances.max(axis=1), predicted == labels),
    }


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """The logarithm of the softmax of scores (n, classes), without a detour by numbers near 0."""
    scores = scores.astype(np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)
    difference: np.ndarray = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return difference


def ratio(part: int, whole: int) -> Optional[float]:
    return float(part / whole) if whole else None


def calibration_of(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS,
                   ) -> Dict[str, Any]:
    """Whether a net is right as often as its probabilities say.

    Parameters
    ----------
    confidence : numpy.ndarray, (n,)
        The probability of the predicted class.
    correct : numpy.ndarray, (n,), bool
    bins : int
        The interval from 0 to 1 is cut into so many equal parts, each without its lower end.

    Returns
    -------
    dict
        ``error``, the expected calibration error: the mean over all images of the difference
        between the accuracy and the mean confidence of the image's bin. ``bins``: for each bin
        ``above`` and ``up_to``, its ``images``, and their mean ``confidence`` and ``accuracy``,
        None in an empty one.

    Notes
    -----
    Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks",
    arXiv 1706.04599 (2017), section 2.
    """
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    error = 0.0
    rows: List[Dict[str, Any]] = []
    for k in range(bins):
        inside = place == k
        row: Dict[str, Any] = {"above": float(edges[k]), "up_to": float(edges[k + 1]),
                               "images": int(inside.sum()), "confidence": None, "accuracy": None}
        if row["images"]:
            row.update(confidence=float(confidence[inside].mean()),
                       accuracy=float(correct[inside].mean()))
            error += row["images"] / len(confidence) * abs(row["accuracy"] - row["confidence"])
        rows.append(row)
    return {"error": error, "bins": rows}
