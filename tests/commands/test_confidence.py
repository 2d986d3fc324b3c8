"""The confidence command: maps over images and the numbers about them, on a net left untrained."""

import json
import subprocess
import sys
import warnings

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from PIL import Image

from nin_gluon import models, plots
from nin_gluon.confidence import judge, main
from nin_gluon.models.base import NiN
from nin_gluon.runtime.processors import has_bfloat16
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.history import EpochRecord, write_history
from nin_gluon.training.run_folder import Environment, RunConfig, export_net, write_config
from tests.slim_nin import small_sample

pytestmark = pytest.mark.usefixtures("slim")

SIZE = 131  # the smallest that leaves maps of 3x3


def run_folder(path, dataset="fashion-mnist", channels=1, data_dir=None, **settings):
    """A run folder as after five epochs, of a net with He's initialization."""
    settings = TEXTBOOK.but(**{"dataset": dataset, "resize": SIZE, "batch_size": 16, **settings})
    write_config(path, RunConfig("textbook", settings, Environment("cpu", data_dir)))
    write_history(path / "history.jsonl", [EpochRecord(i, 1.0, 0.5, 0.5, 1.0)
                                           for i in range(1, 6)])
    folder = path / "checkpoint" / "epoch-0006-step-000000"
    folder.mkdir(parents=True)
    net = models.get_model(settings.model)
    net.initialize(models.initializer("he"))
    net.hybridize()
    net(nd.zeros((1, channels, settings.resize, settings.resize))).wait_to_read()
    net.save_parameters(str(folder / "net.params"))
    export_net(net, path, 5)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch, request):
    """Drawing takes longest; only the tests about pictures draw them."""
    if "pictures" not in request.keywords:
        monkeypatch.setattr(plots, "draw_class_maps", lambda *args: plots.Figure())


@pytest.fixture
def run(tmp_path, few_images):
    path = tmp_path / "run 图"
    path.mkdir()
    run_folder(path)
    return path


def report(run):
    return json.loads((run / "confidence.json").read_text())


@pytest.mark.pictures
def test_picture_and_numbers(run, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main([str(run), "--first", "2", "--skip", "3"]) == 0
    out = capsys.readouterr().out
    assert "10 maps of 3x3; a value stands for 32x32 of 131x131 pixels and sees 195x195" in out
    assert "test image 3: " in out and "test image 4: " in out and "test image 5" not in out
    assert "The claim " in out
    assert (run / "confidence.png").read_bytes().startswith(b"\x89PNG")
    found = report(run)
    assert [image["image"] for image in found["images"]] == ["test image 3", "test image 4"]
    assert found["localization"]["images"] == 32
    assert found["verdict"] in out
    assert all(path.read_bytes() == content for path, content in before.items())
    assert main([str(run), "--first", "1", "--limit", "5"]) == 0  # its own files may be replaced
    assert report(run)["localization"]["images"] == 5
    assert report(run)["trained_by"].startswith("python -m nin_gluon.train --")
    assert "--dataset" in report(run)["trained_by"] and report(run)["machine"]["mxnet"]


def test_held_out_training_images_are_called_so(tmp_path, few_images, capsys):
    run_folder(tmp_path, validation=20)
    assert main([str(tmp_path), "--first", "1"]) == 0
    out = capsys.readouterr().out
    assert "held-out image 0: " in out and "test image" not in out
    assert " held-out images " in out  # of the table; less those whose map is zero
    assert "leaves nothing of the run's 20 held-out images" in refused(
        [tmp_path, "--skip", "20"], capsys)


def test_scores_are_the_nets_and_maps_average_to_them(run, garments):
    from nin_gluon.data.loader import BatchLoader

    assert main([str(run), "--first", "4", "--limit", "4"]) == 0
    net = models.get_model("nin")
    net.load_parameters(str(run / "checkpoint" / "epoch-0006-step-000000" / "net.params"))
    images, labels = garments("test", 4)
    X, _ = next(iter(BatchLoader(images, labels, 4, resize=SIZE)))
    scores = net(X).asnumpy()
    for image, expected in zip(report(run)["images"], scores):
        np.testing.assert_allclose(list(image["scores"].values()), expected, rtol=1e-4, atol=1e-5)
    maps, head = models.maps_and_head(net)
    assert maps(X).shape == (4, 10, 3, 3)
    np.testing.assert_allclose(maps(X).mean(axis=(2, 3)).asnumpy(), scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(head(maps(X)).asnumpy(), scores)


def test_the_exported_model_stands_in_for_the_checkpoint(run):
    assert main([str(run), "--limit", "4"]) == 0
    first = report(run)
    for path in (run / "checkpoint").rglob("*.params"):
        path.unlink()
    (run / "checkpoint" / "epoch-0006-step-000000").rmdir()
    assert main([str(run), "--limit", "4"]) == 0
    second = report(run)
    assert (first["parameters"], second["parameters"]) == ("epoch-0006-step-000000",
                                                           "model-0005.params")
    assert first["images"] == second["images"]


def test_images_of_the_users_own(run, garments, tmp_path, capsys, caplog):
    """A test image that is saved as a file is the test image; inverted twice as well."""
    assert main([str(run), "--first", "1", "--limit", "4"]) == 0
    expected = report(run)["images"][0]["scores"]
    grey = garments("test", 1)[0][0, ..., 0]
    straight, dark = tmp_path / "a picture.png", tmp_path / "dark.bmp"
    Image.fromarray(grey).save(straight)
    Image.fromarray(255 - grey).convert("RGB").save(dark)
    capsys.readouterr()
    assert main([str(run), "--images", str(straight)]) == 0
    assert not capsys.readouterr().err and not caplog.text
    found = report(run)
    assert found["images"][0]["scores"] == expected
    assert found["images"][0]["label"] is None and "localization" not in found
    assert main([str(run), "--images", str(dark)]) == 0
    assert "looks dark on light" in caplog.text
    caplog.clear()
    assert main([str(run), "--images", str(dark), "--invert"]) == 0
    assert not capsys.readouterr().err and not caplog.text
    assert report(run)["images"][0]["scores"] == expected


@pytest.mark.parametrize("preprocess, validation, read", [
    ("none", None, []), ("gcn", None, []), ("standardize", None, ["train"]),
    ("standardize", 30, ["train"]), ("zca", None, ["train"])])
def test_own_images_leave_the_set_alone(tmp_path, garments, monkeypatch, preprocess, validation,
                                        read):
    """At most its training images are read, and the net sees what it sees of the set's images."""
    import nin_gluon.data

    def load(name, split, root=None):
        asked.append(split)
        return garments(split, 48 if split == "train" else 32)

    asked = []
    monkeypatch.setattr(nin_gluon.data, "load_image_set", load)
    run_folder(tmp_path, model="cifar_nin", resize=28, limit=40, preprocess=preprocess,
               validation=validation)
    picture = tmp_path / "first.png"
    Image.fromarray(garments("train", 19)[0][18, ..., 0] if validation
                    else garments("test", 1)[0][0, ..., 0]).save(picture)
    assert main([str(tmp_path), "--images", str(picture)]) == 0
    assert asked == read
    own = report(tmp_path)["images"][0]["scores"]
    assert main([str(tmp_path), "--first", "1"]) == 0
    assert own == pytest.approx(report(tmp_path)["images"][0]["scores"], rel=1e-4, abs=1e-5)


def test_own_images_in_colour_without_the_set_at_hand(tmp_path):
    run_folder(tmp_path, "cifar10", 3, model="cifar_nin", resize=32, preprocess="gcn",
               data_dir=str(tmp_path / "nowhere"))
    assert main([str(tmp_path), "--images", str(a_picture(tmp_path))]) == 0
    found = report(tmp_path)
    assert found["image_size"] == [32, 32] and found["images"][0]["predicted"] in found["classes"]
    assert not (tmp_path / "nowhere").exists()


def test_a_net_of_other_classes_than_the_set(tmp_path, few_images, capsys):
    run_folder(tmp_path, model="nin,classes=5")
    assert "tells 5 classes and Fashion-MNIST has 10" in refused([tmp_path], capsys)
    assert "tells 5 classes" in refused([tmp_path, "--images", a_picture(tmp_path)], capsys)
    assert not (tmp_path / "confidence.png").exists()


@pytest.mark.parametrize("model, head", [("mlpconv_nin", None), ("dense", 3)])
def test_other_nets_and_colour(tmp_path, monkeypatch, model, head, capsys):
    """A dense head on the maps, and a set of colour images that has no masks."""
    def dense(classes=10):
        net = NiN()
        net.add(nn.Conv2D(classes, 3, 2, 1, activation="relu"), nn.Flatten(), nn.Dense(classes))
        return net

    import nin_gluon.data
    from nin_gluon.data import sets

    def colour(name, split, root=None):
        images = np.random.RandomState(0).randint(0, 256, (20, 32, 32, 3), np.uint8)
        return images, np.arange(20) % 10

    monkeypatch.setitem(models.MODELS, "dense", dense)
    monkeypatch.setitem(sets.DATASETS, "colours",
                        sets.Dataset("Colours", list("abcdefghij"), None))
    monkeypatch.setitem(sets.SHAPES, "colours", (32, 32, 3))
    monkeypatch.setattr(nin_gluon.data, "load_image_set", colour)
    run_folder(tmp_path, "colours", 3, model=model, resize=32 if head else SIZE)
    assert main([str(tmp_path), "--first", "3"]) == 0
    assert "cannot be told for colours" in capsys.readouterr().out
    found = report(tmp_path)
    assert found["localization"] is None
    assert found["map_size"] == ([16, 16] if head else [3, 3])


@pytest.mark.pictures
def test_maps_below_zero_have_no_shares(tmp_path, few_images, capsys):
    """Without the last ReLU; the picture is drawn all the same."""
    run_folder(tmp_path, model="nin_variant,last_relu=0")
    assert main([str(tmp_path), "--first", "2", "--limit", "8"]) == 0
    assert "its maps have values below zero" in capsys.readouterr().out
    assert report(tmp_path)["localization"] is None
    assert (tmp_path / "confidence.png").read_bytes().startswith(b"\x89PNG")


def test_maps_of_one_value_cannot_tell_where(tmp_path, few_images, capsys):
    run_folder(tmp_path, resize=67)
    assert main([str(tmp_path), "--first", "1"]) == 0
    assert "maps of 1x1, which cannot tell where" in capsys.readouterr().out


@pytest.mark.skipif(not has_bfloat16(), reason="no bfloat16")
def test_bfloat16_gives_nearly_the_same_numbers(tmp_path, monkeypatch):
    """In a process of its own, since mixed precision cannot be undone."""
    small_sample(setitem=monkeypatch.setitem)  # as there
    run_folder(tmp_path, dataset="sample")
    options, found = [str(tmp_path), "--limit", "64", "--first", "1", "--dtype"], {}
    assert main([*options, "float32"]) == 0
    found["float32"] = report(tmp_path)
    subprocess.run([sys.executable, "-m", "tests.slim_nin", "confidence", *options, "bfloat16"],
                   check=True, capture_output=True)
    found["bfloat16"] = report(tmp_path)
    assert found["float32"]["images"] != found["bfloat16"]["images"]
    assert found["float32"]["trained_by"] == found["bfloat16"]["trained_by"]
    found = {dtype: each["localization"] for dtype, each in found.items()}
    for name in ("right", "wrong", "other_images", "flat"):
        assert found["bfloat16"][name] == pytest.approx(found["float32"][name], abs=0.01)


def test_runs_that_did_not_end_well_are_used_and_said(run, caplog):
    lines = (run / "history.jsonl").read_text().splitlines(keepends=True)
    (run / "history.jsonl").write_text("".join(lines[:2]))
    assert main([str(run), "--images", str(a_picture(run))]) == 0
    assert "unfinished (2 of 5 epochs)" in caplog.text
    (run / "diverged.txt").write_text("the loss became nan\n")
    assert main([str(run), "--images", str(a_picture(run))]) == 0
    assert "has diverged" in caplog.text


def a_picture(folder):
    path = folder / "mine.png"
    Image.fromarray(np.eye(28, dtype=np.uint8)).save(path)
    return path


def refused(arguments, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_bad_requests_get_one_line_and_status_2(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text("mine")
    text = tmp_path / "text.png"
    text.write_text("no picture")
    for arguments, words in (
            ([tmp_path / "empty"], "is not a run folder"),
            ([tmp_path / "nothing"], "is not a run folder"),
            ([run, "--images", text], "cannot be read as an image"),
            ([run, "--images", tmp_path / "none.png"], "there is no image"),
            ([run, "--images", tmp_path], "cannot be read as an image"),
            ([run, "--invert"], "name them with --images"),
            ([run, "--skip", "32"], "leaves nothing"),
            ([run, "--images", text, "--skip", "0", "--limit", "4"], "--skip and --limit"),
            ([run, "--images", text, "--first", "2"], "leave out --first"),
            ([run, "--first", "101"], "100 images at most"),
            ([run, "--images", *101 * [text]], "100 images at most"),
            ([run, "--out", tmp_path / "other.png"], "is there already"),
            ([run, "--out", text], "is there already"),
            ([run, "--ctx", "tpu"], "is not a device")):
        assert words in refused(arguments, capsys)
    assert (tmp_path / "other.json").read_text() == "mine"
    assert not (run / "confidence.png").exists()


def test_damaged_foreign_and_missing_parameters_are_named(run, capsys):
    params = run / "checkpoint" / "epoch-0006-step-000000" / "net.params"
    params.write_bytes(params.read_bytes()[:1000])
    assert "cannot be read as parameters of nin" in refused([run], capsys)
    mx.nd.save(str(params), {"0.weight": nd.zeros((2, 2))})
    assert "cannot be read as parameters of nin" in refused([run], capsys)
    params.unlink()
    params.parent.rmdir()
    nd.save(str(run / "model-0005.params"), {"arg:w": nd.zeros((2, 2))})
    assert "1 arrays instead of 24" in refused([run], capsys)
    (run / "model-0005.params").unlink()
    assert "holds no parameters" in refused([run], capsys)


def test_the_verdict_follows_the_numbers():
    result = {"images": 100, "zero_maps": 3, "right": 0.8, "flat": 0.5, "other_images": 0.6,
              "gain": 0.2, "gain_error": 0.01, "better": 0.9, "right_over_wrong": 0.1,
              "right_over_wrong_error": 0.01}
    assert judge(result).startswith("The claim holds")
    assert "3 of 100 images are left out" in judge(result)
    assert judge({**result, "gain": 0.03}).startswith("The claim hardly holds")
    assert judge({**result, "gain": 0.01}).startswith("The claim does not hold")
    assert "at least as much" in judge({**result, "right_over_wrong": -0.1})
    assert judge({**result, "gain": None}).startswith("Too few images")
