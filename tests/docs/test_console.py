"""The outputs that the pages show are what the commands print."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from nin_gluon import plots
from tests.docs import console
from tests.docs.console import (
    console_blocks,
    console_pages,
    differs,
    in_chinese,
    run_page,
    written,
)
from tests.docs.pages import DOCS, pages


def has_gpu():
    """Whether a framework here would train on a GPU, and the outputs say so."""
    import mxnet as mx

    if find_spec("torch"):
        import torch

        return bool(mx.context.num_gpus()) or torch.cuda.is_available()
    return bool(mx.context.num_gpus())


@pytest.fixture
def blank_pictures(monkeypatch):
    """Empty files in place of pictures, which the pages list; drawing takes as long as training."""
    for draw in ("draw_curves", "draw_predictions", "draw_comparisons", "draw_odds",
                 "draw_resources", "draw_atlas"):
        monkeypatch.setattr(plots, draw, lambda *args: None)
    monkeypatch.setattr(plots, "save", lambda figure, path: Path(path).touch())
    # The mark tells whose file it is.
    monkeypatch.setattr(plots, "png", lambda figure, mark: mark.encode())


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.skipif(has_gpu(), reason="the outputs in the pages are those of a CPU")
@pytest.mark.parametrize("page", console_pages(), ids=lambda page: page.stem)
def test_outputs_are_those_of_the_commands(page, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    stale = [f"$ {line}\n{output}" for line, expected, output in run_page(page)
             if differs(line, expected, output)]
    assert not stale, ("run python -m tests.docs.console --write, and read what it changed:\n\n"
                       + "\n".join(stale))


TRANSLATED = [page for page in pages() if in_chinese(page).exists()]


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.stem)
def test_chinese_pages_have_the_same_blocks(page):
    assert console_blocks(in_chinese(page)) == console_blocks(page)


def test_there_are_such_pages():
    assert len(TRANSLATED) > 20
    assert DOCS / "tutorials" / "first-run.md" in console_pages()


@pytest.mark.parametrize("line, expected, output, different", [
    ("nin-gluon shapes", "a\nb\n", "a\nb\n", False),
    ("nin-gluon shapes", "a\n...\n", "a\nb\n", False),
    ("nin-gluon shapes", "a\n...\n", "b\n", True),
    ("nin-gluon shapes", "a\n...\nc\nd\n...\n", "a\nb\nc\nd\ne\n", False),
    ("nin-gluon shapes", "a\n...\nc\nd\n...\n", "a\nb\nc\ne\n", True),
    ("nin-gluon shapes", "a\n...\nd\n...\nc\n...\n", "a\nb\nc\nd\n", True),
    ("nin-gluon shapes", "a\n...\nd\n", "a\nb\nc\nd\n", False),
    ("nin-gluon shapes", "a\n...\nc\n", "a\nb\nc\nd\n", True),
    ("nin-gluon shapes", "a\nb\n...\nb\n", "a\nb\n", True),
    ("nin-gluon train", "loss 1.00\n...\n", "loss 1.05\nloss 0.90\n", False),
    ("nin-gluon shapes", "a\n", "a\nb\n", True),
    ("nin-gluon shapes", "1.00\n", "1.01\n", True),
    ("nin-gluon train", "about 3 s to go at 5 images/s\nloss 1.00, time 3.1 sec\n",
     "loss 1.05, time 9.9 sec\n", False),
    ("nin-gluon train", "loss 1.00\n", "loss 1.50\n", True),
    ("nin-gluon train", "loss 1.00\n", "acc 1.00\n", True),
])
def test_stale_outputs_are_noticed(line, expected, output, different):
    assert differs(line, expected, output) == different


@pytest.mark.parametrize("expected, output, shown", [
    ("a\n", "b\nc\n", "b\nc\n"),
    ("a\n...\n", "b\nc\n", "b\n...\n"),
    ("a\n...\nhead\n1\n...\n", "b\nc\nhead\n2\n3\n", "b\n...\nhead\n2\n...\n"),
    ("a\n...\ny\nz\n", "a\nb\nc\nd\n", "a\n...\nc\nd\n"),
    ("...\nz\n", "a\nb\n", "...\nb\n"),
    ("a\n...\nhead\n1\n...\nz\n", "a\nb\nhead\n2\n3\n4\n", "a\n...\nhead\n2\n...\n4\n"),
])
def test_pages_get_the_parts_of_todays_output_that_they_show(expected, output, shown):
    assert written(expected, output) == shown
    assert not differs("nin-gluon shapes", shown, output)


def test_a_part_that_cannot_be_found_is_named_and_left_to_a_person(tmp_path, monkeypatch, capsys):
    """Nobody knows which lines are in its place. The other blocks are written all the same."""
    page = tmp_path / "page.md"
    lost = "$ nin-gluon shapes\na\n...\nhead\n...\n"
    page.write_text(f"```console\n{lost}```\n\n```console\n$ nin-gluon resources\n1\n```\n")
    outputs = {"nin-gluon shapes": "a\nb\nc\n", "nin-gluon resources": "2\n"}
    monkeypatch.setattr(console, "ROOT", tmp_path)
    monkeypatch.setattr(console, "console_pages", lambda: [page])
    monkeypatch.setattr(console, "run_page", lambda page: [
        (line, expected, outputs[line]) for block in console_blocks(page)
        for line, expected in console.turns(block)])
    monkeypatch.setattr(sys, "argv", ["console", "--write"])
    assert console.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "page.md: nin-gluon shapes", "    the line 'head' has gone; change the page by hand",
        "page.md: nin-gluon resources"]
    assert console_blocks(page) == [lost, "$ nin-gluon resources\n2\n"]
