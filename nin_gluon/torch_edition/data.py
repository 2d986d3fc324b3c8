"""Images that stay on the device, and the batches that are made of them there."""

from pathlib import Path
from typing import Iterable, Iterator, Optional, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from nin_gluon.data.sets import load_image_set

__all__ = ["BatchLoader", "Resize", "load_data", "load_data_fashion_mnist"]

Device = Union[str, torch.device]
Root = Union[None, str, Path]


class Resize:
    """Bilinear resizing of uint8 images, bit for bit as Pillow (and so torchvision) does it.

    Pillow resizes the rows, rounds to whole grey levels, then does the same to the columns. Its
    weights are multiples of 2**-22. Here each of the two steps is one matrix product in float64,
    which is exact: the sums need 30 bits, and float64 has 53.

    Parameters
    ----------
    size_in, size_out : (int, int)
        Height and width in pixels.
    device : torch.device
    """

    def __init__(self, size_in: Tuple[int, ...], size_out: Tuple[int, ...],
                 device: Device = "cpu") -> None:
        self.rows, self.columns = (torch.tensor(pillow_weights(*sizes), device=device)
                                   for sizes in zip(size_in, size_out))

    def __call__(self, X: Tensor) -> Tensor:
        """(..., height, width) uint8 -> (..., height', width') float64: whole grey levels."""
        X = (X.double() @ self.columns.T).add_(0.5).floor_()
        return (self.rows @ X).add_(0.5).floor_()


def pillow_weights(size_in: int, size_out: int) -> np.ndarray:
    """Pillow's bilinear weights along one axis: (size_out, size_in) float64, rows sum to about 1.

    Each output pixel is a weighted mean around the position of its centre in the input. The weights
    form a triangle that reaches one input pixel to either side if the image grows, and the width of
    an output pixel if it shrinks.
    """
    scale = size_in / size_out
    reach = max(scale, 1.0)
    weights = np.zeros((size_out, size_in))
    for i in range(size_out):
        center = (i + 0.5) * scale
        first = max(0, int(center - reach + 0.5))
        taps = np.arange(first, min(size_in, int(center + reach + 0.5)))
        triangle = np.maximum(0, 1 - np.abs(taps + 0.5 - center) / reach)
        weights[i, taps] = np.floor(triangle / triangle.sum() * 2**22 + 0.5) / 2**22
    return weights


class BatchLoader:
    """Iterates over batches (X, y); each pass over a shuffled set has an order of its own.

    The images go to the device once, one byte a value. Each batch is picked, resized and scaled to
    [0, 1] there, as torchvision's ``Resize`` and ``ToTensor`` do it. The host waits for none of
    this.

    `nin_gluon.data.torch_loader` has another one because these differ: that edition's resizing is
    Pillow's, where Gluon's is OpenCV's, its order comes from PyTorch's random numbers, and the
    channels of its images come first.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : numpy.ndarray, (n,), integers
    batch_size : int
        The last batch holds the rest.
    resize : int, optional
        New edge length in pixels.
    shuffle : bool
        The order is drawn from PyTorch's global random numbers on the CPU.
    device : torch.device or str

    Attributes
    ----------
    skip : int
        Batches to leave out of the next pass, in a run that goes on in the middle of an epoch.
    order_state : Tensor or None
        PyTorch's random state on the CPU from before the order of the last pass was drawn. A pass
        that goes on has that order.

    Yields
    ------
    X : Tensor, (batch, channels, height, width), float32 in [0, 1], channels last in memory
    y : Tensor, (batch,), int64
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int,
                 resize: Optional[int] = None, shuffle: bool = False,
                 device: Device = "cpu") -> None:
        self.images = torch.tensor(images).permute(0, 3, 1, 2).contiguous().to(device)
        self.labels = torch.tensor(labels).long().to(device)
        self.batch_size, self.shuffle = batch_size, shuffle
        size = tuple(self.images.shape[2:])
        self.size = (resize, resize) if resize else size
        self.transform = Resize(size, self.size, device) if self.size != size else None
        self.skip = 0
        self.order_state: Optional[Tensor] = None

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[Tuple[Tensor, Tensor]]:
        chosen = self.order().to(self.labels.device).split(self.batch_size)[self.skip:]
        self.skip = 0
        # A separate generator, so that the order is drawn now and not at the first batch.
        return self._batches(chosen)

    def order(self) -> Tensor:
        """The order of a pass. That of one that goes on is drawn once more, leaving no trace."""
        n = len(self.labels)
        if not self.shuffle:
            return torch.arange(n)
        if self.skip and self.order_state is not None:
            with torch.random.fork_rng([]):
                torch.set_rng_state(self.order_state)
                return torch.randperm(n)
        self.order_state = torch.get_rng_state()
        return torch.randperm(n)

    def _batches(self, indices: Iterable[Tensor]) -> Iterator[Tuple[Tensor, Tensor]]:
        for chosen in indices:
            X, y = self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
            X = self.transform(X) if self.transform else X
            # The convolutions of cuDNN and oneDNN prefer channels last. With one channel both
            # layouts are the same in memory, and only the strides tell which one is meant.
            yield X.to(torch.float32, memory_format=torch.channels_last).div_(255), y


def load_data_fashion_mnist(batch_size: int, resize: Optional[int] = None, root: Root = None,
                            device: Device = "cpu") -> Tuple[BatchLoader, BatchLoader]:
    """Fashion-MNIST as a training and a test iterator, under the name of d2l's function.

    Parameters
    ----------
    batch_size : int
    resize : int, optional
        Edge length in pixels that the 28x28 images are resized to.
    root : str or Path, optional
        Folder with the four files; see `nin_gluon.load_data_fashion_mnist`.
    device : torch.device or str
        Where the images stay and the batches are made.

    Returns
    -------
    train_iter, test_iter : BatchLoader

    Raises
    ------
    InputError
        A file is damaged, foreign, or missing and cannot be downloaded.
    """
    return load_data("fashion-mnist", batch_size, resize, root, device)


def load_data(name: str, batch_size: int, resize: Optional[int] = None, root: Root = None,
              device: Device = "cpu", limit: Optional[int] = None,
              ) -> Tuple[BatchLoader, BatchLoader]:
    """A training and a test iterator over any known image set.

    As `load_data_fashion_mnist`. `limit` keeps only the first so many images of each of the two
    sets.
    """

    def loader(split: str) -> BatchLoader:
        images, labels = load_image_set(name, split, root)
        return BatchLoader(images[:limit], labels[:limit], batch_size, resize,
                           shuffle=split == "train", device=device)

    return loader("train"), loader("test")
