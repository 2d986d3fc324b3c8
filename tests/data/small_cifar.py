"""CIFAR-10 as it would be with files of a few images."""

import hashlib
import io
import tarfile

import numpy as np

from nin_gluon.data.image_set import DataFile
from nin_gluon.data.load import load_arrays
from nin_gluon.data.sets import CIFAR10

RANDOM = np.random.RandomState(0)
NAMES = [file.name for split in CIFAR10.splits.values() for file in split]


def records(n=12):
    """Records of n images whose classes go round, as bytes."""
    values = RANDOM.randint(0, 256, (n, 3073)).astype(np.uint8)
    values[:, 0] = np.arange(n) % 10
    return values.tobytes()


# What the official files are in these tests.
OFFICIAL = {name: records() for name in NAMES}


def packed(contents, folder="cifar-10-batches-bin/"):
    """A tar.gz of these files, as bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = packed({"readme.html": b"<html></html>", **OFFICIAL})


def small(*sources):
    """CIFAR-10 as it would be if the files above were the official ones."""
    def file(name):
        return DataFile(name, (hashlib.sha1(OFFICIAL[name]).hexdigest(),), len(OFFICIAL[name]))

    splits = {split: tuple(file(f.name) for f in files) for split, files in CIFAR10.splits.items()}
    published = DataFile(CIFAR10.archive.name, (hashlib.md5(ARCHIVE).hexdigest(),))
    return CIFAR10._replace(splits=splits, archive=published, sources=sources)


def assert_holds(arrays, contents):
    """Images and labels are those of these records, one file after the other."""
    images, labels = arrays
    values = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, 3073)
    assert labels.tolist() == values[:, 0].tolist() and labels.dtype == np.uint8
    assert images.shape == (len(values), 32, 32, 3) and images.dtype == np.uint8
    for channel in range(3):
        plane = values[:, 1 + 1024 * channel : 1 + 1024 * (channel + 1)]
        assert np.array_equal(images[..., channel].reshape(len(values), -1), plane)


def assert_official(root=None):
    for split in ("train", "test"):
        wanted = [OFFICIAL[file.name] for file in CIFAR10.splits[split]]
        assert_holds(load_arrays(small(), split, root), wanted)
