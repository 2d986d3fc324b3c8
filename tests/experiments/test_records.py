"""The record of a run: from its folder, as JSON and back, and what it says of how to run it."""

import json
import os
from dataclasses import replace

import pytest

from nin_gluon import InputError, train
from nin_gluon.experiments.records import (
    SETTING_ORDER,
    named_settings,
    record_from_json,
    record_to_json,
    train_command,
    train_options,
)
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.settings import PRESETS, TEXTBOOK
from nin_gluon.training.history import read_history, write_history
from tests.experiments.made_runs import BOOK, MACHINE, make_book_run, make_record

MEASURED = {"parameters": 10, "macs": 10**6, "test_images": 10000, "steps": 2, "stall": None,
            "train_images": 60000, "alive": 9}


# ------------------------------------------------------------------ from a run folder


def test_a_record_holds_what_the_run_was(tmp_path):
    run = make_book_run(tmp_path / "run", 4, 1 / 3, limit=64, own_data="1a2b3c4d")
    record = record_of_run(run)
    assert record.settings == BOOK.recipe.but(seed=4, limit=64)
    assert (record.seed, record.device, record.ctx, record.own_data) == (4, "cpu", "auto",
                                                                         "1a2b3c4d")
    assert record.machine == MACHINE and record.finished and record.diverged is None
    assert list(record.history) == read_history(run / "history.jsonl")
    assert record.command == ("python -m nin_gluon.train --dataset fashion-mnist --limit 64 "
                              "--seed 4")
    assert "/of/this/machine" not in json.dumps(record_to_json(record))
    assert {(epoch.living, epoch.class_acc) for epoch in record.history} == {(None, None)}
    assert record.escape_step is None


def test_what_epoch_lines_may_add(tmp_path):
    """Which classes are alive, and the accuracy of each."""
    run = make_book_run(tmp_path / "run", 0, epochs=3)
    path = run / "history.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1].update(living=[0, 2, 9], class_acc=[0.5, 0.0, 1, None])
    lines[2].update(living=[], class_acc=[0.25] * 10)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = record_of_run(run)
    # Nobody looked after the first epoch.
    assert [epoch.living for epoch in record.history] == [None, (0, 2, 9), ()]
    assert [epoch.class_acc for epoch in record.history] == [None, (0.5, 0.0, 1, None),
                                                             (0.25,) * 10]
    assert record_from_json(json.loads(json.dumps(record_to_json(record)))) == record


@pytest.mark.parametrize("fact, sentence", [
    ({"living": [1, 0]}, "living is [1, 0], not a list of class numbers in order"),
    ({"living": [1, 1]}, "living is [1, 1]"),
    ({"living": [-1]}, "living is -1"),
    ({"living": 3}, "living is 3"),
    ({"class_acc": [1.5]}, "class_acc is 1.5"),
    ({"class_acc": {}}, "class_acc is {}"),
    ({"escape_step": 1}, "'escape_step' is unknown"),
    ({"lives": [1]}, "'lives' is unknown"),
])
def test_what_epoch_lines_may_not_add(tmp_path, fact, sentence):
    run = make_book_run(tmp_path / "run", 0, epochs=1)
    path = run / "history.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fact}) + "\n")
    with pytest.raises(InputError) as caught:
        record_of_run(run)
    message = str(caught.value)
    assert f"{path} is damaged (line 1: " in message and sentence in message


def test_runs_that_make_no_record(tmp_path):
    def complaint(folder):
        with pytest.raises(InputError) as caught:
            record_of_run(folder)
        return str(caught.value)

    assert "is not a run folder" in complaint(tmp_path / "nothing")
    assert "is not a run folder" in complaint("/no/such/folder")
    assert "does not say on which device" in complaint(make_book_run(tmp_path / "old", 0,
                                                                     machine={}))
    half = make_book_run(tmp_path / "half", 0)
    write_history(half / "history.jsonl", read_history(half / "history.jsonl")[:3])
    assert not record_of_run(half).finished
    (half / "history.jsonl").unlink()  # killed in its first moments
    assert record_of_run(half).history == () and not record_of_run(half).finished
    config = half / "config.json"
    config.write_text(config.read_text().replace('"workers": 1', '"workers": 2'))
    assert "was made by 2 workers" in complaint(half)
    old = make_book_run(tmp_path / "bf16", 3, machine={}, dtype="bfloat16")  # which only CPUs have
    assert record_of_run(old).device == "cpu"


@pytest.mark.parametrize("name", ["config.json", "history.jsonl", "diverged.txt"])
def test_what_is_no_file_is_named(tmp_path, name):
    """A folder; a pipe, whose reader would wait for ever."""
    for number, put in enumerate((os.mkdir, os.mkfifo)):
        run = make_book_run(tmp_path / f"run-{number}", 0)
        (run / name).unlink(missing_ok=True)
        put(run / name)
        with pytest.raises(InputError, match="is a (folder|pipe), not a file") as error:
            record_of_run(run)
        assert str(run / name) in str(error.value)


@pytest.mark.usefixtures("slim", "no_pictures")
def test_divergence_leaves_its_mark_in_the_run(few_images, tmp_path, capsys):
    run = tmp_path / "run"
    assert train.main(["--resize", "67", "--batch-size", "8", "--lr", "1e6", "--dataset",
                       "fashion-mnist", "--init", "he", "--out", str(run)]) == 1
    record = record_of_run(run)
    assert record.finished and record.history == ()
    assert record.diverged in capsys.readouterr().err


# ------------------------------------------------------------------ as JSON


def test_a_record_as_json_and_back():
    record = make_record(TEXTBOOK.but(seed=3, epochs=2), [(2.3, 0.1, 0.1), (1 / 3, 0.5, 0.6)],
                         own_data="1a2b3c4d")
    content = record_to_json(record)
    assert tuple(content["settings"])[:len(SETTING_ORDER)] == SETTING_ORDER
    assert content["seed"] == 3 and "seed" not in content["settings"]
    assert "parameters" not in content
    assert record_from_json(json.loads(json.dumps(content))) == record
    measured = replace(record, **MEASURED)
    assert record_from_json(json.loads(json.dumps(record_to_json(measured)))) == measured
    del content["own_data"]  # as in the earliest records
    assert record_from_json(content) == replace(record, own_data=None)


def test_a_setting_that_a_record_does_not_name_had_the_textbooks_value():
    content = record_to_json(make_record(TEXTBOOK.but(epochs=1, wd=0.5), [(2.3, 0.1, 0.1)]))
    del content["settings"]["kvstore"], content["settings"]["wd"]
    assert record_from_json(content).settings == TEXTBOOK.but(epochs=1)


@pytest.mark.parametrize("change, sentence", [
    ({"seed": "x"}, "seed is 'x'"),
    ({"seed": True}, "seed is True"),
    ({"settings": {"epochs": 1}}, "it has no 'dtype'"),
    ({"settings": {"epochs": 1, "dtype": "float32", "seed": 0}}, "'seed' is unknown"),
    ({"settings": {"epochs": 1, "dtype": "float32", "rate": 1}}, "'rate' is unknown"),
    ({"settings": {"epochs": 1, "dtype": "int8"}}, "dtype is 'int8'; it must be one of"),
    ({"settings": {"epochs": 10**400, "dtype": "float32"}}, "epochs is 1000000000"),
    ({"device": "<b>"}, "device is '<b>'"),
    ({"command": "a\x1b[2Jb"}, "command is 'a\\x1b[2Jb'"),
    ({"machine": []}, "machine is []"),
    ({"machine": {"cpu": {}}}, "'cpu' of machine is {}"),
    ({"machine": {"threads": float("nan")}}, "'threads' of machine is nan"),
    ({"command": None}, "command is None, not a line of text"),
    ({"diverged": 3}, "diverged is 3, not a line of text"),
    ({"history": {}}, "history is {}"),
    ({"history": []}, "0 epochs of 1"),
    ({"surprise": 1}, "'surprise' is unknown"),
    ({"alive": 1}, "it has no 'parameters'"),
    ({"escape_step": -1}, "escape_step is -1"),
    ({**MEASURED, "macs": 0}, "macs is 0"),
    ({**MEASURED, "alive": 1.5}, "alive is 1.5"),
    ({**MEASURED, "steps": 10**30}, "steps is 1000000000"),
])
def test_what_is_no_record(change, sentence):
    content = record_to_json(make_record(TEXTBOOK.but(epochs=1), [(2.3, 0.1, 0.1)]))
    with pytest.raises(ValueError) as caught:
        record_from_json({**content, **change})
    assert sentence in str(caught.value)


# ------------------------------------------------------------------ how to run it


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_of_a_record_is_that_run(name):
    """Its options, short as they are, make the same settings as the preset that was run."""
    parser = train.build_parser()

    def planned(options):
        _, config = train.planned_run(parser.parse_args([*options, "--out", "nowhere"]))
        return config.settings

    wanted = planned(["--preset", name]).but(dataset="cifar10", resize=32, seed=5)
    assert planned(train_options(wanted)) == wanted
    other = "adam" if wanted.optimizer == "sgd" else "sgd"  # at a rate that is the preset's
    wanted = wanted.but(optimizer=other, momentum=0.0)
    assert planned(train_options(wanted)) == wanted


def test_the_command_is_as_short_as_it_can_be():
    assert train_command(TEXTBOOK) == "python -m nin_gluon.train --seed 0"
    assert train_command(PRESETS["paper-quick"].settings.but(seed=2, dataset="cifar10")) == (
        "python -m nin_gluon.train --model cifar_nin --dataset cifar10 --seed 2")
    assert train_command(TEXTBOOK, "gpu(1)").endswith("--seed 0 --ctx 'gpu(1)'")


def test_every_setting_is_named_once():
    assert sorted(named_settings(TEXTBOOK)) == sorted(set(TEXTBOOK.to_json()) - {"seed"})
