"""The record of an epoch and the textbook's line."""

import math

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
