"""Where records are kept: what is written is read, and what is damaged is named."""

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from nin_gluon import InputError, checked_files
from nin_gluon.analysis.signal import Signal
from nin_gluon.experiments.exercises.registry import EXERCISES
from nin_gluon.experiments.stores import ExerciseFile, RecordFolder, read_record, write_record
from nin_gluon.settings import TEXTBOOK
from tests.experiments.made_runs import BOOK, MACHINE, book_records, make_record

RESULTS = Path(__file__).parents[2] / "results"
SIGNAL = Signal("he", 0, 67, "sample", (0.5,), (0.1,), (1e-9,))


def measured(seed=0, test_acc=0.5, **changes):
    """A record as exercises keep it."""
    settings = TEXTBOOK.but(seed=seed, epochs=1, dataset="sample", resize=67, **changes)
    return replace(make_record(settings, [(2.0, 0.5, test_acc)]), parameters=10, macs=10**6,
                   test_images=10000, steps=2)


# ------------------------------------------------------------------ what there is already


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*.jsonl")),
                         ids=lambda path: str(path.relative_to(RESULTS)))
def test_records_of_runs_that_were_made_are_read(path, tmp_path):
    """And written as they are, but for what records did not say yet."""
    record = read_record(path)
    assert record.finished and record.settings.epochs == len(record.history)
    write_record(tmp_path / "again", record)
    old, new = (list(map(json.loads, file.read_text().splitlines()))
                for file in (path, tmp_path / "again"))
    assert new[1:] == old[1:]
    check_additions(old[0], new[0])


def check_additions(old, new):
    """A record that is written again says what it said, and of what is new that nothing is known.
    """
    settings = new.pop("settings")
    assert {**TEXTBOOK.to_json(), **old.pop("settings"), "seed": old["seed"]} == {
        **settings, "seed": new["seed"]}
    assert new.items() >= old.items()
    assert all(new[key] is None for key in set(new) - set(old))


ANSWERED = [path for path in sorted(RESULTS.rglob("exercises/*.json")) if path.stem in EXERCISES]


@pytest.mark.parametrize("path", ANSWERED, ids=lambda path: str(path.relative_to(RESULTS)))
def test_exercises_that_were_answered_are_read(path, tmp_path):
    name, exercise = path.stem, EXERCISES[path.stem]
    records, signals = ExerciseFile(path, name, inits=exercise.signals).read()
    assert len(records) > 5 and bool(signals) == bool(exercise.signals)
    again = ExerciseFile(tmp_path / "x.json", name, exercise.question, exercise.signals)
    again.write(records, signals)
    assert sorted(again.read()[0], key=str) == sorted(records, key=str)
    old = json.loads(path.read_text())
    new = json.loads(again.path.read_text())
    for before, after in zip(old.pop("runs"), new.pop("runs")):
        check_additions(before, after)
    assert new == old


# ------------------------------------------------------------------ a folder


def test_a_record_is_a_line_for_the_run_and_one_for_each_epoch(tmp_path):
    folder = RecordFolder(tmp_path / "a" / "b", BOOK.recipe)
    assert folder.read() == {} and folder.keys() == set()
    record, = book_records(0.1, limit=64).values()
    folder.add(record, Path("run"))
    (path, same), = folder.read().items()
    assert same == record and folder.keys() == {record.key}
    assert path.name == "float32-cpu-limit-64-seed-0.jsonl"
    first, *epochs = map(json.loads, path.read_text().splitlines())
    assert (first["seed"], first["settings"]["limit"], first["ctx"]) == (0, 64, "auto")
    assert first["machine"] == MACHINE and len(epochs) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_two_processes_add_to_one_folder(tmp_path):
    """Each adds ten records, one of which both have; none is lost, and none is there twice."""
    children = []
    for first in (0, 9):
        child = os.fork()
        if not child:
            status = 1
            try:
                for seed in range(first, first + 10):
                    record, = book_records(0.1, limit=seed + 1).values()
                    RecordFolder(tmp_path, BOOK.recipe).add(record, Path("run"))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    records = RecordFolder(tmp_path, BOOK.recipe).read().values()
    assert sorted(record.settings.limit for record in records) == list(range(1, 20))


def test_a_record_that_is_there_is_not_changed(tmp_path):
    folder = RecordFolder(tmp_path, BOOK.recipe)
    record, = book_records(0.1).values()
    folder.add(record, Path("run"))
    path, = folder.read()
    path.write_text(path.read_text().replace('"command": "command"', '"command": "other words"'))
    before = path.read_bytes()
    folder.add(replace(record, escape_step=3), Path("run"))  # the same run
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="finished seeds are kept"):
        folder.add(*book_records(0.2).values(), Path("run"))
    other, = book_records(0.1, dtype="bfloat16").values()
    path.rename(tmp_path / "bfloat16-cpu-seed-0.jsonl")
    with pytest.raises(InputError, match="is in the way"):
        folder.add(other, Path("run"))


@pytest.mark.parametrize("line, text, sentence", [
    (1, "{", "line 1: "),
    (1, "[]", "line 1: [] is not a JSON object"),
    (1, "", "line 1: "),
    (1, '{"seed": "x"}', "line 1: it has no 'settings'"),
    (3, '{"epoch": 2, "loss"', "line 3: "),
    (3, '{"epoch": 2}', "line 3: it has no 'loss'"),
    (3, '{"epoch": 3, "loss": 1, "train_acc": 0.1, "test_acc": 0.1, "seconds": 1}',
     "line 3: epoch 3 where epoch 2 belongs"),
    (4, '{"epoch": 3, "loss": NaN, "train_acc": 0.1, "test_acc": 0.1, "seconds": 1}',
     "line 4: loss is nan"),
    (4, '{"epoch": 3, "loss": 1, "train_acc": 36.0, "test_acc": 0.1, "seconds": 1}',
     "line 4: train_acc is 36.0"),
    (4, '{"epoch": 3, "epoch": 3, "loss": 1, "train_acc": 0.1, "test_acc": 0.1, "seconds": 1}',
     "line 4: a name stands twice"),
    (4, "[" * 100_000, "line 4: it is nested too deeply"),
    (4, '"' + "x" * 10**6 + '"', "line 4: 'xxxxxxxx"),
    (6, None, "4 epochs of 5"),
])
def test_a_damaged_record_is_named(tmp_path, line, text, sentence):
    path = tmp_path / "0.jsonl"
    write_record(path, *book_records(0.0).values())
    lines = path.read_text().splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        read_record(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged (") and sentence in message
    assert message.endswith("or move it away and run its seed again.") and len(message) < 600


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    assert RecordFolder(tmp_path / "nothing", BOOK.recipe).read() == {}
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file cannot be read: "):
        RecordFolder(tmp_path / "file", BOOK.recipe).read()


def test_one_seed_twice_is_refused(tmp_path):
    record, = book_records(0.0).values()
    for name in ("a.jsonl", "b.jsonl"):
        write_record(tmp_path / name, record)
    with pytest.raises(InputError, match="are both of seed 0 with the same settings"):
        RecordFolder(tmp_path, BOOK.recipe).read()


def test_a_record_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "0.jsonl"
    write_record(path, *book_records(0.0).values())

    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", str(path))

    # root may read whatever its mode is
    monkeypatch.setattr(checked_files, "open", refuse, raising=False)
    with pytest.raises(InputError, match=r"cannot be read \(permission is denied; change the"):
        read_record(path)


@pytest.mark.parametrize("put, sentence", [
    (os.mkdir, "is a folder, not a file; move it away."),
    (os.mkfifo, "is a pipe, not a file; move it away."),
    (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40), "bytes"),
    (lambda path: Path(path).write_bytes("{é".encode("latin-1")), "it is not UTF-8 text"),
    (lambda path: Path(path).write_text("{}", "utf-16"), "it is not UTF-8 text"),
])
def test_what_is_no_text_file_is_named(tmp_path, put, sentence):
    path = tmp_path / "0.jsonl"
    put(path)
    for read in (lambda: read_record(path), ExerciseFile(path).read,
                 RecordFolder(tmp_path, BOOK.recipe).read):
        with pytest.raises(InputError) as caught:
            read()
        assert str(path) in str(caught.value) and sentence in str(caught.value)


# ------------------------------------------------------------------ an exercise's file


def test_what_is_written_is_read(tmp_path):
    store = ExerciseFile(tmp_path / "results" / "x.json", "x", "why?")
    assert store.read() == ([], []) and store.keys() == set()
    kept = [measured(1), replace(measured(0, 1 / 3), stall=4), measured(0, lr=7.0)]
    signals = [Signal("he", 0, 67, "sample", (1 / 3, 0.5), (0.1, 0.2), (1e-9, 1e-8))]
    store.write(kept, signals)
    first = store.path.read_bytes()
    again, same = store.read()
    assert sorted(map(str, again)) == sorted(map(str, kept)) and same == signals
    store.path.unlink()
    store.write(kept[::-1], signals)  # in another order
    assert store.path.read_bytes() == first
    content = json.loads(first)
    assert content["exercise"] == "x" and len(content["runs"]) == 3
    assert content["runs"][0]["machine"] == MACHINE and content["runs"][0]["command"] == "command"


def test_records_and_signals_are_kept_once(tmp_path):
    store = ExerciseFile(tmp_path / "x.json", "x", "why?", ["he"])
    for acc in (0.5, 0.6):
        store.add(measured(0, acc), Path("run"))
        store.add_signal(SIGNAL)
    assert store.read() == ([measured(0, 0.5)], [SIGNAL])


def test_records_made_before_training_images_were_kept_are_read(tmp_path):
    store = ExerciseFile(tmp_path / "x.json", "x", "why?")
    store.write([measured()], [])
    text = store.path.read_text()
    store.path.write_text(text.replace(', "train_images": null', ""))
    assert store.path.read_text() != text
    assert store.read()[0] == [measured()]


def test_a_writer_waits_for_the_lock_beside_the_file(tmp_path):
    """And sees what was written meanwhile: nothing of it is lost."""
    store = ExerciseFile(tmp_path / "x.json", "x", "why?")
    with store.lock():
        writer = threading.Thread(target=store.add, args=(measured(1), Path("run")), daemon=True)
        writer.start()
        writer.join(0.3)
        assert writer.is_alive() and not store.path.exists()
        store.write([measured(0)], [])
    writer.join(30)
    assert not writer.is_alive() and store.read()[0] == [measured(0), measured(1)]
    assert {path.name for path in tmp_path.iterdir()} <= {"x.json", ".x.lock"}


@pytest.mark.parametrize("old, new, sentence", [
    ('"runs"', '"walks"', "it has no 'runs'"),
    ('"signals"', '"more": [], "signals"', "'more' is unknown"),
    ('"epoch": 1', '"epoch": 2', "epoch 2 where epoch 1 belongs"),
    ('"test_acc": 0.5', '"test_acc": 50', "test_acc is 50"),
    ('"stall": null', '"stall": "x"', "stall is 'x'"),
    ('"parameters": 10, ', "", "'parameters'"),
    ('"seed": 0, "settings"', '"seed": "0", "settings"', "seed is '0'"),
    ('"seed": 0', '"seed": "0"', "seed is '0'"),
    ('"size": [0.5]', '"size": [NaN]', "size is nan, not a number"),
    ('"size": [0.5]', '"size": [-0.5]', "the signal of he, seed 0, has size -0.5"),
    ('"size": [0.5]', '"size": []', "the signal of he, seed 0, is not that of every layer"),
    ('"spread": [0.1]', '"spread": []', "is not that of every layer"),
    ('"gradient": [1e-09]', '"gradient": [1e-09, 1e-09]', "is not that of every layer"),
    ('"gradient": [1e-09]', '"gradient": 1e-09', "gradient is 1e-09, not a list"),
    ('"init": "he"', '"init": "xavier"', "the signal of xavier, seed 0, does not belong here"),
    ('"test_images": 10000', '"test_images": 0', "test_images is 0"),
    ('"stall": null', '"stall": -1', "stall is -1"),
    ("}\n", "", "Expecting ',' delimiter"),
])
def test_a_damaged_file_is_named(tmp_path, old, new, sentence):
    store = ExerciseFile(tmp_path / "x.json", "x", "why?", ("he",))
    store.write([measured()], [SIGNAL])
    text = store.path.read_text()
    assert old in text
    head, _, tail = text.rpartition(old)
    store.path.write_text(head + new + tail)
    with pytest.raises(InputError) as caught:
        store.read()
    message = str(caught.value)
    assert message.startswith(f"{store.path} is damaged (") and sentence in message
    assert "are taken in again" in message
    assert store.path.read_text() == head + new + tail


def test_a_run_that_stands_twice_in_a_file_is_damage(tmp_path):
    store = ExerciseFile(tmp_path / "x.json", "x", "why?")
    store.write([measured(), measured(0, 0.6)], [])
    with pytest.raises(InputError, match="two runs are of the same seed and settings"):
        store.read()


def test_the_files_of_the_repository_are_left_as_they_are(tmp_path):
    """Reading and adding what is there already change no byte."""
    shutil.copytree(RESULTS / "textbook", tmp_path / "textbook")
    folder = RecordFolder(tmp_path / "textbook", BOOK.recipe)
    before = {path: path.read_bytes() for path in folder.read()}
    for record in folder.read().values():
        folder.add(record, Path("run"))
    assert {path: path.read_bytes() for path in folder.read()} == before
