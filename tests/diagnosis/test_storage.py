"""The data sets that are found, and the folders that are written to."""

import os
from pathlib import Path

import pytest

from nin_gluon.data.sets import CIFAR10, FASHION_MNIST
from nin_gluon.diagnosis import storage
from tests.data.small_cifar import ARCHIVE, OFFICIAL, records, small
from tests.data.toys import PUBLISHED, put, toy_set


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """MXNet's data folder, in an environment that names no other."""
    monkeypatch.delenv("NIN_GLUON_DATA", raising=False)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    return tmp_path / "mxnet" / "datasets"


def test_nothing_is_there(home):
    found = storage.describe_set(FASHION_MNIST)
    assert found["state"] == "missing" and len(found["missing"]) == 4
    assert found["folders"] == [] and found["problem"] is None
    assert not home.exists()


def test_official_files(home):
    put(home / "toys", PUBLISHED)
    found = storage.describe_set(toy_set())
    assert found["state"] == "official" and found["missing"] == []
    assert found["folders"] == [str(home / "toys")]


def test_some_files_are_missing(home):
    name = next(iter(PUBLISHED))
    put(home / "toys", {name: PUBLISHED[name]})
    found = storage.describe_set(toy_set())
    assert found["state"] == "incomplete" and found["problem"] is None
    assert sorted([name, *found["missing"]]) == sorted(PUBLISHED)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x",
                                    lambda data: b"", lambda data: b"<html>" * 20])
def test_a_damaged_file_is_named(home, damage):
    name = next(iter(PUBLISHED))
    folder = put(home / "toys", {**PUBLISHED, name: damage(PUBLISHED[name])})
    found = storage.describe_set(toy_set())
    assert found["state"] == "damaged"
    assert str(folder / name) in found["problem"] and "move this one away" in found["problem"]


def test_something_that_is_no_file(home):
    folder = put(home / "toys", PUBLISHED)
    name = next(iter(PUBLISHED))
    (folder / name).unlink()
    os.mkfifo(folder / name)  # reading it would wait for ever
    found = storage.describe_set(toy_set())
    assert found["state"] == "unreadable" and str(folder / name) in found["problem"]


def test_a_folder_of_unusual_name(tmp_path, monkeypatch):
    folder = put(tmp_path / "数据 données", PUBLISHED)
    monkeypatch.setenv("NIN_GLUON_DATA", str(folder))
    found = storage.describe_set(toy_set())
    assert found["state"] == "official" and found["folders"] == [str(folder)]


def test_the_named_folder_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("NIN_GLUON_DATA", str(tmp_path / "none"))
    for found in storage.describe_data():
        assert found["state"] == "unreadable" and "NIN_GLUON_DATA names" in found["problem"]


def test_cifar10(home):
    put(home / "cifar10", {small().archive.name: ARCHIVE})
    assert storage.describe_set(small())["state"] == "archive"
    assert [path.name for path in (home / "cifar10").iterdir()] == [CIFAR10.archive.name]
    put(home / "cifar10", OFFICIAL)
    assert storage.describe_set(small())["state"] == "official"


def test_files_of_the_users_own(home):
    put(home / "cifar10", {"data_batch_1.bin": records(20), "test_batch.bin": records(5)})
    found = storage.describe_set(small())
    assert found["state"] == "own" and found["folders"] == [str(home / "cifar10")]


@pytest.mark.parametrize("files, said", [
    ({"data_batch_1.bin": records(20)}, "lacks test_batch.bin"),
    ({"data_batch_1.bin": records(20)[:-1], "test_batch.bin": records(5)}, "data_batch_1.bin"),
])
def test_files_of_the_users_own_that_cannot_be_used(home, files, said):
    put(home / "cifar10", files)
    found = storage.describe_set(small())
    assert found["state"] == "unreadable" and said in found["problem"]


def test_places(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs, downloads = storage.describe_places()
    assert runs["path"] == str(tmp_path / "runs") and runs["writable"] and not runs["problem"]
    assert downloads["path"] == str(home / "fashion-mnist") and downloads["free_bytes"] > 0
    assert not home.exists() and not (tmp_path / "runs").exists()


def test_places_that_cannot_be_written_to(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file")
    monkeypatch.setattr(storage.os, "access", lambda *args: False)
    runs, downloads = storage.describe_places()
    assert "is not a folder; move it away" in runs["problem"] and not runs["writable"]
    assert "cannot be written to; change its permissions" in downloads["problem"]


def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 5 * 2**20})
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: usage)
    assert "has 5 MiB free" in storage.describe_place("runs", tmp_path / "runs")["problem"]


def test_a_folder_that_was_deleted_under_the_process(monkeypatch):
    def cwd():
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "cwd", cwd)
    runs, _ = storage.describe_places()
    assert runs["path"] is None and runs["problem"] == "it is not there"
