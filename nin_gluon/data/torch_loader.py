"""From images in memory to the batches of the PyTorch engine.

The batches are those of `nin_gluon.data.loader`, in the same order for the same state of NumPy's
random numbers. Only what augmentation draws comes from PyTorch and differs.
"""

from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from nin_gluon import data
from nin_gluon.data.resize_weights import check_interpolation
from nin_gluon.data.torch_preprocess import augmenter, preprocessor
from nin_gluon.data.torch_resize import resizer
from nin_gluon.data.whitening import standardized
from nin_gluon.errors import InputError

__all__ = ["BatchLoader", "load_data"]

Batch = Tuple[Tensor, Tensor]


class BatchLoader:
    """Iterates over batches (X, y); each pass over a shuffled set has its own order.

    The images stay on the device as one byte a pixel. Each batch is gathered, augmented, resized
    and scaled there; only the order comes from the host. If a GPU is short of memory for the
    images, they stay on the host, which makes the batches. With `hand_over` the bytes are given as
    they are, for a step that does the rest.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : numpy.ndarray, (n,), integers
    batch_size : int
        The last batch holds the remaining images.
    resize : int, optional
        New edge length in pixels.
    shuffle : bool
    device : torch.device, optional
        Where the batches go; the CPU by default.
    part : (int, int), optional
        (rank, workers): give only this worker's part of every batch.
    augment, interpolation : str
        As in `nin_gluon.data.loader.BatchLoader`.
    levels : numpy.ndarray, (256,), float32, optional
        What each byte becomes; by default the byte over 255.
    preprocess : callable, optional
        Turns a batch of bytes into float32 values, in place of `levels`; see
        `nin_gluon.data.torch_preprocess`. Such images cannot be resized.

    Attributes
    ----------
    images : Tensor, (n, height, width, channels), uint8
    labels : Tensor, (n,), int64
    skip : int
        Batches to leave out of the next pass, when a run is resumed.

    Yields
    ------
    X : Tensor, (batch, channels, height, width), float32, channels last in memory
    y : Tensor, (batch,), int64

    Raises
    ------
    InputError
        The augmentation or the interpolation is unknown, or preprocessed images would be resized.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int,
                 resize: Optional[int] = None, shuffle: bool = False,
                 device: Optional[torch.device] = None, part: Tuple[int, int] = (0, 1),
                 augment: str = "none", levels: Optional[np.ndarray] = None,
                 preprocess: Optional[Callable[[Tensor], Tensor]] = None,
                 interpolation: str = "bilinear") -> None:
        self.device = device or torch.device("cpu")
        home = self.device if fits(images.nbytes, self.device) else torch.device("cpu")
        self.images = torch.tensor(images, device=home)
        self.labels = torch.tensor(np.asarray(labels, np.int64), device=home)
        self.levels = None if levels is None else torch.tensor(levels, device=home)
        self.batch_size, self.shuffle, self.part = batch_size, shuffle, part
        self.augment, self.preprocess = augmenter(augment), preprocess
        height, width = images.shape[1:3]
        if resize == (height if height == width else None):
            resize = None
        if preprocess and resize:
            raise InputError(f"preprocessed images keep their size of {height}x{width} pixels; "
                             "leave out --resize, or give --preprocess none.")
        check_interpolation(interpolation)
        self.resize = resize and resizer((height, width), (resize, resize), home, interpolation)
        self.skip = 0
        self.give: Callable[[Tensor], Tensor] = self.transform

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = np.arange(len(self.labels))
        if self.shuffle:
            np.random.shuffle(order)
        first, self.skip = self.skip * self.batch_size, 0
        # `_batches` is a generator, so without this call the order would be drawn at the first
        # batch and not now.
        return self._batches(torch.from_numpy(order).to(self.images.device), first)

    def _batches(self, order: Tensor, first: int) -> Iterator[Batch]:
        rank, workers = self.part
        for start in range(first, len(self.labels), self.batch_size):
            chosen = order[start : start + self.batch_size]
            chosen = chosen[rank * len(chosen) // workers : (rank + 1) * len(chosen) // workers]
            X = self.give(self.images.index_select(0, chosen))
            yield X.to(self.device), self.labels.index_select(0, chosen).to(self.device)

    def hand_over(self) -> Callable[[Tensor], Tensor]:
        """From now on give bytes; return what turns them into images: `transform`, for the device.

        If the images are not on the device, nothing changes.
        """
        if self.images.device.type != self.device.type:
            return lambda X: X
        self.transform(self.images[:1])  # what it makes on the device at first, it makes now
        self.give = lambda X: X
        return self.transform

    def transform(self, X: Tensor) -> Tensor:
        """(batch, height, width, channels) uint8 -> (batch, channels, ...) float32."""
        if self.preprocess:
            X = self.preprocess(X)
        if self.augment:
            X = self.augment(X)
        if self.resize:
            X = self.resize(X)
        if self.levels is not None:
            X = self.levels.index_select(0, X.reshape(-1).int()).view(X.shape)
        elif not self.preprocess:
            X = X.float().div_(255)
        return X.permute(0, 3, 1, 2)  # the channels stay last in memory


def fits(size: int, device: torch.device) -> bool:
    """Whether the device's memory has room for twice `size` bytes: images, and the work on them."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * size < free


def load_data(name: str, batch_size: int, resize: Optional[int] = None, *,
              root: Union[None, str, Path] = None, device: Optional[torch.device] = None,
              limit: Optional[int] = None, part: Tuple[int, int] = (0, 1), augment: str = "none",
              preprocess: str = "none", validation: Optional[int] = None,
              interpolation: str = "bilinear") -> Tuple[BatchLoader, BatchLoader]:
    """A training and a test iterator over any known image set; see `nin_gluon.data.load_data`."""
    images, labels, test_images, test_labels = data.select_images(name, root, limit, validation)
    shared: Dict[str, Any] = {
        "device": device, "part": part, "interpolation": interpolation,
        "levels": standardized(images) if preprocess == "standardize" else None,
        "preprocess": preprocessor(preprocess, images)}
    return (BatchLoader(images, labels, batch_size, resize, shuffle=True, augment=augment,
                        **shared),
            BatchLoader(test_images, test_labels, batch_size, resize, **shared))
