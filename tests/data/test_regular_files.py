"""What may stand where a data file belongs: each ends in one line that says what to do."""

import errno
import os
import re
import socket

import pytest

from nin_gluon import checked_files
from nin_gluon.data.cifar_records import read_records
from nin_gluon.data.idx import read_idx
from nin_gluon.data.load import load_arrays
from nin_gluon.data.regular_files import is_file, open_file
from nin_gluon.errors import InputError
from tests.data.small_cifar import OFFICIAL, small
from tests.data.toys import PUBLISHED, put, toy_set

pytestmark = pytest.mark.usefixtures("mxnet_datasets")


def one_line(message, path, found):
    """Check that a message names the file and what was found, expected and to be done."""
    assert message.startswith(f"{path} {found}") and "; expected " in message
    assert re.search(r"\. Put .*\.$", message)
    assert "\n" not in message and "Errno" not in message and "Traceback" not in message


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


OBSTACLES = {
    "is a folder, not a file": os.mkdir,
    "is a pipe, not a file": os.mkfifo,
    "is a device, not a file": lambda path: os.symlink("/dev/zero", path),
    "is a socket, not a file": make_socket,
    "is a link to a file that does not exist": lambda path: os.symlink("nowhere", path),
}
obstacles = pytest.mark.parametrize("found, make", OBSTACLES.items(), ids=list(OBSTACLES))


@obstacles
@pytest.mark.parametrize("read", [lambda path: read_idx(path, (4, 3, 2)), read_records,
                                  lambda path: open_file(path, "a file").__enter__()],
                         ids=["IDX", "records", "open"])
def test_the_readers_refuse_it(tmp_path, monkeypatch, read, found, make):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    path = tmp_path / "it"
    make("it")
    with pytest.raises(InputError) as caught:
        read(path)
    one_line(str(caught.value), path, found)


@obstacles
@pytest.mark.parametrize("form", [str, lambda name: name[:-3]], ids=["compressed", "unpacked"])
def test_in_place_of_fashion_mnists_files(tmp_path, monkeypatch, server, found, make, form):
    name = form("pictures.gz")
    root = put(tmp_path / "data", {"names.gz": PUBLISHED["names.gz"]})
    monkeypatch.chdir(root)
    make(name)
    with pytest.raises(InputError) as caught:
        load_arrays(toy_set(server.address + "/"), "train", root)
    one_line(str(caught.value), root / name, found)
    assert "expected the file pictures.gz of Toys" in str(caught.value)
    assert not server.asked and sorted(os.listdir(root)) == ["names.gz", name]


@obstacles
@pytest.mark.parametrize("name", ["data_batch_2.bin", "cifar-10-binary.tar.gz"])
def test_in_place_of_cifar10s_files(tmp_path, monkeypatch, downloads, found, make, name):
    root = put(tmp_path / "data", {"data_batch_1.bin": OFFICIAL["data_batch_1.bin"]})
    monkeypatch.chdir(root)
    make(name)
    with pytest.raises(InputError) as caught:
        load_arrays(small(), "train", root)
    one_line(str(caught.value), root / name, found)
    assert not downloads and sorted(os.listdir(root)) == sorted(["data_batch_1.bin", name])


def refuse(monkeypatch, path, *names):
    """Let these functions refuse this one path, as the system does to a user without permission."""
    for name in names:
        owner = os if name == "stat" else checked_files
        real = getattr(owner, name, open)

        def function(asked, *args, real=real, **options):
            if str(asked) == str(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(asked, *args, **options)

        monkeypatch.setattr(owner, name, function, raising=False)


@pytest.mark.parametrize("function", ["open", "stat"])
def test_a_file_without_permission(tmp_path, monkeypatch, function):
    root = put(tmp_path / "data")
    refuse(monkeypatch, root / "pictures.gz", function)
    with pytest.raises(InputError) as caught:
        load_arrays(toy_set(), "train", root)
    one_line(str(caught.value), root / "pictures.gz",
             "cannot be read (permission is denied; change the permissions")


def test_a_file_that_is_really_without_permission(open_folder, as_user):
    root = put(open_folder / "data")
    (root / "pictures.gz").chmod(0)
    with as_user(), pytest.raises(InputError) as caught:
        load_arrays(toy_set(), "train", root)
    one_line(str(caught.value), root / "pictures.gz", "cannot be read (permission is denied")


def test_a_disk_that_fails_while_a_file_is_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"some")
    with pytest.raises(InputError) as caught, open_file(path, "a file of ours"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    one_line(str(caught.value), path, "cannot be read (the disk reports an error; check it)")


def test_a_name_that_is_too_long(tmp_path):
    path = tmp_path / ("x" * 300)
    with pytest.raises(InputError) as caught:
        is_file(path, "a file of ours")
    one_line(str(caught.value), path, "cannot be read (its name is too long)")


def test_a_file_there_or_not(tmp_path):
    path = tmp_path / "file"
    assert not is_file(path, "a file")
    assert not is_file(path / "below nothing", "a file")
    path.write_bytes(b"content")
    assert is_file(path, "a file")
    assert not is_file(path / "below a file", "a file")
    (tmp_path / "link").symlink_to("file")
    with open_file(tmp_path / "link", "a file") as file:
        assert file.read() == b"content"
