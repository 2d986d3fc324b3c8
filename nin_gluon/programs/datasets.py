"""Gluon's data set classes take the official files and look where nin_gluon looks.

As MXNet 1.9.1 has them, they take nothing but Gluon's own compressed copies and otherwise ask a
server for those.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, Optional

from nin_gluon.data.folders import mxnet_folder
from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.load import load_arrays
from nin_gluon.data.sets import CIFAR10, FASHION_MNIST, GLUON, read_fashion_mnist

__all__ = ["MNIST", "take_official_files"]

# Checksums, in this order: MD5 as published by LeCun, SHA-1 of Gluon's re-compressed copy as
# mxnet.gluon.data.vision.MNIST states it, MD5 of the uncompressed content.
MNIST = ImageSet(
    name="mnist",
    title="MNIST",
    classes=tuple("0123456789"),
    splits={
        "train": (
            DataFile("train-images-idx3-ubyte.gz", (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "6c95f4b05d2bf285e1bfb0e7960c31bd3b3f8a7d",
                "6bbc9ace898e44ae57da46a324031adb"), 47040016),
            DataFile("train-labels-idx1-ubyte.gz", (
                "d53e105ee54ea40749a09fcbcd1e9432",
                "2a80914081dc54586dbdf242f9805a6b8d2a15fc",
                "a25bea736e30d166cdddb491f175f624"), 60008),
        ),
        "test": (
            DataFile("t10k-images-idx3-ubyte.gz", (
                "9fb629c4189551a2d022fa330f9573f3",
                "c3a25af1f52dad7f726cce8cacb138654b760d48",
                "2646ac647ad5339dbf082846283269ea"), 7840016),
            DataFile("t10k-labels-idx1-ubyte.gz", (
                "ec29112dd5afa0611ce80d1b7f02629c",
                "763e7fa3757d93b0cdec073cef058b2004252c17",
                "27ae3e4e09519cfbb04c329615203637"), 10008),
        ),
    },
    read=read_fashion_mnist,  # Fashion-MNIST has MNIST's form
    sources=(f"{GLUON}/gluon/dataset/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
)

# Gluon's name for a set -> the set.
SETS = {image_set.name: image_set for image_set in (MNIST, FASHION_MNIST, CIFAR10)}


def take_official_files(datasets: ModuleType, images: Optional[int] = None) -> None:
    """Let the classes MNIST, FashionMNIST and CIFAR10 read what nin_gluon finds or downloads.

    Parameters
    ----------
    datasets : module
        ``mxnet.gluon.data.vision.datasets``.
    images : int, optional
        Keep only the first so many training and as many test images.
    """
    for gluon_class in (datasets.MNIST, datasets.CIFAR10):  # the others inherit from these
        replace_get_data(gluon_class, images)


def replace_get_data(gluon_class: Any, images: Optional[int]) -> None:
    """Replace the method that fills ``_data`` and ``_label``."""
    theirs = gluon_class._get_data

    def _get_data(self: Any) -> None:
        image_set = SETS.get(self._namespace)
        if image_set is None:  # CIFAR100, or a class of the user's own
            theirs(self)
            if images:
                self._data, self._label = self._data[:images], self._label[:images]
            return
        split = "train" if self._train else "test"
        data, label = load_arrays(image_set, split, named_folder(self._root, image_set))
        fill(self, data[:images], label[:images].astype("int32"))

    gluon_class._get_data = _get_data


def named_folder(root: str, image_set: ImageSet) -> Optional[str]:
    """The root, if the program chose one; None for MXNet's own folder, where we look anyway."""
    usual = (mxnet_folder(image_set), Path("~/.mxnet/datasets", image_set.name).expanduser())
    return None if Path(root) in usual else root


def fill(dataset: Any, data: Any, label: Any) -> None:
    """Set the images and labels of a Gluon data set, as its own class does."""
    import mxnet as mx

    numpy_like = mx.util.is_np_array()
    array = mx.np.array if numpy_like else mx.nd.array
    dataset._data = array(data, dtype=data.dtype)
    dataset._label = array(label, dtype=label.dtype) if numpy_like else label
