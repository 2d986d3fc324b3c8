"""The compare command: tables, picture, page and JSON of several runs."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from nin_gluon import plots
from nin_gluon.cli import main as cli_main
from nin_gluon.compare import main
from nin_gluon.training.history import read_history
from tests.experiments.made_runs import make_book_run


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch, request):
    if "pictures" not in request.keywords:
        monkeypatch.setattr(plots, "draw_run_curves", lambda *args: plots.Figure(figsize=(1, 1)))


@pytest.fixture
def runs(tmp_path):
    return [make_book_run(tmp_path / "one" / "run", 0),
            make_book_run(tmp_path / "other" / "run", 1, 0.05, epochs=3, lr=0.05)]


def refused(options, capsys):
    assert main(list(map(str, options))) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1
    return error


def table(text, title):
    """{run: {column: cell}} of a table in the text; no cell here holds two spaces."""
    head, *rows = text.split(f"{title}\n")[1].split("\n\n")[0].splitlines()
    names = re.split(r"\s\s+", head)
    return {cells[0]: dict(zip(names[1:], cells[1:]))
            for cells in (re.split(r"\s\s+", row) for row in rows)}


def test_tables(runs, capsys):
    assert cli_main(["compare", *map(str, runs)]) == 0
    out = capsys.readouterr().out
    assert table(out, "settings that differ") == {
        "one/run": {"epochs": "5", "lr": "0.1", "seed": "0"},
        "other/run": {"epochs": "3", "lr": "0.05", "seed": "1"}}
    results, history = table(out, "results"), read_history(runs[1] / "history.jsonl")
    best = max(history, key=lambda record: record.test_acc)
    assert results["other/run"] == {
        "epochs": "3", "loss": f"{history[-1].loss:.4f}",
        "train acc": f"{history[-1].train_acc:.3f}", "test acc": f"{history[-1].test_acc:.3f}",
        "best test acc": f"{best.test_acc:.3f}", "in epoch": str(best.epoch),
        "living classes": "-", "s an epoch": "60.0", "state": "done"}
    assert best.epoch == 2


def test_runs_that_are_unfinished_or_have_diverged(runs, tmp_path, capsys):
    lines = (runs[0] / "history.jsonl").read_text().splitlines(True)
    (runs[0] / "history.jsonl").write_text("".join(lines[:2]))
    diverged = make_book_run(tmp_path / "third", 2, diverged="the loss became nan")
    begun = make_book_run(tmp_path / "begun", 3)
    (begun / "history.jsonl").unlink()
    (begun / "progress.jsonl").unlink()
    assert main(list(map(str, [*runs, diverged, begun]))) == 0
    results = table(capsys.readouterr().out, "results")
    states = [row["state"] for row in results.values()]
    assert states == ["epoch 2 of 5", "done", "diverged", "epoch 0 of 5"]
    assert list(results.values())[3]["loss"] == "-"


def test_runs_of_one_recipe_and_what_else_may_differ(tmp_path, capsys):
    machine = {"devices": ["gpu(0)"]}
    same = [make_book_run(tmp_path / name, 0) for name in "ab"]
    assert main(list(map(str, same))) == 0
    assert capsys.readouterr().out.startswith("no setting differs\n")
    other = make_book_run(tmp_path / "c", 0, machine=machine, validation=1000, own_data="1a2b3c4d")
    assert main(list(map(str, [same[0], other]))) == 0
    out = capsys.readouterr().out
    assert table(out, "settings that differ")["c"] == {
        "validation": "1000", "device": "gpu(0)", "own_data": "1a2b3c4d"}
    assert "test acc of c is that of training images which were held out" in out


def test_json(runs, capsys):
    assert main([*map(str, runs), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["differences"] == {"epochs": [5, 3], "lr": [0.1, 0.05], "seed": [0, 1]}
    assert [run["name"] for run in said["runs"]] == ["one/run", "other/run"]
    assert said["runs"][0]["history"][0]["loss"] == 2.2627
    assert said["runs"][1]["results"]["state"] == "done"


class Page(HTMLParser):
    """What a page refers to, and its tags in balance."""

    def __init__(self):
        super().__init__()
        self.open, self.targets, self.tags = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.targets += [value for name, value in attributes if name in ("src", "srcset", "href")]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.pictures
def test_picture_and_page(runs, tmp_path, capsys):
    hostile = runs[1].rename(tmp_path / 'b"><script>alert(1)<script> $x$ {{ 7 * 7 }}')
    picture, page = tmp_path / "curves.png", tmp_path / "runs.html"
    options = [str(runs[0]), str(hostile), "--picture", str(picture), "--html", str(page)]
    assert main(options) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text("utf-8")
    assert "<script" not in text and "{{ 7 * 7 }}" in text
    parsed = Page()
    parsed.feed(text)
    assert not parsed.open and parsed.tags.count("table") == 3
    assert len(parsed.targets) == 2  # one picture for light, one for dark, and no other file
    assert all(target.startswith("data:image/png;base64,") for target in parsed.targets)
    assert parsed.targets[0] != parsed.targets[1] and "prefers-color-scheme: dark" in text
    before = picture.read_bytes(), page.read_bytes()
    assert main(options) == 0  # its own files may be replaced, and come out the same
    assert (picture.read_bytes(), page.read_bytes()) == before


def test_files_of_the_users_stay(runs, tmp_path, capsys):
    for option, name in (("--picture", "mine.png"), ("--html", "mine.html")):
        mine = tmp_path / name
        mine.write_text("mine")
        assert main([*map(str, runs), option, str(mine)]) == 2
        assert "was not written by this command" in capsys.readouterr().err
        assert mine.read_text() == "mine"


def test_bad_requests_are_one_line(runs, tmp_path, capsys):
    assert "name two or more" in refused([runs[0]], capsys)
    assert "named twice" in refused([runs[0], runs[1], f"{runs[0]}/."], capsys)
    assert "is not a run folder" in refused([runs[0], tmp_path], capsys)
    assert "should end in .png" in refused([*runs, "--picture", "x.jpeg"], capsys)
    assert "should end in .html" in refused([*runs, "--html", "x"], capsys)
    (runs[0] / "history.jsonl").write_text('{"epoch": 1')
    error = refused(runs, capsys)
    assert "history.jsonl is damaged (line 1" in error


def test_no_framework_is_needed(runs, tmp_path):
    options = [*map(str, runs), "--html", str(tmp_path / "runs.html")]
    code = ("import sys; from nin_gluon import plots\n"
            "plots.draw_run_curves = lambda *args: plots.Figure(figsize=(1, 1))\n"
            f"from nin_gluon.compare import main; status = main({options!r})\n"
            "assert not {'mxnet', 'torch'} & set(sys.modules), status\nsys.exit(status)")
    subprocess.run([sys.executable, "-c", code], check=True)
