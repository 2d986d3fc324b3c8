"""Images that lie on the device, and the batches made of them there."""

import numpy as np
import torch

from nin_gluon.data.sets import load_image_set

__all__ = ["BatchLoader", "Resize", "load_data", "load_data_fashion_mnist"]


class Resize:
    """Bilinear resizing of uint8 images, bit for bit as Pillow (and so torchvision) does it.

    Pillow resizes the rows, rounds to whole grey levels, then does the same to the columns, with
    weights that are whole multiples of 2**-22. Each of the two is one matrix product here, exact
    in float64, which has 53 bits where the sums take 30.

    Parameters
    ----------
    size_in, size_out : (int, int)
        Height and width in pixels.
    device : torch.device
    """

    def __init__(self, size_in, size_out, device="cpu"):
        self.rows, self.columns = (torch.tensor(pillow_weights(*sizes), device=device)
                                   for sizes in zip(size_in, size_out))

    def __call__(self, X):
        """(..., height, width) uint8 -> (..., height', width') float64: whole grey levels."""
        X = (X.double() @ self.columns.T).add_(0.5).floor_()
        return (self.rows @ X).add_(0.5).floor_()


def pillow_weights(size_in, size_out):
    """Pillow's bilinear weights along one axis: (size_out, size_in) float64, rows sum to about 1.

    Each output pixel is a mean around the place where its centre lies in the input, weighted by a
    triangle: one pixel wide to either side where the image grows, and as wide as an output pixel
    where it shrinks.
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

    The images go to the device once, as they are. There each batch is picked, resized and scaled
    to [0, 1], as torchvision's ``Resize`` and ``ToTensor`` do it; the host waits for none of that.

    Parameters
    ----------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : numpy.ndarray, (n,), integers
    batch_size : int
        The last batch is what is left.
    resize : int, optional
        New edge length in pixels.
    shuffle : bool
        The order is drawn from PyTorch's global random numbers of the CPU.
    device : torch.device or str

    Yields
    ------
    X : Tensor, (batch, channels, height, width), float32 in [0, 1], channels last in memory
    y : Tensor, (batch,), int64
    """

    def __init__(self, images, labels, batch_size, resize=None, shuffle=False, device="cpu"):
        self.images = torch.tensor(images).permute(0, 3, 1, 2).contiguous().to(device)
        self.labels = torch.tensor(labels).long().to(device)
        self.batch_size, self.shuffle = batch_size, shuffle
        size = tuple(self.images.shape[2:])
        self.size = (resize, resize) if resize else size
        self.transform = Resize(size, self.size, device) if self.size != size else None

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    @property
    def shapes(self):
        """The shapes that X has in the course of a pass: of a whole batch, and of the last one."""
        n, channels = self.images.shape[:2]
        sizes = {min(n, self.batch_size), n % self.batch_size or self.batch_size}
        return [(size, channels, *self.size) for size in sorted(sizes, reverse=True)]

    def __iter__(self):
        n = len(self.labels)
        order = torch.randperm(n) if self.shuffle else torch.arange(n)
        # A generator of its own, so that the order is drawn now and not at the first batch.
        return self._batches(order.to(self.labels.device))

    def _batches(self, order):
        for chosen in order.split(self.batch_size):
            X, y = self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
            X = self.transform(X) if self.transform else X
            # Channels last is the layout that the convolutions of cuDNN and oneDNN prefer. With one
            # channel both layouts are the same in memory, and only the strides tell which is meant.
            yield X.to(torch.float32, memory_format=torch.channels_last).div_(255), y


def load_data_fashion_mnist(batch_size, resize=None, root=None, device="cpu"):
    """Fashion-MNIST as a training and a test iterator, under the name of d2l's function.

    Parameters
    ----------
    batch_size : int
    resize : int, optional
        Edge length in pixels that the 28x28 images are resized to.
    root : str or Path, optional
        Folder with the four files; see `nin_gluon.load_data_fashion_mnist`.
    device : torch.device or str
        Where the images lie and the batches are made.

    Returns
    -------
    train_iter, test_iter : BatchLoader

    Raises
    ------
    InputError
        A file is damaged, foreign, or missing and not to be downloaded.
    """
    return load_data("fashion-mnist", batch_size, resize, root, device)


def load_data(name, batch_size, resize=None, root=None, device="cpu", limit=None):
    """A training and a test iterator over any known image set.

    As `load_data_fashion_mnist`; `limit` keeps only so many images, the first ones, of each of
    the two sets.
    """
    iterators = []
    for split in ("train", "test"):
        images, labels = load_image_set(name, split, root)
        iterators.append(BatchLoader(images[:limit], labels[:limit], batch_size, resize,
                                     shuffle=split == "train", device=device))
    return tuple(iterators)
