"""Preprocessing as far as NumPy does it: standardization, contrast, and fitting the whitening.

`nin_gluon.data.preprocess` and `nin_gluon.data.torch_preprocess` apply it to batches. Their
docstrings name the sources.
"""

from typing import Callable, Tuple

import numpy as np

from nin_gluon.errors import InputError

__all__ = ["NORM", "PREPROCESSING", "VARIANCE", "check_preprocess", "contrast_normalized",
           "fit_whitening", "standardization", "standardized"]

PREPROCESSING = ("none", "standardize", "gcn", "zca")

# Euclidean norm of each image after contrast normalization. The 3,072 values of a 32x32 image then
# have a standard deviation of about 1.
NORM = 55.0
VARIANCE = 0.1  # added to the variance of each direction, so that whitening does not amplify noise

BLOCK = 5000  # images processed at once when the whitening is fitted


def check_preprocess(name: str) -> None:
    """Raise InputError unless `name` is one of `PREPROCESSING`."""
    if name not in PREPROCESSING:
        raise InputError(f"preprocess is {name!r}; use {', '.join(PREPROCESSING[:-1])} or zca.")


def standardized(images: np.ndarray) -> np.ndarray:
    """What each of the 256 grey levels becomes if these images are to have mean 0 and variance 1.

    Parameters
    ----------
    images : numpy.ndarray, uint8

    Returns
    -------
    numpy.ndarray, (256,), float32
    """
    mean, deviation = standardization(images)
    return ((np.arange(256) - mean) / deviation).astype(np.float32)


def standardization(images: np.ndarray) -> Tuple[float, float]:
    """Mean and standard deviation of the grey levels in uint8 images; 1 where there is but one."""
    counts, levels = np.bincount(images.ravel(), minlength=256), np.arange(256)
    mean = np.average(levels, weights=counts)
    deviation = np.sqrt(np.average((levels - mean) ** 2, weights=counts))
    return float(mean), float(deviation or 1)


def contrast_normalized(images: np.ndarray) -> np.ndarray:
    """Global contrast normalization in NumPy: (n, ...) uint8 -> the same shape, float32."""
    values = images.reshape(len(images), -1).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    result: np.ndarray = (values * (NORM / (norm + (norm == 0)))).reshape(images.shape)
    return result


def fit_whitening(images: np.ndarray, normalize: Callable[[np.ndarray], np.ndarray],
                  ) -> Tuple[np.ndarray, np.ndarray]:
    """Mean (1, values) and matrix (values, values), float32, that whiten these images.

    It needs memory for `BLOCK` images and a few matrices, however many images there are.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    normalize : callable
        Global contrast normalization of such images: the same shape, float32.
    """
    values = int(np.prod(images.shape[1:]))
    total, products = np.zeros(values), np.zeros((values, values))
    for start in range(0, len(images), BLOCK):
        block = normalize(images[start : start + BLOCK]).reshape((-1, values))
        total += block.sum(axis=0, dtype=np.float64)
        products += block.T @ block
    mean = total / len(images)
    covariance = products / len(images) - np.outer(mean, mean)
    variances, directions = np.linalg.eigh(covariance)
    scales = 1 / np.sqrt(np.maximum(variances, 0) + VARIANCE)
    return (mean[np.newaxis].astype(np.float32),
            ((directions * scales) @ directions.T).astype(np.float32))
