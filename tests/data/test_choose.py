"""Which data set a run uses."""

import logging

import pytest

from nin_gluon import InputError
from nin_gluon.data import choose
from nin_gluon.data.download import DownloadError


def offline(name):
    """A loader where only the sample can be had."""
    if name != "sample":
        raise DownloadError(f"no {name}: it could not be downloaded", "no connection")
    return f"images of {name}"


def test_the_usual_name_reaches_the_loader():
    assert choose.choose_dataset(None, None, str.upper) == ("fashion-mnist", "FASHION-MNIST")
    assert choose.choose_dataset("cifar-10", "folder", str.upper) == ("cifar10", "CIFAR10")


def test_the_sample_stands_in_for_what_nobody_asked_for(caplog):
    with caplog.at_level(logging.WARNING):
        assert choose.choose_dataset(None, None, offline) == ("sample", "images of sample")
    assert "cannot be downloaded (no connection)" in caplog.text


@pytest.mark.parametrize("dataset, data_dir", [("fashion-mnist", None), (None, "folder"),
                                               ("cifar10", "folder")])
def test_nothing_stands_in_for_what_the_user_named(dataset, data_dir):
    with pytest.raises(DownloadError):
        choose.choose_dataset(dataset, data_dir, offline)


def test_nothing_stands_in_where_each_worker_would_choose_for_itself():
    with pytest.raises(DownloadError):
        choose.choose_dataset(None, None, offline, alone=False)


def test_own_files_are_compared_once_a_run_has_begun(monkeypatch):
    monkeypatch.setattr(choose, "own_data", lambda name, root: "0123abcd")
    assert choose.check_own_data("cifar10", None, False, None) == "0123abcd"
    assert choose.check_own_data("cifar10", None, True, "0123abcd") == "0123abcd"
    for noted in (None, "ffffffff"):
        with pytest.raises(InputError, match="other files of CIFAR-10.*--data-dir"):
            choose.check_own_data("cifar10", None, True, noted)
