"""Where the files of an image set are looked for."""

import errno
import os

import pytest

from nin_gluon.data import folders
from nin_gluon.data.load import load_arrays
from nin_gluon.errors import InputError
from tests.data.toys import PUBLISHED, assert_toys, folders_found, put, toy_set

pytestmark = pytest.mark.usefixtures("mxnet_datasets")


@pytest.mark.parametrize("split", ["train", "test"])
def test_root_is_the_folder_of_the_files_or_the_one_above_it(tmp_path, split):
    folder = put(tmp_path / "data" / "toys")
    for root in (folder, folder.parent, str(folder)):
        assert_toys(toy_set(), split, root)


def test_search_order(tmp_path, monkeypatch, mxnet_toys):
    in_root, in_env = put(tmp_path / "root" / "toys"), put(tmp_path / "env" / "toys")
    put(mxnet_toys)
    monkeypatch.setenv("NIN_GLUON_DATA", str(in_env.parent))
    assert folders_found(root=tmp_path / "root") == {in_root}
    assert folders_found() == {in_env}
    monkeypatch.setenv("NIN_GLUON_DATA", str(in_env))
    assert folders_found() == {in_env}
    monkeypatch.delenv("NIN_GLUON_DATA")
    assert folders_found() == {mxnet_toys}


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = put(tmp_path / "mine" / "toys")
    assert folders_found(root="~/mine") == {folder}
    monkeypatch.setenv("NIN_GLUON_DATA", "~/mine")
    assert folders_found() == {folder}
    monkeypatch.delenv("NIN_GLUON_DATA")
    folder = put(tmp_path / "other" / "datasets" / "toys")
    monkeypatch.setenv("MXNET_HOME", "~/other")
    assert folders_found() == {folder}


def test_without_mxnet_home_mxnets_default_is_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for unset in (lambda: monkeypatch.setenv("MXNET_HOME", ""),
                  lambda: monkeypatch.delenv("MXNET_HOME")):
        unset()
        assert folders.mxnet_folder(toy_set()) == tmp_path / ".mxnet" / "datasets" / "toys"


@pytest.mark.parametrize("said_by", ["root", "NIN_GLUON_DATA"])
def test_a_data_folder_that_is_a_file(tmp_path, monkeypatch, said_by):
    path = tmp_path / "pictures.gz"
    path.write_bytes(PUBLISHED["pictures.gz"])
    if said_by == "NIN_GLUON_DATA":
        monkeypatch.setenv("NIN_GLUON_DATA", str(path))
    with pytest.raises(InputError) as caught:
        load_arrays(toy_set(), "train", path if said_by == "root" else None)
    assert f"{path} is a file" in str(caught.value) and "folder" in str(caught.value)
    assert said_by == "root" or "NIN_GLUON_DATA" in str(caught.value)
    assert path.read_bytes() == PUBLISHED["pictures.gz"]


def test_a_folder_in_the_environment_that_is_not_there(tmp_path, mxnet_toys, monkeypatch):
    monkeypatch.setenv("NIN_GLUON_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="NIN_GLUON_DATA names .*nowhere, which does not exist"):
        load_arrays(toy_set(), "train")


def test_a_home_folder_of_nobody():
    with pytest.raises(InputError, match="~nobody-by-this-name/data begins with the home folder"):
        load_arrays(toy_set(), "train", "~nobody-by-this-name/data")


@pytest.mark.parametrize("named_by", ["root", "NIN_GLUON_DATA"])
def test_a_folder_that_may_not_be_looked_into(tmp_path, monkeypatch, named_by):
    folder = tmp_path / "locked" / "data"
    if named_by == "NIN_GLUON_DATA":
        monkeypatch.setenv("NIN_GLUON_DATA", str(folder))

    def refuse(path, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(folders.Path, "exists", refuse)
    with pytest.raises(InputError) as caught:
        load_arrays(toy_set(), "train", folder if named_by == "root" else None)
    message = str(caught.value)
    assert f"{folder} cannot be looked into (permission is denied; change the perm" in message
    assert "give the folder that holds the files of Toys" in message and "Errno" not in message
