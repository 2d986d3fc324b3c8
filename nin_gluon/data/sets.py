"""The image sets, each a short description."""

import functools
import os
from pathlib import Path
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from nin_gluon.data.cifar_records import RECORD, read_records
from nin_gluon.data.folders import Root
from nin_gluon.data.idx import read_idx
from nin_gluon.data.image_set import Arrays, DataFile, ImageSet
from nin_gluon.data.load import is_at_hand, load_arrays
from nin_gluon.data.own_set import fingerprint
from nin_gluon.data.sample import draw_sample
from nin_gluon.errors import InputError

__all__ = ["ALIASES", "CIFAR10", "DATASETS", "FASHION_MNIST", "SHAPES", "Dataset",
           "get_fashion_mnist_labels", "has_image_set", "load_image_set", "own_data"]

# d2lzh's English names, in the order of the labels.
GARMENTS = ("t-shirt", "trouser", "pullover", "dress", "coat",
            "sandal", "shirt", "sneaker", "bag", "ankle boot")


def read_fashion_mnist(paths: Sequence[Path], split: str) -> Arrays:
    """Read one split: a file of images and a file of labels."""
    n = 60000 if split == "train" else 10000
    images = read_idx(paths[0], (n, 28, 28))
    labels = read_idx(paths[1], (n,), classes=10)
    return images[..., np.newaxis], labels


# Where Gluon keeps its copies; the variable is Gluon's own.
GLUON = os.environ.get(
    "MXNET_GLUON_REPO", "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/"
).rstrip("/")

# Checksums, in this order: MD5 as published by Zalando, SHA-1 of Gluon's re-compressed copy as
# mxnet.gluon.data.vision.FashionMNIST states it, MD5 of the uncompressed content. Then the bytes of
# that content.
FASHION_MNIST = ImageSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    classes=GARMENTS,
    splits={
        "train": (
            DataFile("train-images-idx3-ubyte.gz", (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "0cf37b0d40ed5169c6b3aba31069a9770ac9043d",
                "f4a8712d7a061bf5bd6d2ca38dc4d50a"), 47040016),
            DataFile("train-labels-idx1-ubyte.gz", (
                "25c81989df183df01b3e8a0aad5dffbe",
                "236021d52f1e40852b06a4c3008d8de8aef1e40b",
                "9018921c3c673c538a1fc5bad174d6f9"), 60008),
        ),
        "test": (
            DataFile("t10k-images-idx3-ubyte.gz", (
                "bef4ecab320f06d8554ea6380940ec79",
                "626ed6a7c06dd17c0eec72fa3be1740f146a2863",
                "8181f5470baa50b63fa0f6fddb340f0a"), 7840016),
            DataFile("t10k-labels-idx1-ubyte.gz", (
                "bb300cfdad3c16e7a12a480ee83cd310",
                "17f9ab60e7257a1620f4ad76bbbaf857c3920701",
                "15d484375f8d13e6eb1aabb0c3f46965"), 10008),
        ),
    },
    read=read_fashion_mnist,
    sources=(
        f"{GLUON}/gluon/dataset/fashion-mnist/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)


# The classes of CIFAR-10, in the order of its labels.
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_cifar10(paths: Sequence[Path], split: str) -> Arrays:
    """Read the batches of one split, one after the other."""
    images, labels = zip(*map(read_records, paths))
    return np.concatenate(images), np.concatenate(labels)


BATCH = 10000 * RECORD  # bytes of each of the published files

# Checksums of the archive: MD5 as published, and SHA-1 of Gluon's copy. Of its members: SHA-1.
# mxnet.gluon.data.vision.CIFAR10 states the SHA-1s.
CIFAR10 = ImageSet(
    name="cifar10",
    title="CIFAR-10",
    classes=THINGS,
    splits={
        "train": (
            DataFile("data_batch_1.bin", ("aadd24acce27caa71bf4b10992e9e7b2d74c2540",), BATCH),
            DataFile("data_batch_2.bin", ("c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",), BATCH),
            DataFile("data_batch_3.bin", ("1dd00a74ab1d17a6e7d73e185b69dbf31242f295",), BATCH),
            DataFile("data_batch_4.bin", ("aab85764eb3584312d3c7f65fd2fd016e36a258e",), BATCH),
            DataFile("data_batch_5.bin", ("26e2849e66a845b7f1e4614ae70f4889ae604628",), BATCH),
        ),
        "test": (DataFile("test_batch.bin", ("67eb016db431130d61cd03c7ad570b013799c88c",), BATCH),),
    },
    read=read_cifar10,
    sources=("https://www.cs.toronto.edu/~kriz/", f"{GLUON}/gluon/dataset/cifar10/"),
    archive=DataFile("cifar-10-binary.tar.gz", ("c32a1d4ab5d03f1284b67883e8d87530",
                                                "fab780a1e191a7eda0f345501ccd62d20f7ed891")),
    folders=("cifar-10-batches-bin", "cifar-10"),
    own=True,
)


class Dataset(NamedTuple):
    """A data set that the user can name.

    Attributes
    ----------
    title : str
        For people.
    classes : tuple of str
        In the order of the labels.
    load : callable
        (split, root) -> images (n, height, width, channels) uint8 and labels (n,) uint8.
    """

    title: str
    classes: Tuple[str, ...]
    load: Callable[[str, Root], Arrays]


@functools.lru_cache(maxsize=None)  # drawing takes a second
def load_sample(split: str, root: Root = None) -> Arrays:
    """The drawn stand-in: 10,000 training and 2,000 test images, the same every time."""
    images, labels = draw_sample(10000, seed=0) if split == "train" else draw_sample(2000, seed=1)
    for array in (images, labels):
        array.flags.writeable = False  # one copy serves all who ask
    return images[..., np.newaxis], labels


PUBLISHED = {image_set.name: image_set for image_set in (FASHION_MNIST, CIFAR10)}


def published(image_set: ImageSet) -> Dataset:
    """The data set of a published image set."""
    return Dataset(image_set.title, image_set.classes, functools.partial(load_arrays, image_set))


DATASETS: Dict[str, Dataset] = {
    **{name: published(image_set) for name, image_set in PUBLISHED.items()},
    "sample": Dataset("the built-in sample (drawn garments, not Fashion-MNIST)", GARMENTS,
                      load_sample),
}

# (height, width, channels) of a data set's images.
SHAPES = {"fashion-mnist": (28, 28, 1), "cifar10": (32, 32, 3), "sample": (28, 28, 1)}

ALIASES = {"cifar-10": "cifar10"}


def load_image_set(name: str, split: str, root: Root = None) -> Arrays:
    """Images (n, height, width, channels) uint8 and labels (n,) uint8 of a split, by name.

    Raises
    ------
    InputError
        The name is unknown, or `nin_gluon.data.load.load_arrays` raises it.
    """
    name = ALIASES.get(name, name)
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; the data sets are: {', '.join(DATASETS)}.")
    return DATASETS[name].load(split, root)


def has_image_set(name: str, split: str, root: Root = None) -> bool:
    """Whether `load_image_set` needs no download for a split of a known set.

    Raises
    ------
    InputError
        As `load_image_set`, for a folder that cannot be looked into.
    """
    return name not in PUBLISHED or is_at_hand(PUBLISHED[name], split, root)


def own_data(name: str, root: Root = None) -> Optional[str]:
    """Fingerprint of the user's own data set of this name; None for a published one."""
    return fingerprint(PUBLISHED[name], root) if name in PUBLISHED else None


def get_fashion_mnist_labels(labels: Iterable[int]) -> List[str]:
    """Names of the classes, for a sequence of labels 0 to 9; as in d2lzh."""
    return [GARMENTS[int(label)] for label in labels]
