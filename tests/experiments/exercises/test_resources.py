"""The exercise about resources: against the published figures, and what is recorded."""

import json

import pytest

from nin_gluon import plots
from nin_gluon.experiments.exercises.resources import measure, write_record
from nin_gluon.experiments.published import RESOURCES


def test_the_published_figures_are_those_of_three_channels_in_powers_of_1024():
    rows = {row["figure"]: row for row in measure()["published"]}
    assert set(rows) == set(RESOURCES)
    for name in ("parameters", "compute", "inference parameters", "training parameters"):
        assert round(rows[name]["three_channels"], 2) == rows[name]["published"]
        assert round(rows[name]["exact"], 2) != rows[name]["published"]
    activations = rows["inference activations"]  # the one that is not explained to the digit
    assert activations["three_channels"] == pytest.approx(activations["published"], rel=0.003)
    assert round(activations["three_channels"], 2) != activations["published"]
    assert measure(batch=2)["published"] is None
    assert measure(dtype="bfloat16")["published"] is None


def test_each_request_has_a_record_of_its_own(tmp_path, monkeypatch):
    record, picture = write_record(measure(), tmp_path)
    assert record == tmp_path / "exercises" / "resources.json"
    assert picture.read_bytes().startswith(b"\x89PNG")
    content = json.loads(record.read_text())
    assert content["command"] == "python -m nin_gluon.exercises resources"
    assert "machine" not in content and content["parameters"] == 1_992_166
    monkeypatch.setattr(plots, "draw_resources", lambda result: plots.Figure())
    record, _ = write_record(measure("nin,dropout=0.2", (80, 67), batch=2), tmp_path)
    assert record.name == "resources-model-nin_dropout_0.2-size-80x67-batch-2.json"
    assert json.loads(record.read_text())["command"].endswith(
        "resources --model nin,dropout=0.2 --size 80x67 --batch 2")
