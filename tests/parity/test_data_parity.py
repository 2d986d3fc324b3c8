"""The iterators against d2lzh's own, untouched, on the same images: batch for batch, bit for bit.

d2lzh takes its images from Gluon's FashionMNIST class, which fetches files from the network. Here
only that fetching is replaced: small files lie where it looks. d2lzh's function, Gluon's reading
and its loader with four worker processes are what they are.
"""

import gzip
import multiprocessing
import os
import struct

import d2lzh
import numpy as np
import pytest

import nin_gluon

SIZES = {"train": 300, "test": 100}
PREFIX = {"train": "train", "test": "t10k"}


@pytest.fixture
def iterators(garments, tmp_path, monkeypatch):
    """A function of the textbook's arguments: d2lzh's two iterators, and ours."""
    subset = {split: garments(split, n) for split, n in SIZES.items()}
    for split, (images, labels) in subset.items():
        for kind, array in (("images-idx3", images[..., 0]), ("labels-idx1", labels)):
            header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            path = tmp_path / f"{PREFIX[split]}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), 1))

    def download(url, path, sha1_hash):
        return os.path.join(path, url.rsplit("/", 1)[1])

    monkeypatch.setattr("mxnet.gluon.data.vision.datasets.download", download)
    monkeypatch.setattr("nin_gluon.data.load_image_set", lambda name, split, root: subset[split])

    pools = []

    def iterators(batch_size, **options):
        theirs = d2lzh.load_data_fashion_mnist(batch_size, root=str(tmp_path), **options)
        pools.extend(loader._worker_pool for loader in theirs)
        return theirs, nin_gluon.load_data_fashion_mnist(batch_size, **options)

    yield iterators
    # Gluon ends its workers when the loader is collected, which a failed test's traceback would
    # put off to the exit of the process, where it hangs.
    for pool in pools:
        pool.terminate()
        pool.join()
    assert not multiprocessing.active_children()


def arrays(batches):
    return [(X.asnumpy(), y.asnumpy()) for X, y in batches]


def assert_equal_batches(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, wanted in zip(ours, theirs):
        for a, b in zip(mine, wanted):
            assert a.dtype == b.dtype and np.array_equal(a, b)


@pytest.mark.parametrize("resize", [None, 96])
def test_epochs_of_training_and_test_batches(iterators, resize):
    theirs, ours = iterators(64, resize=resize)
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
    assert [X.shape for X, _ in first] == [(64, 1, side, side)] * 4 + [(44, 1, side, side)]
    assert test[-1][0].shape == (100 - 64, 1, side, side)
    assert not np.array_equal(first[0][1], second[0][1])
    assert [len(iterator) for iterator in ours] == [len(iterator) for iterator in theirs] == [5, 2]


def test_a_pass_that_was_left_in_its_middle(iterators):
    """Gluon's workers have fetched ahead by then; the next pass must not depend on that."""
    theirs, ours = iterators(32)
    seen = []
    for train, _ in (theirs, ours):
        np.random.seed(12)
        beginning = [batch for batch, _ in zip(train, range(3))]
        seen.append(arrays(beginning) + arrays(train))
    assert_equal_batches(seen[1], seen[0])


@pytest.mark.usefixtures("iterators")
def test_seeds_give_orders_of_their_own():
    train, _ = nin_gluon.load_data_fashion_mnist(128)
    orders = []
    for seed in (0, 1, 0):
        np.random.seed(seed)
        orders.append(np.concatenate([y for _, y in arrays(train)]))
    assert np.array_equal(orders[0], orders[2]) and not np.array_equal(orders[0], orders[1])
