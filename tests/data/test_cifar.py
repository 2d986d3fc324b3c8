"""CIFAR-10: records, the user's own files, the official ones, the archive."""

import hashlib
import io
import json
import logging
import os
import tarfile

import numpy as np
import pytest

from nin_gluon import confidence, train
from nin_gluon.data import files, load_data
from nin_gluon.data.cifar_records import read_records
from nin_gluon.data.download import DataFile, DownloadError, load_arrays
from nin_gluon.data.sets import CIFAR10, DATASETS, load_image_set, own_data
from nin_gluon.errors import InputError

RANDOM = np.random.RandomState(0)
NAMES = [file.name for split in CIFAR10.splits.values() for file in split]


def records(n=12):
    """Records of n images whose classes go round, as bytes."""
    values = RANDOM.randint(0, 256, (n, 3073)).astype(np.uint8)
    values[:, 0] = np.arange(n) % 10
    return values.tobytes()


# What the official files are in these tests.
OFFICIAL = {name: records() for name in NAMES}


def archive(contents, folder="cifar-10-batches-bin/"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = archive({"readme.html": b"<html></html>", **OFFICIAL})


def small(*sources):
    """CIFAR-10 as it would be if the files above were the official ones."""
    def file(name):
        return DataFile(name, (hashlib.sha1(OFFICIAL[name]).hexdigest(),))

    splits = {split: tuple(file(f.name) for f in files) for split, files in CIFAR10.splits.items()}
    published = DataFile(CIFAR10.archive.name, (hashlib.md5(ARCHIVE).hexdigest(),))
    return CIFAR10._replace(splits=splits, archive=published, sources=sources)


@pytest.fixture(autouse=True)
def mxnets_folder(tmp_path, monkeypatch):
    """MXNet's folder for the set, in an environment that names no other."""
    monkeypatch.delenv("NIN_GLUON_DATA", raising=False)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    files.notice.cache_clear()
    return tmp_path / "mxnet" / "datasets" / "cifar10"


@pytest.fixture
def downloads(monkeypatch):
    """What is downloaded, from a network that has the archive; a list of (name, folder)."""
    asked = []

    def download(image_set, file, folder):
        asked.append((file.name, folder))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(ARCHIVE)
        return folder / file.name

    monkeypatch.setattr(files, "download", download)
    return asked


def put(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


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


# ------------------------------------------------------------------ records


def test_records_are_what_gluon_reads_in_them(tmp_path):
    from mxnet.gluon.data.vision import CIFAR10 as GluonsCIFAR10

    path = tmp_path / "own.bin"
    path.write_bytes(records(7))
    images, labels = read_records(path)
    theirs, their_labels = GluonsCIFAR10._read_batch(None, str(path))
    assert np.array_equal(images, theirs) and np.array_equal(labels, their_labels)
    assert images.dtype == labels.dtype == np.uint8


@pytest.mark.parametrize("content, says", [
    (b"", "is empty"),
    (records()[:-1], "has 36,875 bytes, which are 11 records and 3,072 bytes"),
    (b"<html>sign in</html>", "has 20 bytes, which are 0 records and 20 bytes"),
    (records()[: 2 * 3073] + b"\x0a" + records()[1:3073], "holds the label 10 in record 3"),
])
def test_what_is_not_of_that_form(tmp_path, content, says):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_records(path)
    assert str(path) in str(caught.value) and says in str(caught.value)
    assert "expected records of 3,073 bytes" in str(caught.value)
    assert path.read_bytes() == content


# ------------------------------------------------------------------ finding


@pytest.mark.parametrize("name", ["", "cifar10", "cifar-10", "cifar-10-batches-bin"])
def test_official_files_are_found_in_folders_of_any_usual_name(tmp_path, caplog, downloads, name):
    put(tmp_path / "data" / name, OFFICIAL)
    assert_official(tmp_path / "data")
    assert not downloads and not caplog.messages


def test_mxnets_own_folder(mxnets_folder, downloads):
    put(mxnets_folder, OFFICIAL)
    assert_official()
    assert not downloads


def test_a_set_of_the_users_own_is_used_and_named(tmp_path, caplog, downloads):
    own = {"data_batch_1.bin": records(20), "data_batch_3.bin": records(11),
           "test_batch.bin": records(5)}
    folder = put(tmp_path / "mine", own)
    with caplog.at_level(logging.WARNING, "nin_gluon"):
        assert_holds(load_arrays(small(), "train", folder),
                     [own["data_batch_1.bin"], own["data_batch_3.bin"]])
        assert_holds(load_arrays(small(), "test", folder), [own["test_batch.bin"]])
    assert caplog.messages == [
        f"{folder / 'data_batch_1.bin'}, {folder / 'data_batch_3.bin'}: not the official CIFAR-10; "
        "using these 31 images as the training set",
        f"{folder / 'test_batch.bin'}: not the official CIFAR-10; using these 5 images as the test "
        "set"]
    assert not downloads
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == own


@pytest.mark.parametrize("own, lacks, split", [
    ("data_batch_1.bin", "test_batch.bin", "test"), ("test_batch.bin", "data_batch_1.bin", "train"),
])
def test_the_users_own_files_are_not_mixed_with_official_ones(tmp_path, mxnets_folder, downloads,
                                                             own, lacks, split):
    put(mxnets_folder, OFFICIAL)
    folder = put(tmp_path / "mine", {own: records(9)})
    with pytest.raises(InputError) as caught:
        load_arrays(small(), split, folder)
    message = str(caught.value)
    assert str(folder / own) in message and f"lacks {lacks}" in message
    assert not downloads


def test_official_files_with_one_of_the_users_own_among_them(tmp_path, caplog, downloads):
    """All of it counts as the user's own set, and is said to be."""
    contents = {**OFFICIAL, "data_batch_2.bin": records(9)}
    folder = put(tmp_path / "mine", contents)
    with caplog.at_level(logging.WARNING, "nin_gluon"):
        images, _ = load_arrays(small(), "train", folder)
    assert len(images) == 4 * 12 + 9
    assert "data_batch_2.bin" in caplog.text and "using these 57 images" in caplog.text


def test_a_set_of_the_users_own_is_told_from_others(tmp_path, mxnets_folder, downloads):
    own = {"data_batch_1.bin": records(20), "test_batch.bin": records(5)}
    here = files.fingerprint(small(), put(tmp_path / "here", own))
    assert len(here) == 8 and int(here, 16) >= 0
    assert files.fingerprint(small(), put(tmp_path / "there", own)) == here  # wherever it lies
    for name, content in own.items():
        changed = {**own, name: content[:-1] + bytes([content[-1] ^ 1])}
        assert files.fingerprint(small(), put(tmp_path / name, changed)) != here
    put(mxnets_folder, OFFICIAL)
    assert files.fingerprint(small()) is None
    assert files.fingerprint(CIFAR10, tmp_path / "nothing") is not None  # the above are not CIFAR's
    assert not downloads


@pytest.mark.parametrize("name", ["fashion-mnist", "sample", "cifar10"])
def test_published_sets_and_what_is_not_there_yet_are_nobodys_own(name):
    assert own_data(name) is None


def test_a_run_does_not_go_on_with_other_files(tmp_path, capsys):
    def put_set(name):
        return str(put(tmp_path / name, {"data_batch_1.bin": records(16),
                                         "test_batch.bin": records(10)}))

    one, other, run = put_set("one"), put_set("other"), str(tmp_path / "run")
    options = ["--dataset", "cifar10", "--data-dir", one, "--model", "cifar_nin", "--epochs", "1",
               "--batch-size", "8", "--no-progress", "--out", run]
    assert train.main(options) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["own_data"] == own_data("cifar10", one)
    capsys.readouterr()
    for command in (lambda *options: train.main(["--resume", run, *options]),
                    lambda *options: confidence.main([run, *options])):
        assert command("--data-dir", other) == 2
        out, error = capsys.readouterr()
        assert out == "" and error.count("\n") == 1
        assert "the run began with other files of CIFAR-10 than are found now" in error
        assert command() == 0
        capsys.readouterr()


# ------------------------------------------------------------------ the archive


def test_what_is_missing_of_the_official_files_is_downloaded(tmp_path, downloads):
    folder = put(tmp_path / "data", {name: OFFICIAL[name] for name in NAMES[1:3]})
    assert_official(folder)
    assert downloads == [(CIFAR10.archive.name, folder)]
    assert {path.name for path in folder.iterdir()} == {*NAMES, CIFAR10.archive.name}


def test_without_any_file_all_comes_into_mxnets_folder(mxnets_folder, downloads):
    assert_official()
    assert_official()
    assert downloads == [(CIFAR10.archive.name, mxnets_folder)]
    assert {path.name for path in mxnets_folder.iterdir()} == {*NAMES, CIFAR10.archive.name}


def test_official_files_are_not_completed_by_the_users_own(tmp_path, monkeypatch, downloads):
    root = put(tmp_path / "root", {NAMES[0]: OFFICIAL[NAMES[0]]})
    monkeypatch.setenv("NIN_GLUON_DATA", str(put(tmp_path / "env", {NAMES[1]: records(30)})))
    assert_official(root)
    assert len(downloads) == 1


def test_an_archive_that_is_there_is_unpacked(tmp_path, mxnets_folder, downloads):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE})
    assert_official(folder)
    assert not downloads and {path.name for path in folder.iterdir()} == {*NAMES,
                                                                          CIFAR10.archive.name}


def test_an_archive_is_opened_once_for_all_files_of_a_split(tmp_path, monkeypatch, downloads):
    opened = []
    real = files.tarfile.open
    monkeypatch.setattr(files.tarfile, "open", lambda path: opened.append(path) or real(path))
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE, NAMES[1]: OFFICIAL[NAMES[1]]})
    assert_holds(load_arrays(small(), "train", folder), [OFFICIAL[name] for name in NAMES[:5]])
    assert opened == [folder / CIFAR10.archive.name]


def test_an_archive_in_a_folder_that_may_not_be_written(tmp_path, monkeypatch, mxnets_folder,
                                                        downloads):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE})
    monkeypatch.setattr(files.os, "access", lambda path, mode: path != folder)
    assert_official(folder)
    assert [path.name for path in folder.iterdir()] == [CIFAR10.archive.name]
    assert {path.name for path in mxnets_folder.iterdir()} == set(NAMES)


@pytest.mark.parametrize("content", [ARCHIVE[:-100], b"", b"<html></html>", archive(OFFICIAL)])
def test_a_damaged_or_another_archive_is_named_and_left_alone(tmp_path, downloads, content):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: content})
    with pytest.raises(InputError, match="not the published archive of CIFAR-10, or is damaged"):
        load_arrays(small(), "train", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        CIFAR10.archive.name: content}


def test_nothing_is_overwritten_by_what_is_unpacked(tmp_path, mxnets_folder, downloads):
    put(mxnets_folder, {NAMES[1]: b"mine"})
    root = put(tmp_path / "root", {NAMES[0]: OFFICIAL[NAMES[0]]})
    put(root, {CIFAR10.archive.name: ARCHIVE})
    assert_official(root)
    assert (mxnets_folder / NAMES[1]).read_bytes() == b"mine"


def test_a_download_that_fails_says_what_to_do(tmp_path, mxnets_folder):
    with pytest.raises(DownloadError) as caught:
        load_arrays(small("http://127.0.0.1:9/"), "train", tmp_path / "data")
    message = str(caught.value)
    assert "no CIFAR-10: data_batch_1.bin, data_batch_2.bin" in message
    assert "cifar-10-binary.tar.gz could not be downloaded" in message
    assert "Put that file, from http://127.0.0.1:9/, there, or name their folder" in message


# ------------------------------------------------------------------ by name, and the real ones


def test_by_name(tmp_path):
    put(tmp_path / "cifar10", {"data_batch_1.bin": records(30), "test_batch.bin": records(20)})
    for name in ("cifar10", "cifar-10"):
        train_iter, test_iter = load_data(name, 8, root=tmp_path, limit=20)
        X, y = next(iter(test_iter))
        assert X.shape == (8, 3, 32, 32) and y.asnumpy().tolist() == list(range(8))
        assert len(train_iter.labels) == 20
    title, classes, _ = DATASETS["cifar10"]
    assert title == "CIFAR-10" and classes[3] == "cat" and classes[9] == "truck"


def test_checksums_are_those_that_gluon_states(tmp_path, monkeypatch):
    from mxnet.gluon.data.vision import CIFAR10 as GluonsCIFAR10

    monkeypatch.setattr(GluonsCIFAR10, "_get_data", lambda self: None)
    gluons = GluonsCIFAR10(root=str(tmp_path))
    assert [(f.name, *f.checksums) for f in CIFAR10.splits["train"]] == gluons._train_data
    assert [(f.name, *f.checksums) for f in CIFAR10.splits["test"]] == gluons._test_data
    name, sha1 = gluons._archive_file
    assert CIFAR10.archive.name == name and sha1 in CIFAR10.archive.checksums
    assert gluons._namespace == CIFAR10.name  # the folder that Gluon looks in


def test_the_command_has_no_stand_in_for_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "fetch_genuine", lambda *args: False)
    options = ["--dataset", "cifar-10", "--out", str(tmp_path / "run")]
    assert train.main(options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no CIFAR-10" in error and "kriz" in error
    assert not (tmp_path / "run").exists()


needs_real_images = pytest.mark.skipif(
    not os.path.exists(os.path.join(os.environ.get("NIN_GLUON_DATA", ""), "cifar-10")),
    reason="NIN_GLUON_DATA does not name a folder with cifar-10",
)
REAL = os.environ.get("NIN_GLUON_DATA")


@needs_real_images
def test_real_images():
    for split, n in (("train", 10000), ("test", 2000)):
        images, labels = load_image_set("cifar10", split, REAL)
        assert np.bincount(labels).min() >= n // 10 * 0.9
        # Published means of the channels over the training set, in grey levels.
        assert np.allclose(images.mean((0, 1, 2)), (125.3, 123.0, 113.9), atol=1.5)
