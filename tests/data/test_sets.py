"""The image sets by name, and the names of the classes."""

import inspect
import os

import d2lzh
import numpy as np
import pytest

from nin_gluon.data import get_fashion_mnist_labels, load_data, load_data_fashion_mnist
from nin_gluon.data.sets import CIFAR10, DATASETS, FASHION_MNIST, load_image_set
from nin_gluon.errors import InputError
from tests.data.small_cifar import records
from tests.data.toys import put

needs_real_data = pytest.mark.skipif(
    not os.environ.get("NIN_GLUON_DATA"),
    reason="NIN_GLUON_DATA does not name a folder with Fashion-MNIST",
)
needs_real_cifar10 = pytest.mark.skipif(
    not os.path.exists(os.path.join(os.environ.get("NIN_GLUON_DATA", ""), "cifar-10")),
    reason="NIN_GLUON_DATA does not name a folder with cifar-10",
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


def test_images_are_resized_as_asked(few_images):
    """Bilinear unless told otherwise; training and test images alike."""
    def batches(**options):
        np.random.seed(0)
        return [X.asnumpy() for loader in load_data("sample", 48, 40, **options) for X, _ in loader]

    bicubic = batches(interpolation="bicubic")
    assert np.array_equal(*map(np.concatenate, (batches(), batches(interpolation="bilinear"))))
    assert len(bicubic) == 2
    assert not any(np.array_equal(*pair) for pair in zip(batches(), bicubic))
    with pytest.raises(InputError, match="interpolation is 'cubic'; use bilinear or bicubic"):
        load_data("sample", 20, interpolation="cubic")


def test_everything_after_the_size_goes_by_keyword():
    with pytest.raises(TypeError, match="positional"):
        load_data("sample", 16, 67, "some/folder")
    parameters = list(inspect.signature(load_data).parameters.values())
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == [
        "name", "batch_size", "resize"]
    assert [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] == [
        "root", "ctx", "limit", "part", "augment", "preprocess", "validation", "interpolation"]
    assert list(inspect.signature(load_data_fashion_mnist).parameters) == [
        "batch_size", "resize", "root", "ctx"]


@pytest.mark.parametrize("name", ["fashion_mnist", "", "Sample", "../sample"])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(InputError) as caught:
        load_image_set(name, "train")
    assert repr(name) in str(caught.value)
    assert all(known in str(caught.value) for known in ("fashion-mnist", "sample"))


def test_every_set_has_a_title_and_a_name_for_each_class():
    for dataset in DATASETS.values():
        title, classes, load = dataset
        assert title and len(set(classes)) == len(classes) == 10
        assert (dataset.title, dataset.classes, dataset.load) == (title, classes, load)


def test_class_names_are_d2lzhs():
    assert get_fashion_mnist_labels(range(10)) == d2lzh.get_fashion_mnist_labels(range(10))
    assert get_fashion_mnist_labels(np.array([9, 0], np.uint8)) == ["ankle boot", "t-shirt"]
    assert get_fashion_mnist_labels([]) == []


def test_checksums_and_sources_are_well_formed():
    files = [file for split in FASHION_MNIST.splits.values() for file in split]
    sums = [checksum for file in files for checksum in file.checksums]
    assert len(set(sums)) == len(sums) == 12
    assert [file.size for file in files] == [
        16 + 60000 * 784, 8 + 60000, 16 + 10000 * 784, 8 + 10000]
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


def test_cifar10_by_name(tmp_path):
    put(tmp_path / "cifar10", {"data_batch_1.bin": records(30), "test_batch.bin": records(20)})
    for name in ("cifar10", "cifar-10"):
        train_iter, test_iter = load_data(name, 8, root=tmp_path, limit=20)
        X, y = next(iter(test_iter))
        assert X.shape == (8, 3, 32, 32) and y.asnumpy().tolist() == list(range(8))
        assert len(train_iter.labels) == 20
    title, classes, load = DATASETS["cifar10"]
    assert (title, classes, load) == tuple(DATASETS["cifar10"])
    assert title == "CIFAR-10" and classes[3] == "cat" and classes[9] == "truck"


def test_checksums_of_cifar10_are_those_that_gluon_states(tmp_path, monkeypatch):
    from mxnet.gluon.data.vision import CIFAR10 as GluonsCIFAR10

    monkeypatch.setattr(GluonsCIFAR10, "_get_data", lambda self: None)
    gluons = GluonsCIFAR10(root=str(tmp_path))
    assert [(f.name, *f.checksums) for f in CIFAR10.splits["train"]] == gluons._train_data
    assert [(f.name, *f.checksums) for f in CIFAR10.splits["test"]] == gluons._test_data
    name, sha1 = gluons._archive_file
    assert CIFAR10.archive.name == name and sha1 in CIFAR10.archive.checksums
    assert gluons._namespace == CIFAR10.name  # the folder that Gluon looks in


def test_the_command_has_no_stand_in_for_cifar10(tmp_path, monkeypatch, capsys, mxnet_cifar):
    from nin_gluon import train
    from nin_gluon.data import download

    monkeypatch.setattr(download, "fetch_genuine", lambda *args: False)
    options = ["--dataset", "cifar-10", "--out", str(tmp_path / "run")]
    assert train.main(options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no CIFAR-10" in error and "kriz" in error
    assert not (tmp_path / "run").exists()


@needs_real_cifar10
def test_real_images_of_cifar10():
    for split, n in (("train", 10000), ("test", 2000)):
        images, labels = load_image_set("cifar10", split)
        assert np.bincount(labels).min() >= n // 10 * 0.9
        # Published means of the channels over the training set, in grey levels.
        assert np.allclose(images.mean((0, 1, 2)), (125.3, 123.0, 113.9), atol=1.5)
