"""From files to arrays: every accepted form, and each way in which a file can be bad."""

import gzip
import logging

import pytest

from nin_gluon.data.load import is_at_hand, load_arrays
from nin_gluon.errors import InputError
from tests.data.toys import (
    PLAIN,
    PUBLISHED,
    assert_toys,
    changed,
    folders_found,
    put,
    ranged,
    toy_set,
)

pytestmark = pytest.mark.usefixtures("mxnet_datasets")


def test_files_elsewhere_are_used_with_a_notice(tmp_path, monkeypatch, mxnet_toys, caplog):
    root = put(tmp_path / "root", {"pictures.gz": PUBLISHED["pictures.gz"]})
    put(mxnet_toys)
    with caplog.at_level(logging.WARNING, "nin_gluon"):
        assert folders_found(root=root) == {root, mxnet_toys}
    notice, = caplog.messages
    assert notice == f"{root} does not hold all of Toys; using {mxnet_toys}"


def test_no_notice_when_the_users_folder_holds_all(tmp_path, mxnet_toys, caplog, monkeypatch):
    put(tmp_path / "here" / "toys")
    monkeypatch.chdir(tmp_path / "here")
    with caplog.at_level(logging.WARNING, "nin_gluon"):
        for root in (".", "toys", "../here", tmp_path / "here" / "toys"):
            assert_toys(toy_set(), root=root)
    assert not caplog.messages


def test_whether_files_are_at_hand_is_told_without_a_download(server, tmp_path, mxnet_toys):
    image_set = toy_set(server.offer(ranged))
    assert not is_at_hand(image_set, "train")
    root = put(tmp_path / "root", {"pictures.gz": PUBLISHED["pictures.gz"]})
    assert not is_at_hand(image_set, "train", root)
    put(mxnet_toys, {"names.gz": PUBLISHED["names.gz"]})
    assert is_at_hand(image_set, "train", root)
    assert not server.asked


@pytest.mark.parametrize("form", [
    pytest.param({name[:-3]: content for name, content in PLAIN.items()}, id="unpacked"),
    pytest.param(PLAIN, id="unpacked, the name kept"),
    pytest.param({name: gzip.compress(content, 1) for name, content in PLAIN.items()}, id="fast"),
    pytest.param({name: gzip.compress(content[:99]) + gzip.compress(content[99:])
                  for name, content in PLAIN.items()}, id="in members"),
])
def test_every_form_of_the_right_content_is_accepted(tmp_path, form):
    assert_toys(toy_set(), root=put(tmp_path / "toys", form))


@pytest.mark.parametrize("name, content, says", [
    ("pictures.gz", PUBLISHED["pictures.gz"][:3000], "ends early"),
    ("pictures.gz", b"<html>sign in to this network</html>", "is a text file"),
    ("pictures.gz", b"", "is empty"),
    ("pictures.gz", PUBLISHED["names.gz"], "has 1 dimensions, not 3"),
    ("pictures.gz", gzip.compress(changed(PLAIN["pictures.gz"])), "not its content"),
    ("names.gz", gzip.compress(changed(PLAIN["names.gz"])), "not its content"),
    ("names.gz", changed(PLAIN["names.gz"]), "not its content"),
    ("names.gz", gzip.compress(PLAIN["names.gz"][:-1] + b"\3"), "holds the label 3"),
], ids=["truncated", "html", "empty", "labels", "pixel", "label", "label unpacked", "out of range"])
@pytest.mark.parametrize("place", ["root", "NIN_GLUON_DATA", "MXNet"])
def test_a_bad_file_is_named_and_left_alone(server, tmp_path, monkeypatch, mxnet_toys, place,
                                            name, content, says):
    folder = put(mxnet_toys if place == "MXNet" else tmp_path / "own",
                 {**PUBLISHED, name: content})
    if place == "NIN_GLUON_DATA":
        monkeypatch.setenv("NIN_GLUON_DATA", str(folder))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError) as caught:
        load_arrays(toy_set(server.offer(ranged)), "train", folder if place == "root" else None)
    message = str(caught.value)
    assert str(folder / name) in message and says in message and "expected" in message
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert not server.asked
