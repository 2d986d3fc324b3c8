"""``transforms.Resize``, to the bit, on a device that has no OpenCV.

On the CPU, Gluon's Resize is OpenCV's bilinear resize of 8-bit images. That computes with integers;
weights are multiples of 1/2048, and the vertical pass drops bits twice before it rounds. The same
operator on a GPU interpolates in floating point and differs by a grey level here and there. Here
are OpenCV's integers as NDArray operations, which give the CPU's pixels on every device.

Source: the behaviour of OpenCV's ``resize`` (INTER_LINEAR, 8 bits) as bundled with MXNet 1.9.1.
"""

import numpy as np
from mxnet import nd

__all__ = ["BilinearResize"]

ONE = 2048  # a weight of 1


class BilinearResize:
    """Resizes images of one size to another.

    Parameters
    ----------
    old, new : (int, int)
        (height, width) in pixels.
    ctx : mxnet.Context
        The device of the images.
    """

    def __init__(self, old, new, ctx):
        above, below, weight_above, weight_below = positions(old[0], new[0])
        # Above the first and below the last row OpenCV takes the edge twice and keeps the weights;
        # left of the first and right of the last column it takes the edge once. Both are the edge's
        # value, but for the bits that two products drop instead of one.
        self.rows = [nd.array(row.clip(0, old[0] - 1), ctx, "int32") for row in (above, below)]
        self.row_weights = [nd.array(w.reshape(1, -1, 1, 1), ctx, "int32")
                            for w in (weight_above, weight_below)]
        left, right, weight_left, weight_right = positions(old[1], new[1])
        outside = (left < 0) | (right >= old[1])
        weight_left[outside], weight_right[outside] = ONE, 0
        self.columns = [nd.array(column.clip(0, old[1] - 1), ctx, "int32")
                        for column in (left, right)]
        self.column_weights = [nd.array(w.reshape(1, 1, -1, 1), ctx, "int32")
                               for w in (weight_left, weight_right)]

    def __call__(self, images):
        """(batch, height, width, channels) uint8 -> (batch, new height, new width, channels)."""
        images = images.astype("int32")
        left, right = (nd.take(images, column, axis=2) * weight
                       for column, weight in zip(self.columns, self.column_weights))
        wide = (left + right) / 16  # of int32 NDArrays, a division that rounds down
        above, below = (nd.take(wide, row, axis=1) * weight / 65536
                        for row, weight in zip(self.rows, self.row_weights))
        return ((above + below + 2) / 4).astype("uint8")


def positions(old, new):
    """Along one axis: the two old pixels that a new pixel lies between, and their weights.

    Returns
    -------
    first, second : numpy.ndarray, (new,), int
        From -1 to `old`: outside of the image at its edges.
    first_weight, second_weight : numpy.ndarray, (new,), int
        In units of 1/2048.
    """
    # OpenCV's order of operations and types, for they decide the rounding.
    centre = ((np.arange(new) + 0.5) * (1 / (new / old)) - 0.5).astype(np.float32)
    first = np.floor(centre)
    fraction = centre - first
    weights = [np.rint(w * np.float32(ONE)).astype(int) for w in (1 - fraction, fraction)]
    first = first.astype(int)
    return (first, first + 1, *weights)
