"""The image sets by name, and the names of the classes."""

import os

import d2lzh
import numpy as np
import pytest

from nin_gluon.data import get_fashion_mnist_labels, load_data, load_data_fashion_mnist
from nin_gluon.data.sets import DATASETS, FASHION_MNIST, load_image_set
from nin_gluon.errors import InputError

needs_real_data = pytest.mark.skipif(
    not os.environ.get("NIN_GLUON_DATA"),
    reason="NIN_GLUON_DATA does not name a folder with Fashion-MNIST",
)


@pytest.fixture(scope="module")
def sample():
    return {split: load_image_set("sample", split) for split in ("train", "test")}


def assert_ten_balanced_classes(images, labels, n):
    assert images.shape == (n, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (n,) and labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [n // 10] * 10


@needs_real_data
@pytest.mark.parametrize("split, n", [("train", 60000), ("test", 10000)])
def test_fashion_mnist(split, n):
    images, labels = load_image_set("fashion-mnist", split)
    assert_ten_balanced_classes(images, labels, n)
    # Published figures of the training set: mean 0.2860, standard deviation 0.3530.
    assert abs(images.mean() / 255 - 0.286) < 0.002
    assert abs(images.std() / 255 - 0.353) < 0.002
    first = {"train": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], "test": [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]}
    assert labels[:10].tolist() == first[split]


@needs_real_data
def test_iterators_of_fashion_mnist():
    train, test = load_data_fashion_mnist(256, resize=30)
    assert len(train) == 235 and len(test) == 40
    X, y = next(iter(test))
    assert X.shape == (256, 1, 30, 30) and y[:4].asnumpy().tolist() == [9, 2, 1, 1]
    assert train.shuffle and not test.shuffle


@pytest.mark.parametrize("split", ["train", "test"])
def test_sample_is_always_there(sample, split):
    images, labels = sample[split]
    assert len(images) >= 1000
    assert_ten_balanced_classes(images, labels, len(images))


def test_limit_keeps_the_first_images_of_each_split(sample):
    train, test = load_data("sample", 16, limit=40)
    for iterator, split, shuffled in ((train, "train", True), (test, "test", False)):
        images, labels = sample[split]
        assert len(iterator.labels) == 40 and iterator.shuffle is shuffled
        assert np.array_equal(iterator.images.asnumpy(), images[:40])
        assert np.array_equal(iterator.labels.asnumpy(), labels[:40])


@pytest.mark.parametrize("name", ["fashion_mnist", "", "Sample", "../sample"])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(InputError) as caught:
        load_image_set(name, "train")
    assert repr(name) in str(caught.value)
    assert all(known in str(caught.value) for known in ("fashion-mnist", "sample"))


def test_every_set_has_a_title_and_a_name_for_each_class():
    for title, classes, _ in DATASETS.values():
        assert title and len(set(classes)) == len(classes) == 10


def test_class_names_are_d2lzhs():
    assert get_fashion_mnist_labels(range(10)) == d2lzh.get_fashion_mnist_labels(range(10))
    assert get_fashion_mnist_labels(np.array([9, 0], np.uint8)) == ["ankle boot", "t-shirt"]
    assert get_fashion_mnist_labels([]) == []


def test_checksums_and_sources_are_well_formed():
    files = [file for split in FASHION_MNIST.splits.values() for file in split]
    sums = [checksum for file in files for checksum in file.checksums]
    assert len(set(sums)) == len(sums) == 12
    assert all(len(s) in (32, 40) and set(s) <= set("0123456789abcdef") for s in sums)
    assert all(source.startswith("http") and source.endswith("/")
               for source in FASHION_MNIST.sources)


def test_gluons_checksums_are_those_that_gluon_states(tmp_path, monkeypatch):
    from mxnet.gluon.data.vision import FashionMNIST

    monkeypatch.setattr(FashionMNIST, "_get_data", lambda self: None)
    gluons = FashionMNIST(root=str(tmp_path))
    wanted = {"train": (gluons._train_data, gluons._train_label),
              "test": (gluons._test_data, gluons._test_label)}
    for split, files in wanted.items():
        for file, (name, sha1) in zip(FASHION_MNIST.splits[split], files):
            assert file.name == name and sha1 in file.checksums
