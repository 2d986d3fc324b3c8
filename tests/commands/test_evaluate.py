"""The evaluate command: runs of both engines, the package's net, tables, JSON, the picture."""

import json

import numpy as np
import pytest
from PIL import Image

from nin_gluon import confidence, evaluate, train
from nin_gluon.pretrained import write_weights
from nin_gluon.training import callbacks
from nin_gluon.training.history import read_history
from nin_gluon.training.run import Run
from tests.pretrained.made_weights import made_weights

pytestmark = pytest.mark.usefixtures("slim")

SMALL = ["--model", "cifar_nin", "--resize", "28", "--batch-size", "8", "--epochs", "1",
         "--dataset", "fashion-mnist", "--preprocess", "standardize", "--ctx", "cpu",
         "--no-progress"]


@pytest.fixture
def trained(tmp_path, few_images, monkeypatch, capsys):
    """Function of (engine, options): the folder of a run of a few steps."""
    monkeypatch.setattr(Run, "draw_predictions", lambda *args: None)
    monkeypatch.setattr(callbacks.plots, "draw_curves", lambda *args: None)
    monkeypatch.setattr(callbacks.plots, "save", lambda *args: None)

    def make(engine, *options):
        if engine == "torch":
            pytest.importorskip("torch")
        folder = tmp_path / engine
        assert train.main([*SMALL, "--engine", engine, "--out", str(folder), *options]) == 0
        capsys.readouterr()
        monkeypatch.undo()
        return folder

    return make


@pytest.fixture
def package(tmp_path, monkeypatch):
    write_weights(tmp_path / "nin.safetensors", made_weights())
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))


def run(capsys, *arguments):
    status = evaluate.main([str(argument) for argument in arguments])
    return (status, *capsys.readouterr())


@pytest.mark.parametrize("engine, other", [("gluon", "torch"), ("torch", "gluon")])
def test_it_finds_what_the_run_has_found(trained, garments, monkeypatch, capsys, engine, other):
    """Whichever engine computes."""
    pytest.importorskip("torch")
    folder = trained(engine)
    import nin_gluon.data

    monkeypatch.setattr(nin_gluon.data, "load_image_set", lambda name, split, root=None: garments(
        split, 48 if split == "train" else 32))
    done, = read_history(folder / "history.jsonl")
    for options in ([], ["--engine", other]):
        status, out, error = run(capsys, folder, "--json", *options)
        assert status == 0 and not error
        found = json.loads(out)
        assert found["accuracy"] == pytest.approx(done.test_acc)
        assert found["images"] == 32 and found["kind"] == "test"
        assert [row["recall"] for row in found["classes"]] == [
            None if acc is None else pytest.approx(acc) for acc in done.class_acc]
        assert np.array(found["confusion"]).sum() == 32
    status, out, _ = run(capsys, folder, "--limit", 5)
    assert status == 0 and " on 5 test images of Fashion-MNIST: accuracy 0." in out
    own = folder / "own.png"
    Image.fromarray(garments("test", 1)[0][0, ..., 0]).save(own)
    monkeypatch.setattr("nin_gluon.plots.draw_class_maps", lambda *args: nin_gluon.plots.Figure())
    assert confidence.main([str(folder), "--images", str(own), "--ctx", "cpu"]) == 0
    assert "10 maps of 7x7" in capsys.readouterr().out


def test_held_out_images_are_called_so(trained, garments, monkeypatch, capsys):
    folder = trained("gluon", "--validation", "16")
    import nin_gluon.data

    monkeypatch.setattr(nin_gluon.data, "load_image_set", lambda name, split, root=None: garments(
        split, 48 if split == "train" else 32))
    _, out, _ = run(capsys, folder)
    done, = read_history(folder / "history.jsonl")
    assert f" on 16 held-out images of Fashion-MNIST: accuracy {done.test_acc:.4f}" in out


def test_the_tables(package, few_images, capsys):
    status, out, error = run(capsys, "--pretrained")
    assert status == 0 and not error
    lines = out.splitlines()
    assert lines[0].startswith("the trained nin of the package (nin.safetensors) on 32 test images")
    assert lines[2].split() == ["class", "images", "precision", "recall"]
    start = lines.index("confusion: a row for each true class, a column for each predicted one")
    found = json.loads(run(capsys, "--pretrained", "--json")[1])
    for line, counts in zip(lines[start + 2 : start + 12], found["confusion"]):
        assert line.split()[-10:] == [str(count or ".") for count in counts]
    assert f"expected calibration error {found['calibration']['error']:.4f}" in lines
    rows = lines[lines.index("probability   images   mean  accuracy") + 1:]
    assert sum(int(row.split()[3]) for row in rows) == 32


def test_the_picture(package, few_images, tmp_path, capsys):
    status, out, error = run(capsys, "--pretrained", "--picture", tmp_path / "out.png")
    assert status == 0 and error == f"picture: {tmp_path / 'out.png'}\n"
    with Image.open(tmp_path / "out.png") as image:
        assert image.width > 1000


def test_bad_requests_get_one_line_and_status_2(package, tmp_path, capsys):
    (tmp_path / "there.png").write_text("mine")
    for arguments, words in (
            ([], "name a run folder, or give --pretrained"),
            (["--pretrained", tmp_path], "one of the two"), ([tmp_path], "is not a run folder"),
            (["--pretrained", "--picture", tmp_path / "there.png"], "is there already"),
            (["--pretrained", "--ctx", "tpu"], "is not a device")):
        status, out, error = run(capsys, *arguments)
        assert status == 2 and not out and error.count("\n") == 1 and words in error
    assert (tmp_path / "there.png").read_text() == "mine"
