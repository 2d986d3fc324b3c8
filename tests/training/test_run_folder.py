"""The run folder: its config, and who may write there."""

import json

import pytest

from nin_gluon.errors import InputError
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.run_folder import (
    Environment,
    RunConfig,
    claim,
    lock,
    new_folder,
    read_config,
    write_config,
)

CONFIG = RunConfig("quick", TEXTBOOK.but(epochs=3, seed=7), Environment(
    ctx="cpu", data_dir="/data/图", workers=2, own_data="0123abcd", machine={"cpu": "x"}))


def test_a_config_is_read_as_it_was_written(tmp_path):
    write_config(tmp_path, CONFIG)
    assert read_config(tmp_path) == CONFIG
    content = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert (content["preset"], content["epochs"], content["workers"]) == ("quick", 3, 2)


@pytest.mark.parametrize("change", [
    {"ctx": 5}, {"ctx": None}, {"data_dir": 1}, {"workers": 0}, {"workers": "2"},
    {"workers": True}, {"own_data": {}}, {"machine": []}, {"preset": None}, {"epochs": "x"},
    {"unknown": 1}, {"lr": float("nan")},
])
def test_a_config_with_a_wrong_value_is_refused_by_name(tmp_path, change):
    content = {**CONFIG.to_json(), **change}
    (tmp_path / "config.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(InputError, match=f"config.json cannot be read .*{next(iter(change))}"):
        read_config(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"x"', "[" * 100000, "\ufeff{}"])
def test_a_config_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text, "utf-8")
    with pytest.raises(InputError, match="config.json cannot be read"):
        read_config(tmp_path)


def test_a_config_that_is_no_text_file_is_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="config.json is damaged: it is not UTF-8 text"):
        read_config(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="config.json is a folder, not a file"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_without_a_config_is_no_run_folder(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is not a run folder: it has no config.json"):
        read_config(tmp_path / name)


def test_a_new_run_goes_into_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert new_folder(str(tmp_path / "empty"), "nin") == tmp_path / "empty"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="is there already"):
        new_folder(str(tmp_path / "full"), "nin")
    assert new_folder(None, "nin-quick").name.endswith("-nin-quick")


def test_of_two_runs_of_one_second_each_gets_a_folder(tmp_path):
    first = claim(tmp_path / "runs" / "a")
    assert first.is_dir() and claim(tmp_path / "runs" / "a") != first


def test_one_process_at_a_time(tmp_path):
    with lock(tmp_path / "run"):
        with pytest.raises(InputError, match="another process is training"):
            lock(tmp_path / "run")
    lock(tmp_path / "run").lock.release()
