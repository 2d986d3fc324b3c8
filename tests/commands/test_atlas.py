"""The atlas command: tables, picture, adding logs."""

import json
import random
from functools import partial

import filelock
import pytest

from nin_gluon import atlas, cli, plots
from nin_gluon.experiments.atlas import adding_logs
from nin_gluon.experiments.atlas.published_logs import PACKAGED, read_atlas
from nin_gluon.plots.atlas import draw_atlas
from tests import refusals

refused = partial(refusals.refused, atlas.main)

LINES = """\
training on gpu(0)
epoch 1, loss 2.2411, train acc 0.161, test acc 0.341, time 24.1 sec
epoch 2, loss 1.6733, train acc 0.372, test acc 0.585, time 22.9 sec
"""

BOOK = """\
epoch 1, loss 2.2627, train acc 0.154, test acc 0.362, time 24.1 sec
epoch 2, loss 1.6522, train acc 0.381, test acc 0.578, time 22.9 sec
epoch 3, loss 1.8721, train acc 0.296, test acc 0.360, time 22.9 sec
epoch 4, loss 1.3249, train acc 0.481, test acc 0.529, time 22.9 sec
epoch 5, loss 1.1868, train acc 0.532, test acc 0.544, time 23.0 sec
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_picture(monkeypatch):
    monkeypatch.setattr(atlas, "draw", lambda groups, path: None)


def notebook(path, text, source="lr, num_epochs, batch_size = 0.1, 2, 128"):
    cells = [{"cell_type": "code", "source": ["import d2lzh as d2l\n", "net = nin()\n", source],
              "outputs": [{"output_type": "stream", "text": text.splitlines(keepends=True)}]}]
    path.write_text(json.dumps({"nbformat": 4, "cells": cells}))
    return str(path)


# ------------------------------------------------------------------ tables and picture


def test_tables_and_a_picture(here, capsys, monkeypatch):
    """Of the first groups; that of all is drawn in tests/plots."""
    monkeypatch.setattr(plots, "draw_atlas", lambda groups: draw_atlas(groups[:2]))
    assert atlas.main([]) == 0
    out, error = capsys.readouterr()
    assert "112 published runs and 0 of our own" in out
    assert error == f"picture: {here.relative_to(here) / 'results/atlas.png'}\n"
    picture = (here / "results" / "atlas.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and b"nin_gluon.atlas" in picture
    assert atlas.main(["--out", "again.png"]) == 0  # the same bytes
    assert (here / "again.png").read_bytes() == picture


def test_a_picture_of_somebody_else_stays(here, capsys, monkeypatch):
    monkeypatch.setattr(plots, "draw_atlas", lambda groups: plots.Figure())
    (here / "mine.png").write_bytes(b"holiday")
    assert atlas.main(["--out", "mine.png"]) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert (here / "mine.png").read_bytes() == b"holiday"


def test_json_for_programs(here, no_picture, capsys):
    assert cli.main(["atlas", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert sum(len(group["runs"]) for group in data["groups"]) == 112
    assert len(data["comparisons"]) == 2


@pytest.mark.parametrize("edition", ["textbook", "d2l-pytorch"])
def test_own_records_are_among_them(edition, here, no_picture, capsys):
    """Records of the format in which results/textbook keeps them."""
    folder = here / "results" / edition
    folder.mkdir(parents=True)
    for seed, epochs in ((0, 5), (1, 5), (2, 2)):
        head = {"seed": seed, "settings": {
            "model": "nin", "dataset": "fashion-mnist", "epochs": epochs, "batch_size": 128,
            "resize": 224, "limit": None, "optimizer": "sgd", "lr": 0.1, "momentum": 0.0,
            "wd": 0.0, "schedule": "constant", "init": "xavier", "augment": "none",
            "preprocess": "none", "validation": None, "dtype": "float32", "kvstore": "device"},
            "device": "cpu", "ctx": "auto", "machine": {"mxnet": "1.9.1", "devices": ["cpu(0)"]},
            "command": "python -m nin_gluon.train", "diverged": None, "own_data": None}
        lines = [{"epoch": number, "loss": 1.0, "train_acc": 0.5,
                  "test_acc": 0.7 + seed / 10 + number / 100, "seconds": 60.0}
                 for number in range(1, epochs + 1)]
        (folder / f"float32-cpu-seed-{seed}.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in [head, *lines]))
    assert atlas.main([]) == 0
    out, error = capsys.readouterr()
    assert "112 published runs and 2 of our own" in out
    assert ("our runs, 5 epochs: 2 runs, median 0.800 (2 in float32)\n         8  0.750\n"
            "   9 or 10  0.850") in out
    assert error.startswith("left out: 1 of our runs with fewer than 5 epochs\n")


# ------------------------------------------------------------------ add


def test_a_log_is_added_once(here, no_picture, capsys):
    before = PACKAGED.read_bytes()
    path = notebook(here / "nin.ipynb", LINES)
    source = "https://example.org/nin.ipynb"
    assert atlas.main(["add", path, "--source", source]) == 0
    out, error = capsys.readouterr()
    assert out == ("added to results/atlas.json: MXNet, SGD 0.1, 2 epochs, final test accuracy "
                   "0.585\n") and not error
    kept = (here / "results" / "atlas.json").read_bytes()
    log, = read_atlas(here / "results" / "atlas.json")
    assert (log.sources, log.device, log.test_acc) == ((source,), "gpu(0)", (0.341, 0.585))

    assert atlas.main(["add", path]) == 0
    assert capsys.readouterr().out == ("already there, nothing added: MXNet, SGD 0.1, 2 epochs, "
                                       f"final test accuracy 0.585 (published in {source})\n")
    assert (here / "results" / "atlas.json").read_bytes() == kept

    assert atlas.main([]) == 0
    assert "113 published runs" in capsys.readouterr().out
    assert PACKAGED.read_bytes() == before


def test_a_log_of_the_packaged_atlas_is_recognized(here, capsys):
    (here / "log.txt").write_text(BOOK)
    options = ["add", "log.txt", "--framework", "mxnet", "--recipe", "sgd-0.1"]
    assert atlas.main(options) == 0
    assert "already there, nothing added: MXNet" in capsys.readouterr().out
    assert not (here / "results" / "atlas.json").exists()


def test_the_beginning_of_a_known_log_is_recognized(here, capsys):
    (here / "log.txt").write_text("".join(BOOK.splitlines(keepends=True)[:3]))
    assert atlas.main(["add", "log.txt", "--framework", "mxnet", "--recipe", "sgd-0.1"]) == 0
    assert "already there, nothing added: MXNet, SGD 0.1, 5 epochs" in capsys.readouterr().out


def test_a_log_takes_the_place_of_its_beginning(here, capsys):
    lines = LINES.splitlines(keepends=True)
    more = lines[2].replace("epoch 2", "epoch 3").replace("0.585", "0.601")
    for name, text in (("short.ipynb", LINES), ("whole.ipynb", LINES + more)):
        path = notebook(here / name, text, "lr, num_epochs, batch_size = 0.1, 3, 128")
        assert atlas.main(["add", path]) == 0
    log, = read_atlas(here / "results" / "atlas.json")
    assert (log.test_acc, log.sources) == ((0.341, 0.585, 0.601), ("whole.ipynb", "short.ipynb"))


def test_logs_that_the_package_has_too_count_once(here, no_picture, capsys):
    """Such as those of a file that was begun before the package had them."""
    (here / "mine.json").write_bytes(PACKAGED.read_bytes())
    assert atlas.main(["--atlas", "mine.json"]) == 0
    out, error = capsys.readouterr()
    assert "112 published runs" in out and out.count("0.544*") == 1
    assert error.startswith("left out: 112 logs of mine.json that the package has, too\n")


def test_a_file_that_another_process_holds(here, capsys, monkeypatch):
    monkeypatch.setattr(adding_logs, "PATIENCE", 0.1)
    path = notebook(here / "nin.ipynb", LINES)
    with filelock.FileLock(here / ".mine.json.lock"):
        assert "mine.json.lock cannot be locked: another process has held it" in refused(
            ["add", path, "--atlas", "mine.json"], capsys)
    assert not (here / "mine.json").exists()


def test_another_file_before_or_after_the_verb(here, capsys):
    path = notebook(here / "nin.ipynb", LINES)
    assert atlas.main(["--atlas", "a.json", "add", path]) == 0
    assert atlas.main(["add", path, "--atlas", "b.json"]) == 0
    assert read_atlas("a.json") == read_atlas("b.json")


def test_what_the_file_does_not_tell_has_to_be_given(here, capsys):
    (here / "log.txt").write_text("loss 0.351, train acc 0.872, test acc 0.873\n")
    given = ["add", "log.txt"]
    for option, value in (("framework", "pytorch"), ("recipe", "sgd-0.1"), ("epochs", "10")):
        assert f"the file does not tell the {option}; give --{option}" in refused(given, capsys)
        given += [f"--{option}", value]
    assert atlas.main(given) == 0
    log, = read_atlas("results/atlas.json")
    assert log.test_acc == (None,) * 9 + (0.873,) and log.sources == ("log.txt",)
    assert (log.epochs, log.read_from) == (10, "last line")


def test_a_name_with_a_wide_space_is_a_source(here):
    path = notebook(here / "网络\u3000nin.ipynb", LINES)
    assert atlas.main(["add", path]) == 0
    assert read_atlas("results/atlas.json")[0].sources == ("网络 nin.ipynb",)


def test_one_of_several_logs(here, capsys):
    (here / "log.txt").write_text(LINES + LINES.replace("0.585", "0.611"))
    given = ["add", "log.txt", "--recipe", "sgd-0.1"]
    line = refused(given, capsys)
    assert "holds 2 logs (final test accuracy 1: 0.585, 2: 0.611); choose one by --log" in line
    assert "there is no --log 3" in refused([*given, "--log", "3"], capsys)
    assert atlas.main([*given, "--log", "2"]) == 0
    assert read_atlas("results/atlas.json")[0].final == 0.611


def test_a_loss_that_was_divided_once_more(here, capsys):
    (here / "log.txt").write_text("epoch 1, loss 0.0179, train acc 0.102, test acc 0.100\n")
    given = ["add", "log.txt", "--framework", "pytorch", "--recipe", "sgd-0.1"]
    line = refused(given, capsys)
    # Nine of ten images are wrong, and each of these costs ln 2 or more.
    assert "0.0179 in epoch 1 is no mean" in line and "that is 0.62 or more" in line
    assert atlas.main([*given, "--loss-is", "mean / batch size"]) == 0
    log, = read_atlas("results/atlas.json")
    assert log.loss == (0.0179,) and log.mean_loss == (0.0179 * 128,)


@pytest.mark.parametrize("options, complaint", [
    (["add"], "required: FILE"),
    (["add", "none.ipynb"], "none.ipynb is not a file"),
    (["add", "."], "is a folder, not a file"),
    (["add", "empty.txt"], "holds no training log"),
    (["add", "log.txt", "--recipe", "fast"], "invalid choice: 'fast'"),
    (["add", "log.txt", "--recipe", "sgd-0.1", "--epochs", "1"], "2 values of test_acc for 1"),
    (["add", "log.txt", "--recipe", "sgd-0.1", "--epochs", "0"], "not a whole number above 0"),
    (["add", "last.txt", "--framework", "jax", "--recipe", "sgd-0.1", "--epochs", "999999999"],
     "more than 10000"),
    (["add", "log.txt", "--recipe", "sgd-0.1", "--source", "a\nb"], "a source is 'a\\nb'"),
    (["add", "log.txt", "--recipe", "sgd-0.1", "--atlas", str(PACKAGED)], "never changed"),
    (["add", "log.txt", "--recipe", "sgd-0.1", "--atlas", "log.txt"], "no atlas file"),
    (["add", "log.txt", "--recipe", "sgd-0.1", "--atlas", "."], ". is a folder, not a file"),
    (["add", "log.txt", "--recipe", "sgd-0.1", "--atlas", "/"], "/ is a folder, not a file"),
    (["--atlas", "none.json"], "there is no atlas file none.json"),
    (["--atlas", "log.txt"], "log.txt is no atlas file"),
    (["sub"], "invalid choice: 'sub'"),
])
def test_a_wrong_request_is_one_line(here, capsys, options, complaint):
    (here / "empty.txt").write_text("")
    (here / "log.txt").write_text(LINES)
    (here / "last.txt").write_text("loss 0.351, train acc 0.872, test acc 0.873\n")
    assert complaint in refused(options, capsys)
    assert (here / "log.txt").read_text() == LINES
    assert not (here / "results" / "atlas.json").exists()


def test_a_damaged_file_is_added_or_refused_in_one_line(here, capsys):
    """300 notebooks and texts with a few bytes changed, lost or doubled."""
    seed = 20261
    print(f"seed {seed}")
    draw = random.Random(seed)
    before = PACKAGED.read_bytes()
    notebook(here / "nin.ipynb", LINES)
    whole = {"nin.ipynb": (here / "nin.ipynb").read_bytes(), "nin.txt": LINES.encode()}
    accepted = 0
    for case in range(300):
        name = draw.choice(sorted(whole))
        data = bytearray(whole[name])
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(data))
            data[at:at + draw.randint(0, 3)] = bytes(draw.choices(b'0123456789.-e",:[]{}/\n\xff',
                                                                  k=draw.randint(0, 3)))
        (here / name).write_bytes(bytes(data))
        capsys.readouterr()
        status = atlas.main(["add", name, "--recipe", "sgd-0.1", "--atlas", f"{case % 3}.json"])
        out, error = capsys.readouterr()
        assert (status, out.count("\n"), error.count("\n")) in ((0, 1, 0), (2, 0, 1)), (out, error)
        accepted += status == 0
    assert 50 < accepted < 250  # neither is the only outcome
    for number in range(3):
        for log in read_atlas(f"{number}.json"):
            assert 0 <= log.final <= 1
    assert PACKAGED.read_bytes() == before
