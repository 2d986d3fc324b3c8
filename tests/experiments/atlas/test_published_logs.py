"""Atlas files: the packaged one, round trips, damaged ones."""

import json
import re
from collections import Counter

import pytest

from nin_gluon import InputError
from nin_gluon.experiments.atlas.published_logs import (
    PublishedLog,
    is_copy,
    read_atlas,
    write_atlas,
)
from nin_gluon.experiments.published import EDITIONS

GOOD = {"framework": "mxnet", "recipe": "sgd-0.1", "epochs": 2, "loss": [2.2, 1.5],
        "train_acc": [0.2, 0.4], "test_acc": [0.3, 0.5], "sources": ["someone/else@1:nin.ipynb"]}


def write(path, *runs, **fields):
    content = {"format": "nin_gluon.atlas 1", "runs": list(runs), **fields}
    path.write_text(json.dumps(content), "utf-8")
    return path


def refused(path):
    """The one line about a damaged file."""
    with pytest.raises(InputError) as error:
        read_atlas(path)
    line = str(error.value)
    assert "\n" not in line and str(path) in line and len(line) < 600
    return line


# ------------------------------------------------------------------ the packaged file


def test_the_packaged_atlas_is_whole():
    logs = read_atlas()
    groups = Counter((log.framework, log.epochs) for log in logs if log.recipe == "sgd-0.1")
    assert groups[("mxnet", 5)] == 23 and groups[("mxnet-np", 10)] == 23
    assert groups[("pytorch", 10)] == 30 and groups[("tensorflow", 10)] == 16
    assert len(logs) == 112
    sources = [source for log in logs for source in log.sources]
    assert len(sources) == len(set(sources))
    # owner/repository@commit:path, or the book itself
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{12}:.+\.ipynb", source)
               for log in logs if not log.book for source in log.sources)


def test_the_books_log_in_it_is_the_one_that_reproduce_uses():
    book, = (log for log in read_atlas() if log.book)
    edition = EDITIONS["d2l-mxnet"]
    assert book.epochs == len(edition.log)
    assert book.loss == tuple(record.loss for record in edition.log)
    assert book.train_acc == tuple(record.train_acc for record in edition.log)
    assert book.test_acc == tuple(record.test_acc for record in edition.log)


def test_no_log_is_in_it_twice():
    logs = read_atlas()
    assert not any(is_copy(a, b) for a in logs for b in logs if a is not b)


def test_losses_of_all_ports_are_means_once_converted():
    """Guessing costs ln 10; a mean over images is in that region, not a hundred times smaller."""
    for log in read_atlas():
        first = log.mean_loss[0]
        assert first is None or 0.9 < first < 2.32


def test_it_is_written_as_it_is_read(tmp_path):
    write_atlas(tmp_path / "again.json", read_atlas())
    assert read_atlas(tmp_path / "again.json") == read_atlas()


# ------------------------------------------------------------------ copies


def log_of(**changes):
    return PublishedLog.from_json({**GOOD, **changes})


def test_copies_are_logs_whose_values_are_the_same():
    assert is_copy(log_of(), log_of(sources=["another/place@2:nin.ipynb"], recipe="sgd-0.05"))
    assert is_copy(log_of(), log_of(loss=[2.2004, 1.5]))
    assert is_copy(log_of(), log_of(loss=[None, 1.5], train_acc=[None, 0.4], test_acc=[None, 0.5]))
    assert not is_copy(log_of(), log_of(test_acc=[0.3, 0.501]))
    assert not is_copy(log_of(), log_of(framework="jax"))
    dead = {"loss": [None, 2.303], "train_acc": [None, 0.1], "test_acc": [None, 0.1]}
    assert is_copy(log_of(**dead), log_of(**dead))
    # Another run that has died prints the same.
    assert not is_copy(log_of(**dead), log_of(**dead, sources=["another/place@2:nin.ipynb"]))


def test_the_beginning_of_a_log_is_that_log():
    short = {"test_acc": [0.3, 0.5], "epochs": 2}
    longer = {"test_acc": [0.3, 0.5, 0.6], "train_acc": [0.2, 0.4, 0.5], "loss": [2.2, 1.5, 1.1],
              "epochs": 5}
    assert is_copy(log_of(**short), log_of(**longer))
    assert not is_copy(log_of(**longer), log_of(**short))  # the other way round it is more
    assert is_copy(log_of(), log_of(epochs=3))  # it was broken off, or wrongly described
    assert not is_copy(log_of(**short), log_of(**{**longer, "loss": [2.2, 1.6, 1.1]}))
    dead = {"test_acc": [0.1, 0.1], "train_acc": [0.1, 0.1], "loss": [2.303, 2.303], "epochs": 2}
    late = {"test_acc": [0.1, 0.1, 0.5], "train_acc": [0.1, 0.1, 0.3], "loss": [2.303, 2.303, 1.9],
            "epochs": 3}
    assert not is_copy(log_of(**dead), log_of(**late))  # many runs begin by guessing
    one = {"test_acc": [0.3], "train_acc": [0.2], "loss": [2.2], "epochs": 1}
    assert not is_copy(log_of(**one), log_of(**longer))  # one epoch may be alike


def test_one_final_accuracy_makes_no_copy():
    assert not is_copy(log_of(), log_of(loss=[], train_acc=[], test_acc=[None, 0.5]))


def test_values_off_a_plot_may_differ_by_its_error():
    many = {"epochs": 4, "loss": [2.2, 1.5, 1.1, 0.9], "train_acc": [0.2, 0.4, 0.5, 0.6],
            "test_acc": [0.3, 0.5, 0.6, 0.7]}
    near = {**many, "test_acc": [0.304, 0.498, 0.6, 0.7]}
    assert is_copy(log_of(**many), log_of(**near, read_from="plot"))
    assert not is_copy(log_of(**many), log_of(**near))


# ------------------------------------------------------------------ hostile files


@pytest.mark.parametrize("changes, complaint", [
    ({"framework": "caffe"}, "framework is 'caffe'"),
    ({"framework": ["mxnet"]}, "framework is"),
    ({"recipe": None}, "recipe is None"),
    ({"epochs": True}, "epochs is True"),
    ({"epochs": 2.0}, "epochs is 2.0"),
    ({"epochs": 10**9}, "epochs is 1000000000"),
    ({"epochs": 1}, "2 values of test_acc for 1 epoch"),
    ({"test_acc": [0.3, 1.5]}, "test_acc is 1.5"),
    ({"test_acc": [0.3, -0.1]}, "test_acc is -0.1"),
    ({"test_acc": [0.3, "0.5"]}, "test_acc is '0.5'"),
    ({"test_acc": [0.3, True]}, "test_acc is True"),
    ({"test_acc": [0.3, None]}, "last test accuracy is missing"),
    ({"test_acc": []}, "test_acc"),
    ({"test_acc": "0.5"}, "test_acc is '0.5'"),
    ({"test_acc": {"1": 0.5}}, "test_acc is"),
    ({"train_acc": [0.2]}, "2, 1 and 2 values"),
    ({"loss": [2.2, [1]]}, "loss is [1]"),
    ({"loss_is": "sum"}, "loss_is is 'sum'"),
    ({"read_from": 3}, "read_from is 3"),
    ({"book": 1}, "book is 1"),
    ({"note": "two\nlines"}, "note is"),
    ({"note": "x" * 501}, "note is"),
    ({"device": "\x07"}, "device is"),
    ({"sources": []}, "sources is []"),
    ({"sources": "a"}, "sources is 'a'"),
    ({"sources": [3]}, "a source is 3"),
    ({"sources": ["\x1b[2J"]}, "a source is"),
    ({"accuracy": 1}, "'accuracy' is no field"),
])
def test_a_damaged_run_is_named_with_what_is_wrong(tmp_path, changes, complaint):
    path = write(tmp_path / "atlas.json", GOOD, {**GOOD, **changes})
    line = refused(path)
    assert "run 2: " in line and complaint in line


@pytest.mark.parametrize("name", ["framework", "recipe", "epochs", "test_acc", "sources"])
def test_what_a_run_needs(tmp_path, name):
    run = {key: value for key, value in GOOD.items() if key != name}
    assert f"run 1: {name} is missing" in refused(write(tmp_path / "atlas.json", run))


@pytest.mark.parametrize("content", [
    b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"runs": []}', b"[" * 100_000,
    b'{"format": "nin_gluon.atlas 1"}', b'{"format": "nin_gluon.atlas 1", "runs": {}}',
    b'{"format": "nin_gluon.atlas 1", "runs": [3]}',
    b'{"format": "nin_gluon.atlas 1", "runs": [], "more": 1}',
    b'{"format": "nin_gluon.atlas 2", "runs": []}',
    b'{"format": "nin_gluon.atlas 1", "runs": [NaN]}',
    b'{"format": "nin_gluon.atlas 1", "runs": [' + b"1" * 5000 + b"]}",
])
def test_a_file_that_is_no_atlas(tmp_path, content):
    path = tmp_path / "atlas.json"
    path.write_bytes(content)
    refused(path)


def test_nan_is_no_accuracy(tmp_path):
    path = write(tmp_path / "atlas.json", {**GOOD, "loss": [float("nan"), 1.5]})
    assert "loss is nan, not a number" in refused(path)


def test_what_is_no_number_or_text(tmp_path):
    path = write(tmp_path / "atlas.json", {**GOOD, "loss": [2.2, 10**400]})
    assert "loss is inf, not a number" in refused(path)
    with pytest.raises(ValueError, match="a value of loss is 1000"):
        PublishedLog.from_json({**GOOD, "loss": [2.2, 10**400]})
    path = write(tmp_path / "atlas.json", {**GOOD, "device": "\ud800"})
    assert "is not text" in refused(path)


def test_no_file_and_a_folder(tmp_path):
    assert "there is no atlas file" in refused(tmp_path / "none.json")
    assert "is a folder, not a file" in refused(tmp_path)


def test_only_one_run_is_the_books(tmp_path):
    run = {**GOOD, "book": True}
    assert "more than one run" in refused(write(tmp_path / "atlas.json", run, run))
