"""Image sets published as an archive: finding, unpacking, downloading it."""

import errno
import gzip
import hashlib
import os

import pytest

from nin_gluon.data import archive
from nin_gluon.data.archive import unpack
from nin_gluon.data.download import DownloadError
from nin_gluon.data.image_set import DataFile
from nin_gluon.data.load import load_arrays
from nin_gluon.data.sets import CIFAR10
from nin_gluon.errors import InputError, why
from tests.data.small_cifar import (
    ARCHIVE,
    NAMES,
    OFFICIAL,
    assert_holds,
    assert_official,
    packed,
    records,
    small,
)
from tests.data.toys import put

pytestmark = pytest.mark.usefixtures("mxnet_datasets")


@pytest.mark.parametrize("name", ["", "cifar10", "cifar-10", "cifar-10-batches-bin"])
def test_official_files_are_found_in_folders_of_any_usual_name(tmp_path, caplog, downloads, name):
    put(tmp_path / "data" / name, OFFICIAL)
    assert_official(tmp_path / "data")
    assert not downloads and not caplog.messages


def test_mxnets_own_folder(mxnet_cifar, downloads):
    put(mxnet_cifar, OFFICIAL)
    assert_official()
    assert not downloads


def test_what_is_missing_of_the_official_files_is_downloaded(tmp_path, downloads):
    folder = put(tmp_path / "data", {name: OFFICIAL[name] for name in NAMES[1:3]})
    assert_official(folder)
    assert downloads == [(CIFAR10.archive.name, folder)]
    assert {path.name for path in folder.iterdir()} == {*NAMES, CIFAR10.archive.name}


def test_without_any_file_all_comes_into_mxnet_cifar(mxnet_cifar, downloads):
    assert_official()
    assert_official()
    assert downloads == [(CIFAR10.archive.name, mxnet_cifar)]
    assert {path.name for path in mxnet_cifar.iterdir()} == {*NAMES, CIFAR10.archive.name}


def test_official_files_are_not_completed_by_the_users_own(tmp_path, monkeypatch, downloads):
    root = put(tmp_path / "root", {NAMES[0]: OFFICIAL[NAMES[0]]})
    monkeypatch.setenv("NIN_GLUON_DATA", str(put(tmp_path / "env", {NAMES[1]: records(30)})))
    assert_official(root)
    assert len(downloads) == 1


def test_an_archive_that_is_there_is_unpacked(tmp_path, mxnet_cifar, downloads):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE})
    assert_official(folder)
    assert not downloads and {path.name for path in folder.iterdir()} == {*NAMES,
                                                                          CIFAR10.archive.name}


def test_an_archive_is_opened_once_for_all_files_of_a_split(tmp_path, monkeypatch, downloads):
    opened = []
    real = archive.tarfile.open
    monkeypatch.setattr(archive.tarfile, "open", lambda path: opened.append(path) or real(path))
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE, NAMES[1]: OFFICIAL[NAMES[1]]})
    assert_holds(load_arrays(small(), "train", folder), [OFFICIAL[name] for name in NAMES[:5]])
    assert opened == [folder / CIFAR10.archive.name]


def test_an_archive_in_a_folder_that_may_not_be_written(tmp_path, monkeypatch, mxnet_cifar,
                                                        downloads):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE})
    monkeypatch.setattr(archive.os, "access", lambda path, mode: path != folder)
    assert_official(folder)
    assert [path.name for path in folder.iterdir()] == [CIFAR10.archive.name]
    assert {path.name for path in mxnet_cifar.iterdir()} == set(NAMES)


@pytest.mark.parametrize("content", [ARCHIVE[:-100], b"", b"<html></html>", packed(OFFICIAL)])
def test_a_damaged_or_another_archive_is_named_and_left_alone(tmp_path, downloads, content):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: content})
    with pytest.raises(InputError, match="not the published archive of CIFAR-10, or is damaged"):
        load_arrays(small(), "train", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        CIFAR10.archive.name: content}


def test_nothing_is_overwritten_by_what_is_unpacked(tmp_path, mxnet_cifar, downloads):
    put(mxnet_cifar, {NAMES[1]: b"mine"})
    root = put(tmp_path / "root", {NAMES[0]: OFFICIAL[NAMES[0]]})
    put(root, {CIFAR10.archive.name: ARCHIVE})
    assert_official(root)
    assert (mxnet_cifar / NAMES[1]).read_bytes() == b"mine"


def test_a_download_that_fails_says_what_to_do(tmp_path, mxnet_cifar):
    with pytest.raises(DownloadError) as caught:
        load_arrays(small("http://127.0.0.1:9/"), "train", tmp_path / "data")
    message = str(caught.value)
    assert "no CIFAR-10: data_batch_1.bin, data_batch_2.bin" in message
    assert "cifar-10-binary.tar.gz could not be downloaded" in message
    assert "Put that file, from http://127.0.0.1:9/, there, or name their folder" in message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_folder_without_room_or_permission(tmp_path, monkeypatch, number):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE})

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch, pytest.raises(InputError) as caught:
        patch.setattr(archive.shutil, "copyfileobj", refuse)
        load_arrays(small(), "train", folder)
    message = str(caught.value)
    assert message == f"{folder / NAMES[0]} cannot be written: {why(OSError(number, ''))}"
    assert ";" in message and "Errno" not in message and "\n" not in message
    assert [path.name for path in folder.iterdir()] == [CIFAR10.archive.name]
    assert_holds(load_arrays(small(), "train", folder), [OFFICIAL[name] for name in NAMES[:5]])


def published_as(content, folder):
    """A set whose published archive has this content, and the archive's path."""
    path = put(folder, {CIFAR10.archive.name: content}) / CIFAR10.archive.name
    checksum = hashlib.md5(content).hexdigest()
    return small()._replace(archive=DataFile(CIFAR10.archive.name, (checksum,))), path


@pytest.mark.parametrize("content, says", [
    (packed({**OFFICIAL, NAMES[0]: OFFICIAL[NAMES[0]] * 2}), "has 73,752 bytes and not 36,876"),
    (packed({name: OFFICIAL[name] for name in NAMES[1:]}), f"lacks {NAMES[0]}"),
    (gzip.compress(b"no tar"), "cannot be unpacked"),
    (packed(OFFICIAL)[:-3000], "cannot be unpacked"),
], ids=["a larger file", "a file missing", "no tar", "cut short"])
def test_a_published_archive_that_does_not_hold_what_it_should(tmp_path, content, says):
    image_set, path = published_as(content, tmp_path / "data")
    with pytest.raises(InputError) as caught:
        unpack(image_set, path, image_set.splits["train"])
    message = str(caught.value)
    assert message.startswith(str(path)) and says in message and "expected" in message
    assert "move this one away so that it is looked for elsewhere" in message
    assert "\n" not in message
    left = [path for path in path.parent.iterdir() if path.name != CIFAR10.archive.name]
    assert all(path.read_bytes() == OFFICIAL[path.name] for path in left)  # no half of a file


def test_what_another_process_has_unpacked_meanwhile_is_not_in_the_way(tmp_path):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE, NAMES[2]: OFFICIAL[NAMES[2]]})
    assert len(unpack(small(), folder / CIFAR10.archive.name, small().splits["train"])) == 5


def test_something_in_the_way_of_what_is_unpacked(tmp_path):
    folder = put(tmp_path / "data", {CIFAR10.archive.name: ARCHIVE})
    (folder / NAMES[2]).symlink_to("nowhere")
    with pytest.raises(InputError, match=f"{NAMES[2]} is in the way of the official CIFAR-10"):
        unpack(small(), folder / CIFAR10.archive.name, small().splits["train"])
    assert not (folder / NAMES[0]).exists()
