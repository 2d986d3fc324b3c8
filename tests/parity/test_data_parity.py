"""The iterators against d2lzh's own, untouched, on the same images: batch for batch, bit for bit.

d2lzh takes its images from Gluon's FashionMNIST class, which fetches files from the network. Here
only that fetching is replaced: small files of real images (or of the built-in sample, where
NIN_GLUON_DATA names no folder) lie where it looks. d2lzh's function, Gluon's reading and its
loader with four worker processes are what they are.
"""

import gc
import gzip
import multiprocessing
import os
import struct

import d2lzh
import numpy as np
import pytest

import nin_gluon
from nin_gluon.data.sample import draw_sample
from nin_gluon.data.sets import load_image_set

SIZES = {"train": 1000, "test": 300}
PREFIX = {"train": "train", "test": "t10k"}


@pytest.fixture(scope="module")
def subset():
    """The first images and labels of each split."""
    if os.environ.get("NIN_GLUON_DATA"):
        whole = {split: load_image_set("fashion-mnist", split) for split in SIZES}
        return {split: (images[: SIZES[split]], labels[: SIZES[split]])
                for split, (images, labels) in whole.items()}
    drawn = {split: draw_sample(n, seed) for seed, (split, n) in enumerate(SIZES.items())}
    return {split: (images[..., np.newaxis], labels) for split, (images, labels) in drawn.items()}


@pytest.fixture
def iterators(subset, tmp_path, monkeypatch):
    """A function of the textbook's arguments: d2lzh's two iterators, and ours."""
    for split, (images, labels) in subset.items():
        for kind, array in (("images-idx3", images[..., 0]), ("labels-idx1", labels)):
            header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            path = tmp_path / f"{PREFIX[split]}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), 1))

    def download(url, path, sha1_hash):
        return os.path.join(path, url.rsplit("/", 1)[1])

    monkeypatch.setattr("mxnet.gluon.data.vision.datasets.download", download)
    monkeypatch.setattr("nin_gluon.data.load_image_set", lambda name, split, root: subset[split])

    def iterators(batch_size, **options):
        return (d2lzh.load_data_fashion_mnist(batch_size, root=str(tmp_path), **options),
                nin_gluon.load_data_fashion_mnist(batch_size, **options))

    yield iterators
    # Gluon's workers end when their loader is collected; none may outlive its test.
    gc.collect()
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.terminate()
        worker.join(10)
    assert not workers


def arrays(batches):
    return [(X.asnumpy(), y.asnumpy()) for X, y in batches]


def assert_equal_batches(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, wanted in zip(ours, theirs):
        for a, b in zip(mine, wanted):
            assert a.dtype == b.dtype and np.array_equal(a, b)


@pytest.mark.parametrize("resize", [None, 96])
def test_epochs_of_training_and_test_batches(iterators, resize):
    theirs, ours = iterators(128, resize=resize)
    seen = []
    for train, test in (theirs, ours):
        np.random.seed(11)
        # As in training: a pass over each, then a second one, in another order.
        seen.append([arrays(train), arrays(test), arrays(train), arrays(test), np.random.random()])
    for mine, wanted in zip(seen[1][:4], seen[0][:4]):
        assert_equal_batches(mine, wanted)
    assert seen[0][4] == seen[1][4]  # no random number more or fewer was drawn

    first, test, second, _ = seen[1][:4]
    side = resize or 28
    assert [X.shape for X, _ in first] == [(128, 1, side, side)] * 7 + [(104, 1, side, side)]
    assert test[-1][0].shape == (300 - 2 * 128, 1, side, side)
    assert not np.array_equal(first[0][1], second[0][1])
    assert [len(iterator) for iterator in ours] == [len(iterator) for iterator in theirs] == [8, 3]


def test_a_pass_that_was_left_in_its_middle(iterators):
    """Gluon's workers have fetched ahead by then; the next pass must not depend on that."""
    theirs, ours = iterators(64)
    seen = []
    for train, _ in (theirs, ours):
        np.random.seed(12)
        beginning = [batch for batch, _ in zip(train, range(3))]
        seen.append(arrays(beginning) + arrays(train))
    assert_equal_batches(seen[1], seen[0])


def test_seeds_give_orders_of_their_own(iterators):
    _, (train, _) = iterators(256)
    orders = []
    for seed in (0, 1, 0):
        np.random.seed(seed)
        orders.append(np.concatenate([y for _, y in arrays(train)]))
    assert np.array_equal(orders[0], orders[2]) and not np.array_equal(orders[0], orders[1])
