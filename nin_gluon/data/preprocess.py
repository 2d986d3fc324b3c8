"""Preprocessing: the paper's of CIFAR-10, and subtracting the mean.

Lin, Chen and Yan, "Network In Network" (2013), section 4.2, preprocess as Goodfellow et al.,
"Maxout Networks" (2013), do: global contrast normalization and ZCA whitening. The constants are
those published with the latter, in pylearn2.
"""

import functools

import numpy as np
from mxnet import nd

from nin_gluon.errors import InputError

__all__ = ["NORM", "PREPROCESSING", "VARIANCE", "preprocessor", "standardized"]

PREPROCESSING = ("none", "standardize", "gcn", "zca")

NORM = 55.0  # of each image after contrast normalization; the 3,072 values then vary by about 1
VARIANCE = 0.1  # added to that of each direction, so that whitening does not blow up noise

BLOCK = 5000  # images that are taken at once to fit the whitening


def standardized(images):
    """What each of the 256 levels becomes when these images get mean 0 and variance 1.

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


def preprocessor(name, images):
    """Function from a batch of images to a preprocessed one; None if nothing is to be done.

    Parameters
    ----------
    name : {"none", "standardize", "gcn", "zca"}
        ``gcn``: from each image its mean, over pixels and channels, is subtracted, and what is left
        divided by its Euclidean norm over `NORM`. (An image of one colour becomes zeros.) ``zca``:
        besides, the values are decorrelated over the images: x -> (x - m) E (D + VARIANCE)^-1/2 E',
        where m and E D E' are mean and covariance of the training images. (``standardize`` needs
        no pass over the values: the levels mean something else, see `standardized`.)
    images : numpy.ndarray, (n, height, width, channels), uint8
        The training images, to which the whitening is fitted.

    Returns
    -------
    callable or None
        NDArray (batch, height, width, channels) uint8 -> the same as float32, on its device.

    Raises
    ------
    InputError
        The name is another.
    """
    if name not in PREPROCESSING:
        raise InputError(f"preprocess is {name!r}; use {', '.join(PREPROCESSING[:-1])} or zca.")
    if name in ("none", "standardize"):
        return None
    if name == "gcn":
        return contrast_normalize
    fitted = fit_whitening(images)

    @functools.lru_cache(maxsize=None)
    def on(ctx):
        return [nd.array(array, ctx=ctx) for array in fitted]

    def whiten(batch):
        mean, matrix = on(batch.context)
        values = contrast_normalize(batch).reshape((len(batch), -1))
        return nd.dot(values - mean, matrix).reshape(batch.shape)

    return whiten


def contrast_normalize(batch):
    """Global contrast normalization: (batch, ...) of any type -> the same as float32."""
    values = batch.astype("float32").reshape((len(batch), -1))
    values = values - values.mean(axis=1, keepdims=True)
    norm = values.norm(axis=1, keepdims=True)
    return (values * (NORM / (norm + (norm == 0)))).reshape(batch.shape)


def fit_whitening(images):
    """Mean (1, values) and matrix (values, values), float32, that whiten these images.

    Takes memory for `BLOCK` images and a few matrices, however many images there are.
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
