"""Preprocessing: what the paper does to CIFAR-10, and standardization.

Lin, Chen and Yan, "Network In Network" (2013), section 4.2, preprocess as Goodfellow et al.,
"Maxout Networks" (2013), do: global contrast normalization and ZCA whitening. The constants are
those of the maxout paper's published code, in pylearn2.
"""

import functools
from typing import Callable, List, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from nin_gluon.errors import InputError

__all__ = ["NORM", "PREPROCESSING", "VARIANCE", "preprocessor", "standardized"]

PREPROCESSING = ("none", "standardize", "gcn", "zca")

# Euclidean norm of each image after contrast normalization. The 3,072 values of a 32x32 image then
# have a standard deviation of about 1.
NORM = 55.0
VARIANCE = 0.1  # added to the variance of each direction, so that whitening does not amplify noise

BLOCK = 5000  # images processed at once when the whitening is fitted


def standardized(images: np.ndarray) -> np.ndarray:
    """What each of the 256 grey levels becomes if these images are to have mean 0 and variance 1.

    Parameters
    ----------
    images : numpy.ndarray, uint8

    Returns
    -------
    numpy.ndarray, (256,), float32
    """
    counts, levels = np.bincount(images.ravel(), minlength=256), np.arange(256)
    mean = np.average(levels, weights=counts)
    deviation = np.sqrt(np.average((levels - mean) ** 2, weights=counts))
    return ((levels - mean) / (deviation or 1)).astype(np.float32)


def preprocessor(name: str,
                 images: np.ndarray) -> Optional[Callable[[nd.NDArray], nd.NDArray]]:
    """Function that preprocesses a batch of images; None if there is nothing to do.

    Parameters
    ----------
    name : {"none", "standardize", "gcn", "zca"}
        ``gcn`` subtracts each image's mean over pixels and channels, then scales the image to the
        Euclidean norm `NORM`. (An image of one colour becomes zeros.) ``zca`` does the same, then
        decorrelates the values: x -> (x - m) E (D + VARIANCE)^-1/2 E', where m is the mean and
        E D E' the covariance of the training images. ``standardize`` only gives the 256 grey
        levels other values, so it needs no function; see `standardized`.
    images : numpy.ndarray, (n, height, width, channels), uint8
        The training images. The whitening is fitted to them.

    Returns
    -------
    callable or None
        NDArray (batch, height, width, channels) uint8 -> the same shape, float32, same device.

    Raises
    ------
    InputError
        The name is unknown.
    """
    if name not in PREPROCESSING:
        raise InputError(f"preprocess is {name!r}; use {', '.join(PREPROCESSING[:-1])} or zca.")
    if name in ("none", "standardize"):
        return None
    if name == "gcn":
        return contrast_normalize
    fitted = fit_whitening(images)

    @functools.lru_cache(maxsize=None)
    def on(ctx: mx.Context) -> List[nd.NDArray]:
        return [nd.array(array, ctx=ctx) for array in fitted]

    def whiten(batch: nd.NDArray) -> nd.NDArray:
        mean, matrix = on(batch.context)
        values = contrast_normalize(batch).reshape((len(batch), -1))
        return nd.dot(values - mean, matrix).reshape(batch.shape)

    return whiten


def contrast_normalize(batch: nd.NDArray) -> nd.NDArray:
    """Global contrast normalization: (batch, ...) of any type -> the same shape, float32."""
    values = batch.astype("float32").reshape((len(batch), -1))
    values = values - values.mean(axis=1, keepdims=True)
    norm = values.norm(axis=1, keepdims=True)
    return (values * (NORM / (norm + (norm == 0)))).reshape(batch.shape)


def fit_whitening(images: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Mean (1, values) and matrix (values, values), float32, that whiten these images.

    It needs memory for `BLOCK` images and a few matrices, however many images there are.
    """
    values = int(np.prod(images.shape[1:]))
    total, products = np.zeros(values), np.zeros((values, values))
    for start in range(0, len(images), BLOCK):
        block = contrast_normalize(nd.array(images[start : start + BLOCK], dtype="uint8")).asnumpy()
        block = block.reshape((-1, values))
        total += block.sum(axis=0, dtype=np.float64)
        products += block.T @ block
    mean = total / len(images)
    covariance = products / len(images) - np.outer(mean, mean)
    variances, directions = np.linalg.eigh(covariance)
    scales = 1 / np.sqrt(np.maximum(variances, 0) + VARIANCE)
    return (mean[np.newaxis].astype(np.float32),
            ((directions * scales) @ directions.T).astype(np.float32))
