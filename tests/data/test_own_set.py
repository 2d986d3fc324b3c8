"""Image sets of the user's own."""

import json
import logging

import pytest

from nin_gluon.data.load import load_arrays
from nin_gluon.data.own_set import fingerprint
from nin_gluon.data.sets import CIFAR10, own_data
from nin_gluon.errors import InputError
from tests.data.small_cifar import OFFICIAL, assert_holds, records, small
from tests.data.toys import put

pytestmark = pytest.mark.usefixtures("mxnet_datasets")


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
def test_the_users_own_files_are_not_mixed_with_official_ones(tmp_path, mxnet_cifar, downloads,
                                                             own, lacks, split):
    put(mxnet_cifar, OFFICIAL)
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


def test_a_set_of_the_users_own_is_told_from_others(tmp_path, mxnet_cifar, downloads):
    own = {"data_batch_1.bin": records(20), "test_batch.bin": records(5)}
    here = fingerprint(small(), put(tmp_path / "here", own))
    assert len(here) == 8 and int(here, 16) >= 0
    assert fingerprint(small(), put(tmp_path / "there", own)) == here  # wherever it lies
    for name, content in own.items():
        changed = {**own, name: content[:-1] + bytes([content[-1] ^ 1])}
        assert fingerprint(small(), put(tmp_path / name, changed)) != here
    put(mxnet_cifar, OFFICIAL)
    assert fingerprint(small()) is None
    assert fingerprint(CIFAR10, tmp_path / "nothing") is not None  # the above are not CIFAR's
    assert not downloads


@pytest.mark.parametrize("name", ["fashion-mnist", "sample", "cifar10"])
def test_published_sets_and_what_is_not_there_yet_are_nobodys_own(name):
    assert own_data(name) is None


@pytest.mark.usefixtures("slim", "no_pictures")
def test_a_run_does_not_go_on_with_other_files(tmp_path, capsys, monkeypatch):
    from nin_gluon import confidence, plots, train

    monkeypatch.setattr(plots, "draw_class_maps", lambda *args: None)

    def put_set(name):
        return str(put(tmp_path / name, {"data_batch_1.bin": records(16),
                                         "test_batch.bin": records(10)}))

    one, other, run = put_set("one"), put_set("other"), str(tmp_path / "run")
    options = ["--dataset", "cifar10", "--data-dir", one, "--resize", "67", "--epochs", "1",
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
