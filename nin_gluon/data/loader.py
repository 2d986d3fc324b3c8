"""From images in memory to the batches the loop takes."""

import mxnet as mx
import numpy as np
from mxnet import nd

from nin_gluon.data.augment import augmenter
from nin_gluon.data.resize import BilinearResize
from nin_gluon.errors import InputError

__all__ = ["BatchLoader"]


class BatchLoader:
    """Iterates over batches (X, y); each pass over a shuffled set has an order of its own.

    Gives, bit for bit and batch for batch, what Gluon's DataLoader gives with the transforms
    ``Resize`` and ``ToTensor`` from the same state of NumPy's global random numbers, which
    decide the order there and here. The images stay on the device as they are in the files, one
    byte a pixel, and a batch is gathered, resized and scaled there: no worker processes, and
    nothing but the order crosses over. On a GPU that is short of memory for them they stay on the
    host, where batches are made ahead of the device that takes them.

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
    augment : {"none", "mirror", "shift-mirror"}
        How images are distorted at random, anew each time, before they are resized; see
        `nin_gluon.data.augment`.
    levels : numpy.ndarray, (256,), float32, optional
        What each byte becomes; by default the byte over 255.
    preprocess : callable, optional
        What makes float32 values of the bytes of a batch, in place of `levels`; see
        `nin_gluon.data.preprocess`. Images are then not resized.

    Yields
    ------
    X : NDArray, (batch, channels, height, width), float32, in [0, 1] unless told otherwise
    y : NDArray, (batch,), int32
    """

    def __init__(self, images, labels, batch_size, resize=None, shuffle=False, ctx=None,
                 part=(0, 1), augment="none", levels=None, preprocess=None):
        self.ctx, self.part, self.augment = ctx or mx.cpu(), part, augmenter(augment)
        home = self.ctx if fits(images.nbytes, self.ctx) else mx.cpu()
        self.images = nd.array(images, ctx=home, dtype="uint8")
        self.labels = nd.array(labels, ctx=home, dtype="int32")
        self.levels = nd.arange(256, ctx=home) / 255
        if levels is not None:
            self.levels[:] = nd.array(levels, ctx=home)
        self.batch_size, self.shuffle = batch_size, shuffle
        height, width = images.shape[1:3]
        if resize in (height if height == width else None, (width, height)):
            resize = None
        if preprocess and resize:
            raise InputError(f"preprocessed images keep their size of {height}x{width} pixels; "
                             "leave out --resize, or give --preprocess none.")
        self.preprocess = preprocess
        self.resize = resize and resizer((height, width), resize, home)
        self.skip = 0  # batches to leave out of the next pass, for a run that is resumed

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self):
        order = np.arange(len(self.labels))
        if self.shuffle:
            np.random.shuffle(order)
        first, self.skip = self.skip * self.batch_size, 0
        # A generator of its own, so that the order is drawn now and not at the first batch.
        return self._batches(nd.array(order, ctx=self.images.context, dtype="int32"), first)

    def _batches(self, order, first):
        for start in range(first, len(self.labels), self.batch_size):
            chosen = order[start : start + self.batch_size]
            rank, workers = self.part
            chosen = chosen[rank * len(chosen) // workers : (rank + 1) * len(chosen) // workers]
            X, y = nd.take(self.images, chosen), nd.take(self.labels, chosen)
            if self.preprocess:
                X = self.preprocess(X)
            if self.augment:
                X = self.augment(X)
            if self.resize:
                X = self.resize(X)
            # What ToTensor does: (batch, height, width, channels) uint8 to (batch, channels,
            # height, width) float32. With one channel no value moves; and looking up what a byte
            # becomes takes a third of the time that converting and dividing does.
            batch, height, width, channels = X.shape
            if channels == 1:
                X = X.reshape((batch, 1, height, width))
            else:
                X = X.transpose((0, 3, 1, 2))
            if not self.preprocess:
                X = nd.take(self.levels, X)
            yield X.as_in_context(self.ctx), y.as_in_context(self.ctx)


def fits(size, ctx):
    """Whether so many bytes of images, and as many again, have room in the device's memory."""
    if ctx.device_type != "gpu":
        return True
    free, _ = mx.context.gpu_memory_info(ctx.device_id)
    return 2 * size < free


def resizer(old, new, ctx):
    """Function from uint8 images (batch, height, width, channels) on `ctx` to the new size.

    Parameters
    ----------
    old : (int, int)
        (height, width).
    new : int or (int, int)
        Edge length, or (width, height), as Gluon's Resize has it.
    ctx : mxnet.Context
    """
    width, height = (new, new) if isinstance(new, int) else new
    if ctx.device_type == "cpu":  # where Gluon's operator is OpenCV
        return lambda images: nd.image.resize(images, size=(width, height))
    return BilinearResize(old, (height, width), ctx)
