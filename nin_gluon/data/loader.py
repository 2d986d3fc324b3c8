"""From images in memory to the batches that the training loop takes."""

from typing import Callable, Iterator, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd

from nin_gluon.data.augment import augmenter
from nin_gluon.data.resize import check_interpolation, resizer
from nin_gluon.errors import InputError

__all__ = ["BatchLoader"]

Batch = Tuple[nd.NDArray, nd.NDArray]


class BatchLoader:
    """Iterates over batches (X, y); each pass over a shuffled set has its own order.

    From the same state of NumPy's global random numbers, it gives the same batches, bit for bit, as
    Gluon's DataLoader with the transforms ``Resize`` and ``ToTensor``.

    The images stay on the device as one byte a pixel. Each batch is gathered, resized and scaled
    there, without worker processes; only the order comes from the host. If a GPU is short of
    memory for the images, they stay on the host, which makes the batches ahead of the device.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : sequence or numpy.ndarray, (n,), integers
    batch_size : int
        The last batch holds the remaining images, as in Gluon.
    resize : int or (int, int), optional
        New edge length, or (width, height), in pixels.
    shuffle : bool
    ctx : mxnet.Context, optional
        Where the batches go; the CPU by default.
    part : (int, int), optional
        (rank, workers): give only this worker's part of every batch. The parts are as even as
        possible, follow one another, and together make the batch.
    augment : {"none", "mirror", "shift-mirror"}
        How images are changed at random, anew each time, before they are resized; see
        `nin_gluon.data.augment`.
    levels : numpy.ndarray, (256,), float32, optional
        What each byte becomes; by default the byte over 255.
    preprocess : callable, optional
        Turns a batch of bytes into float32 values, in place of `levels`; see
        `nin_gluon.data.preprocess`. Such images cannot be resized.
    interpolation : {"bilinear", "bicubic"}
        How images are resized: ``bilinear`` as Gluon's Resize does since MXNet 1.3, ``bicubic`` as
        it did before; see `nin_gluon.data.resize`.

    Yields
    ------
    X : NDArray, (batch, channels, height, width), float32
        In [0, 1], unless `levels` or `preprocess` say otherwise.
    y : NDArray, (batch,), int32

    Raises
    ------
    InputError
        The augmentation or the interpolation is unknown, or preprocessed images would be resized.
    """

    def __init__(self, images: np.ndarray, labels: Union[Sequence[int], np.ndarray],
                 batch_size: int, resize: Union[None, int, Tuple[int, int]] = None,
                 shuffle: bool = False, ctx: Optional[mx.Context] = None,
                 part: Tuple[int, int] = (0, 1), augment: str = "none",
                 levels: Optional[np.ndarray] = None,
                 preprocess: Optional[Callable[[nd.NDArray], nd.NDArray]] = None,
                 interpolation: str = "bilinear") -> None:
        check_interpolation(interpolation)
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
        self.resize = resize and resizer((height, width), resize, home, interpolation)
        self.skip = 0  # batches to leave out of the next pass, when a run is resumed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = np.arange(len(self.labels))
        if self.shuffle:
            np.random.shuffle(order)
        first, self.skip = self.skip * self.batch_size, 0
        # `_batches` is a generator, so without this call the order would be drawn at the first
        # batch and not now.
        return self._batches(nd.array(order, ctx=self.images.context, dtype="int32"), first)

    def _batches(self, order: nd.NDArray, first: int) -> Iterator[Batch]:
        rank, workers = self.part
        for start in range(first, len(self.labels), self.batch_size):
            chosen = order[start : start + self.batch_size]
            chosen = chosen[rank * len(chosen) // workers : (rank + 1) * len(chosen) // workers]
            X, y = self._transform(nd.take(self.images, chosen)), nd.take(self.labels, chosen)
            yield X.as_in_context(self.ctx), y.as_in_context(self.ctx)

    def _transform(self, X: nd.NDArray) -> nd.NDArray:
        """(batch, height, width, channels) uint8 -> (batch, channels, ...) float32."""
        if self.preprocess:
            X = self.preprocess(X)
        if self.augment:
            X = self.augment(X)
        if self.resize:
            X = self.resize(X)
        # From here on this is what ToTensor does. With one channel no value has to move. Looking up
        # what a byte becomes takes a third of the time that converting and dividing takes.
        batch, height, width, channels = X.shape
        if channels == 1:
            X = X.reshape((batch, 1, height, width))
        else:
            X = X.transpose((0, 3, 1, 2))
        return X if self.preprocess else nd.take(self.levels, X)


def fits(size: int, ctx: mx.Context) -> bool:
    """Whether the device's memory has room for twice `size` bytes: images, and the work on them."""
    if ctx.device_type != "gpu":
        return True
    free, _ = mx.context.gpu_memory_info(ctx.device_id)
    return 2 * size < free
