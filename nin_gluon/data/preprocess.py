"""Preprocessing: what the paper does to CIFAR-10, and standardization.

Lin, Chen and Yan, "Network In Network" (2013), section 4.2, preprocess as Goodfellow et al.,
"Maxout Networks" (2013), do: global contrast normalization and ZCA whitening. The constants are
those of the maxout paper's published code, in pylearn2.
"""

import functools
from typing import Callable, List, Optional

import mxnet as mx
import numpy as np
from mxnet import nd

from nin_gluon.data.whitening import NORM, check_preprocess, fit_whitening

__all__ = ["preprocessor"]


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
        levels other values, so it needs no function; see `nin_gluon.data.whitening.standardized`.
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
    check_preprocess(name)
    if name in ("none", "standardize"):
        return None
    if name == "gcn":
        return contrast_normalize
    fitted = fit_whitening(images, normalized)

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


def normalized(images: np.ndarray) -> np.ndarray:
    """`contrast_normalize` of NumPy arrays."""
    return contrast_normalize(nd.array(images, dtype="uint8")).asnumpy()
