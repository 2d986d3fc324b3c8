"""Changing training images at random: translations and reflections, as in the paper.

Lin, Chen and Yan, "Network In Network" (2013), section 4.2, translate and flip CIFAR-10 but do not
say how far. Here it is up to 4 pixels, as has become usual (He et al., "Deep Residual Learning for
Image Recognition", 2015, section 4.2).
"""

from typing import Callable, Optional

from mxnet import nd

from nin_gluon.data.shifts import most_shift

__all__ = ["augmenter"]


def augmenter(name: str) -> Optional[Callable[[nd.NDArray], nd.NDArray]]:
    """Function that changes a batch of images at random, anew each time; None for ``none``.

    Parameters
    ----------
    name : {"none", "mirror", "shift-mirror"}

    Raises
    ------
    InputError
        The name is unknown.
    """
    most = most_shift(name)
    return None if most is None else lambda images: shift_and_mirror(images, most)


def shift_and_mirror(images: nd.NDArray, most: int) -> nd.NDArray:
    """Mirror each image left to right with probability 1/2, then shift it; zeros fill the gap.

    The random numbers come from `mx.random` on the images' device. Nothing is interpolated: every
    value of the result is one of the image's, or 0.

    Parameters
    ----------
    images : NDArray, (batch, height, width, channels), of any type
    most : int
        In pixels, less than height and width. Each image moves down, and to the right, by a whole
        number of pixels from -most to most, all equally likely.
    """
    batch, height, width, channels = images.shape
    where = {"dtype": "int32", "ctx": images.context}
    mirrored = nd.random.randint(0, 2, (batch, 1, 1), **where)
    down, right = nd.random.randint(-most, most + 1, (2, batch, 1, 1), **where)
    # The row and column that each pixel's value comes from.
    row = nd.arange(height, **where).reshape((1, -1, 1)) - down
    column = nd.arange(width, **where).reshape((1, 1, -1)) - right
    inside = (row >= 0) * (row < height) * ((column >= 0) * (column < width))
    column = column + mirrored * (width - 1 - 2 * column)
    image = nd.arange(batch, **where).reshape((-1, 1, 1))
    pixel = (image * height + row) * width + column
    # A pixel of zeros before all others stands for what comes from outside.
    pixels = images.reshape((-1, channels))
    pixels = nd.concat(nd.zeros_like(pixels[:1]), pixels, dim=0)
    return nd.take(pixels, inside * (pixel + 1))
