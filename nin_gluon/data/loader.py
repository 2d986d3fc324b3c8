"""From images in memory to the batches the loop takes."""

import mxnet as mx
import numpy as np
from mxnet import nd

__all__ = ["BatchLoader"]


class BatchLoader:
    """Iterates over batches (X, y); each pass over a shuffled set has an order of its own.

    Gives, bit for bit and batch for batch, what Gluon's DataLoader gives with the transforms
    ``Resize`` and ``ToTensor`` from the same state of NumPy's global random numbers, which
    decide the order there and here. It resizes a batch at a time with the operator behind
    ``Resize`` and needs no worker processes.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : numpy.ndarray, (n,), integers
    batch_size : int
        The last batch is what is left, as in Gluon.
    resize : int or (int, int), optional
        New edge length, or (width, height), in pixels.
    shuffle : bool
    ctx : mxnet.Context, optional
        Where the batches are to be; the CPU by default.
    part : (int, int), optional
        (rank, workers): of every batch give only the part of this worker. The parts are as even
        as can be, follow one another, and together are the batch.

    Yields
    ------
    X : NDArray, (batch, channels, height, width), float32 in [0, 1]
    y : NDArray, (batch,), int32
    """

    def __init__(self, images, labels, batch_size, resize=None, shuffle=False, ctx=None,
                 part=(0, 1)):
        self.images = nd.array(images, ctx=mx.cpu(), dtype="uint8")
        self.labels = nd.array(labels, ctx=mx.cpu(), dtype="int32")
        self.batch_size, self.resize, self.shuffle = batch_size, resize, shuffle
        self.ctx, self.part = ctx or mx.cpu(), part
        self.skip = 0  # batches to leave out of the next pass, for a run that is resumed

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self):
        order = np.arange(len(self.labels))
        if self.shuffle:
            np.random.shuffle(order)
        first, self.skip = self.skip * self.batch_size, 0
        # A generator of its own, so that the order is drawn now and not at the first batch.
        return self._batches(nd.array(order, ctx=mx.cpu(), dtype="int32"), first)

    def _batches(self, order, first):
        for start in range(first, len(self.labels), self.batch_size):
            chosen = order[start : start + self.batch_size]
            rank, workers = self.part
            chosen = chosen[rank * len(chosen) // workers : (rank + 1) * len(chosen) // workers]
            X, y = nd.take(self.images, chosen), nd.take(self.labels, chosen)
            if self.resize:
                X = nd.image.resize(X, size=self.resize)
            # What ToTensor does, at half of its cost: (batch, height, width, channels) uint8 to
            # (batch, channels, height, width) float32. With one channel no value moves.
            batch, height, width, channels = X.shape
            if channels == 1:
                X = X.reshape((batch, 1, height, width))
            else:
                X = X.transpose((0, 3, 1, 2))
            X = X.astype("float32") / 255
            yield X.as_in_context(self.ctx), y.as_in_context(self.ctx)
