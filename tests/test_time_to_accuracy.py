"""Seconds until a test accuracy was reached: by arithmetic, from records and run folders."""

import json

import pytest

from benchmarks import time_to_accuracy
from nin_gluon.experiments.stores import write_record
from nin_gluon.settings import PRESETS, TEXTBOOK
from tests.experiments.made_runs import make_book_run, make_record

BOOK = TEXTBOOK.but(dataset="fashion-mnist")


def test_the_first_epoch_that_reaches_it_counts():
    log = make_record(BOOK, [(2.0, 0.1, acc) for acc in (0.3, 0.6, 0.5, 0.8, 0.7)]).history
    assert [time_to_accuracy.seconds_to(log, level) for level in (0.3, 0.55, 0.8, 0.81)] == [
        3, 6, 12, None]  # 3 s each


def test_rows_are_recipes_and_say_who_never_got_there():
    quick = PRESETS["quick"].settings.but(dataset="fashion-mnist")
    records = [make_record(BOOK.but(seed=seed), [(2.0, 0.1, acc)] * 5)
               for seed, acc in ((0, 0.6), (1, 0.5), (2, 0.7))]
    records.append(make_record(quick.but(dtype="bfloat16"), [(1.0, 0.8, 0.9)] * 2))
    head, _, first, second = time_to_accuracy.table(
        map(time_to_accuracy.timed, records), (0.55, 0.95)).splitlines()
    assert head.endswith("| to 0.55, s | to 0.95, s |")
    assert first == ("| textbook | float32 | cpu: a <fast> one, 2 threads | 0, 1, 2 | "
                     "3 (3 to 3), 2 of 3 | never |")
    assert second.startswith("| quick | bfloat16 | ") and second.endswith("| 0 | 3 | never |")


def test_run_folders_are_read_and_their_records_kept(tmp_path, capsys):
    run, kept = make_book_run(tmp_path / "run", 4), tmp_path / "kept"
    assert time_to_accuracy.main([str(run), "--keep", str(kept), "--levels", "0.5"]) == 0
    printed = capsys.readouterr().out
    path, = kept.iterdir()
    assert path.name == "float32-cpu-seed-4.jsonl"
    assert time_to_accuracy.main([str(path), "--levels", "0.5"]) == 0
    assert capsys.readouterr().out == printed
    assert time_to_accuracy.main([str(run), "--keep", str(kept)]) == 2
    assert "not overwritten" in capsys.readouterr().err


@pytest.mark.parametrize("source, sentence", [("none", "none"), ("bad.jsonl", "is damaged")])
def test_what_is_no_run_is_one_line(tmp_path, capsys, source, sentence):
    (tmp_path / "bad.jsonl").write_text("{")
    write_record(tmp_path / "good.jsonl", make_record(BOOK, [(2.0, 0.1, 0.5)] * 5))
    assert time_to_accuracy.main([str(tmp_path / "good.jsonl"), str(tmp_path / source)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and sentence in error


def test_the_books_own_code_has_a_row(tmp_path, capsys):
    line = "epoch {}, loss 2.0000, train acc 0.300, test acc {}, time {} sec"
    figures = {"machine": {"cpu": "a CPU", "threads": 2}, "logs": {"NiN": {"d2lzh": [
        [line.format(1, 0.271, 1000.5), line.format(2, 0.739, 1000.0)],
        [line.format(1, 0.6, 990.0), line.format(2, 0.5, 1000.0)]]}}}
    path = tmp_path / "book.json"
    path.write_text(json.dumps(figures))
    assert time_to_accuracy.main([str(path), "--levels", "0.544", "0.885"]) == 0
    assert capsys.readouterr().out.splitlines()[2] == (
        "| NiN, the book's code by d2lzh | float32 | cpu: a CPU, 2 threads | 0, 1 | "
        "1,495 (990 to 2,000) | never |")
    for wrong in ("{", "[]", "{}", '{"machine": {}, "logs": 3}'):
        path.write_text(wrong)
        assert time_to_accuracy.main([str(path)]) == 2
        assert "benchmarks.book" in capsys.readouterr().err
