"""Gluon's data set classes in a prepared process."""

import gzip
import hashlib
import os
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.data.vision import datasets as gluon_datasets
from mxnet.gluon.utils import check_sha1

from nin_gluon.data.folders import mxnet_folder
from nin_gluon.data.image_set import DataFile, ImageSet
from nin_gluon.data.sets import CIFAR10, FASHION_MNIST, load_image_set
from nin_gluon.errors import InputError
from nin_gluon.programs import datasets
from tests.data.toys import idx, md5

IMAGES = np.random.RandomState(0).randint(0, 256, (12, 28, 28)).astype(np.uint8)
LABELS = (np.arange(12) % 10).astype(np.uint8)
# As Gluon compressed them, and as the publisher did.
GLUONS = {"images.gz": gzip.compress(idx(IMAGES), 9, mtime=1),
          "labels.gz": gzip.compress(idx(LABELS), 9, mtime=1)}
OFFICIAL = {name: gzip.compress(gzip.decompress(content), 1, mtime=2)
            for name, content in GLUONS.items()}


def read(paths, split):
    from nin_gluon.data.idx import read_idx

    return read_idx(paths[0], IMAGES.shape)[..., np.newaxis], read_idx(paths[1], (12,), classes=10)


FILES = tuple(DataFile(name, (md5(content),), len(gzip.decompress(content)))
              for name, content in OFFICIAL.items())
TOYS = ImageSet("toys", "Toys", ("toy",) * 10, {"train": FILES, "test": FILES}, read, ())


class Toys(gluon_datasets.MNIST):
    """A data set of twelve images, as Gluon would describe it."""

    def __init__(self, root, train=True, transform=None, namespace="toys"):
        self._train = train
        sha1 = {name: hashlib.sha1(content).hexdigest() for name, content in GLUONS.items()}
        self._train_data = self._test_data = ("images.gz", sha1["images.gz"])
        self._train_label = self._test_label = ("labels.gz", sha1["labels.gz"])
        self._namespace = namespace
        super(gluon_datasets.MNIST, self).__init__(root, transform)


@pytest.fixture
def prepare(monkeypatch):
    """Change Gluon's classes until the end of the test."""
    for gluon_class in (gluon_datasets.MNIST, gluon_datasets.CIFAR10):
        monkeypatch.setattr(gluon_class, "_get_data", gluon_class._get_data)
    monkeypatch.setitem(datasets.SETS, "toys", TOYS)
    return lambda images=None: datasets.take_official_files(gluon_datasets, images)


def put(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return str(folder)


def test_the_official_files_give_what_gluon_reads_in_its_own(prepare, tmp_path):
    theirs = Toys(put(tmp_path / "gluon", GLUONS))
    folder = put(tmp_path / "official", OFFICIAL)
    assert not check_sha1(f"{folder}/images.gz", theirs._train_data[1])  # so Gluon refuses them
    prepare()
    ours = Toys(folder)
    assert len(ours) == len(theirs) == 12
    for (image, label), (his, his_label) in zip(ours, theirs):
        assert image.dtype == his.dtype and type(image) is type(his)
        np.testing.assert_array_equal(image.asnumpy(), his.asnumpy())
        assert label == his_label and type(label) is type(his_label)


def test_they_are_looked_for_where_nin_gluon_looks(prepare, tmp_path, monkeypatch):
    prepare()
    put(tmp_path / "data" / "toys", OFFICIAL)
    monkeypatch.setenv("NIN_GLUON_DATA", str(tmp_path / "data"))
    assert len(Toys(str(tmp_path / "empty"))) == 12


def test_a_file_that_is_not_the_published_one_is_refused(prepare, tmp_path, monkeypatch):
    monkeypatch.delenv("NIN_GLUON_DATA", raising=False)
    prepare()
    other = {**OFFICIAL, "images.gz": gzip.compress(idx(255 - IMAGES))}
    with pytest.raises(InputError, match=r"images.gz has the form of a file of Toys but not its"):
        Toys(put(tmp_path / "other", other))


def test_the_first_images_only(prepare, tmp_path):
    prepare(images=5)
    toys = Toys(put(tmp_path, OFFICIAL))
    assert len(toys) == 5
    assert [label for _, label in toys] == LABELS[:5].tolist()
    np.testing.assert_array_equal(toys[4][0].asnumpy()[..., 0], IMAGES[4])


def test_in_numpy_mode_the_arrays_are_mxnets_numpy_arrays(prepare, tmp_path):
    prepare()
    mx.npx.set_np()
    try:
        theirs_or_ours = Toys(put(tmp_path, OFFICIAL))[3]
        assert all(isinstance(value, mx.np.ndarray) for value in theirs_or_ours)
        assert int(theirs_or_ours[1]) == 3
    finally:
        mx.npx.reset_np()


def test_a_set_that_we_do_not_know_is_read_by_gluon(prepare, tmp_path):
    prepare(images=7)
    toys = Toys(put(tmp_path, GLUONS), namespace="other-toys")
    assert len(toys) == 7
    np.testing.assert_array_equal(toys[6][0].asnumpy()[..., 0], IMAGES[6])


@pytest.mark.parametrize("gluon_class, image_set", [
    (gluon_datasets.MNIST, datasets.MNIST), (gluon_datasets.FashionMNIST, FASHION_MNIST)])
def test_gluons_own_files_are_accepted_too(gluon_class, image_set, monkeypatch, tmp_path):
    """Their names and checksums are those that MXNet states."""
    monkeypatch.setattr(gluon_datasets.MNIST, "_get_data", lambda self: None)
    stated = gluon_class(str(tmp_path))
    files = [*image_set.splits["train"], *image_set.splits["test"]]
    theirs = [stated._train_data, stated._train_label, stated._test_data, stated._test_label]
    assert [file.name for file in files] == [name for name, _ in theirs]
    assert [file.checksums[1] for file in files] == [sha1 for _, sha1 in theirs]
    assert stated._namespace == image_set.name


def test_a_folder_that_a_program_chooses_is_told_from_the_usual_one(monkeypatch, tmp_path):
    usual = str(mxnet_folder(FASHION_MNIST))
    assert datasets.named_folder(usual, FASHION_MNIST) is None
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    d2lzhs = str(Path("~/.mxnet/datasets/fashion-mnist").expanduser())
    assert datasets.named_folder(d2lzhs, FASHION_MNIST) is None
    assert datasets.named_folder("../data", FASHION_MNIST) == "../data"


@pytest.mark.skipif(not os.environ.get("NIN_GLUON_DATA"), reason="needs the real files")
def test_the_real_fashion_mnist(prepare, tmp_path):
    prepare(images=100)
    images, labels = load_image_set("fashion-mnist", "test")
    ours = gluon_datasets.FashionMNIST(str(tmp_path), train=False)
    np.testing.assert_array_equal(ours._data.asnumpy(), images[:100])
    np.testing.assert_array_equal(ours._label, labels[:100])


def test_cifar_10_goes_the_same_way(prepare, monkeypatch, tmp_path):
    images = np.random.RandomState(1).randint(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    asked = []

    def load(image_set, split, root):
        asked.append((image_set, split, root))
        return images, np.arange(6, dtype=np.uint8)

    monkeypatch.setattr(datasets, "load_arrays", load)
    prepare(images=4)
    things = gluon_datasets.CIFAR10(str(tmp_path), train=False)
    assert asked == [(CIFAR10, "test", str(tmp_path))]
    np.testing.assert_array_equal(things._data.asnumpy(), images[:4])
    assert things._label.tolist() == [0, 1, 2, 3] and things._label.dtype == np.int32
