"""The record of an epoch and the textbook's line."""

import json
import math

import pytest

from nin_gluon import InputError
from nin_gluon.experiments import published
from nin_gluon.training.history import EpochRecord, parse_log, read_history, write_history


def test_the_published_log_is_read_and_written_alike():
    records = parse_log(published.LOG_TEXT)
    assert records[0] == EpochRecord(1, 2.2627, 0.154, 0.362, 24.1)
    assert "\n".join(["training on gpu(0)", *map(str, records), ""]) == published.LOG_TEXT


def test_files_keep_full_precision(tmp_path):
    records = [EpochRecord(1, 1 / 3, 2 / 3, 0.1, 12.345678901), EpochRecord(2, 0.1, 0.2, 0.3, 4.0)]
    write_history(tmp_path / "history.jsonl", records)
    assert read_history(tmp_path / "history.jsonl") == records
    assert [p.name for p in tmp_path.iterdir()] == ["history.jsonl"]


def test_a_diverged_loss_can_be_read_back():
    line = "epoch 3, loss nan, train acc 0.100, test acc 0.100, time 1.0 sec"
    assert math.isnan(parse_log(line)[0].loss)


GOOD = {"epoch": 2, "loss": 2.0, "train_acc": 0.1, "test_acc": 0.2, "seconds": 3.0}


@pytest.mark.parametrize("line, words", [
    ("{", "line 2: Expecting property name"),
    ("", "line 2: it is empty"),
    ("[]", "line 2: [] is not a JSON object"),
    ("[" * 100_000, "line 2: it is nested too deeply"),
    ("1" * 1_000_000, "line 2: it is inf, not a number"),
    (json.dumps({**GOOD, "epoch": 3}), "line 2: epoch 3 where epoch 2 belongs"),
    (json.dumps({**GOOD, "loss": math.nan}), "line 2: loss is nan"),
    (json.dumps({**GOOD, "loss": "2"}), "line 2: loss is '2'"),
    (json.dumps({**GOOD, "test_acc": 20}), "line 2: test_acc is 20"),
    (json.dumps({**GOOD, "training_seconds": "2"}), "line 2: training_seconds is '2'"),
    (json.dumps({**GOOD, "colour": 1}), "line 2: 'colour' is unknown"),
    (json.dumps({"epoch": 2}), "line 2: it has no 'loss'"),
])
def test_a_damaged_history_is_named_with_the_line(tmp_path, line, words):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps({**GOOD, "epoch": 1}) + "\n" + line + "\n")
    with pytest.raises(InputError) as caught:
        read_history(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged (") and words in message
    assert "\n" not in message and len(message) < 500


def test_a_history_may_say_how_the_classes_did(tmp_path):
    path = tmp_path / "history.jsonl"
    records = [EpochRecord(**{**GOOD, "epoch": 1}),
               EpochRecord(**{**GOOD, "epoch": 2}, living=(), class_acc=(None, 0.0)),
               EpochRecord(**{**GOOD, "epoch": 3}, living=(0, 9), class_acc=(0.5, 1.0),
                           training_seconds=2.5)]
    write_history(path, records)
    assert read_history(path) == records
    assert "living" not in path.read_text().splitlines()[0]  # as version 0.1 wrote it


def test_a_clock_that_was_set_back_is_no_damage(tmp_path):
    records = [EpochRecord(1, 2.0, 0.1, 0.2, -9999.5)]
    write_history(tmp_path / "history.jsonl", records)
    assert read_history(tmp_path / "history.jsonl") == records
