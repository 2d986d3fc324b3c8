"""The export command's options and refusals; tests/exports/ reads the files."""

import importlib.util
from functools import partial

import pytest

from nin_gluon.cli import main as cli_main
from nin_gluon.export import main
from tests import refusals
from tests.exports.made_runs import make_run

refused = partial(refusals.refused, main)

SAFETENSORS = ["--to", "safetensors"]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", model="cifar_nin", resize=28)


def test_nothing_is_overwritten_unasked(run, capsys, tmp_path):
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"mine")
    assert "is there already" in refused([run, *SAFETENSORS, "--out", mine], capsys)
    assert mine.read_bytes() == b"mine"
    assert cli_main(["export", str(run), *SAFETENSORS, "--out", str(mine), "--force"]) == 0
    assert len(mine.read_bytes()) > 3_800_000
    assert capsys.readouterr().out == f"{mine}\n"
    assert main([str(run), *SAFETENSORS]) == 0
    capsys.readouterr()
    assert "exported.safetensors is there already" in refused([run, *SAFETENSORS], capsys)
    (run / "exported-symbol.json").write_text("mine")  # one of a pair
    assert "exported-symbol.json is there already" in refused([run, "--to", "gluon"], capsys)
    assert not (run / "exported-0000.params").exists()


def test_bad_requests_are_one_line(run, capsys, tmp_path):
    assert "--to" in refused([run], capsys)
    assert "invalid choice" in refused([run, "--to", "caffe"], capsys)
    assert "is not a run folder" in refused([tmp_path, *SAFETENSORS], capsys)
    assert "there is no folder" in refused([run, *SAFETENSORS, "--out", tmp_path / "no/x"], capsys)
    assert "--force" in refused([run, *SAFETENSORS, "--out", tmp_path], capsys)
    assert "--out . is a folder" in refused([run, "--to", "gluon", "--out", "."], capsys)
    assert "--resize-inside is for --to onnx" in refused(
        [run, *SAFETENSORS, "--resize-inside"], capsys)
    assert "--data-dir is for --to onnx" in refused([run, *SAFETENSORS, "--data-dir", "x"], capsys)


def test_bicubic_resizing_stays_outside(tmp_path, capsys):
    pytest.importorskip("onnx", reason="needs the package onnx")
    run = make_run(tmp_path / "run", interpolation="bicubic")
    assert "this run's is bicubic" in refused([run, "--to", "onnx", "--resize-inside"], capsys)


@pytest.mark.parametrize("form, package", [("onnx", "onnx"), ("torch", "torch")])
def test_a_missing_package_is_named(form, package, run, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *more: None if name == package else find(name, *more))
    assert f"pip install -e '.[{package}]'" in refused([run, "--to", form], capsys)


def test_a_run_that_has_not_started(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    config = run / "config.json"
    config.write_text(config.read_text().replace('"resize": 67', '"resize": null'))
    assert "has not started" in refused([run, *SAFETENSORS], capsys)
