"""The confidence command: maps over images and the numbers about them, on a net left untrained."""

import json
import os
import subprocess
import sys
import warnings

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from PIL import Image

from nin_gluon import confidence, models, runtime
from nin_gluon.confidence import main
from nin_gluon.errors import InputError
from nin_gluon.models.geometry import NiN
from nin_gluon.settings import TEXTBOOK

SIZE = 131  # the smallest that leaves maps of 3x3


def run_folder(path, dataset="fashion-mnist", channels=1, epochs=5, **settings):
    """A run folder as after five epochs, of a net with He's initialization; and the net."""
    config = {**TEXTBOOK, "preset": "textbook", "dataset": dataset, "resize": SIZE,
              "epochs": epochs, "batch_size": 16, "ctx": "cpu", **settings}
    folder = path / "checkpoint" / "epoch-0006-step-000000"
    folder.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    record = {"epoch": 1, "loss": 1.0, "train_acc": 0.5, "test_acc": 0.5, "seconds": 1.0}
    (path / "history.jsonl").write_text(
        "".join(json.dumps({**record, "epoch": i}) + "\n" for i in range(1, 6)))
    net = models.get_model(config["model"])
    net.initialize(models.initializer("he"))
    net.hybridize()
    net(nd.zeros((1, channels, config["resize"], config["resize"])))
    net.save_parameters(str(folder / "net.params"))
    net.export(str(path / "model"), 5)
    return net


@pytest.fixture
def run(tmp_path, few_images):
    path = tmp_path / "run 图"
    path.mkdir()
    run_folder(path)
    return path


def report(run):
    return json.loads((run / "confidence.json").read_text())


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

    assert main([str(run), "--first", "4"]) == 0
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
    assert main([str(run)]) == 0
    first = report(run)
    for path in (run / "checkpoint").rglob("*.params"):
        path.unlink()
    (run / "checkpoint" / "epoch-0006-step-000000").rmdir()
    assert main([str(run)]) == 0
    second = report(run)
    assert (first["parameters"], second["parameters"]) == ("epoch-0006-step-000000",
                                                           "model-0005.params")
    assert first["images"] == second["images"]


def test_images_of_the_users_own(run, garments, tmp_path, capsys):
    """A test image that is saved as a file is the test image; inverted twice as well."""
    assert main([str(run), "--first", "1"]) == 0
    expected = report(run)["images"][0]["scores"]
    grey = garments("test", 1)[0][0, ..., 0]
    straight, dark = tmp_path / "a picture.png", tmp_path / "dark.bmp"
    Image.fromarray(grey).save(straight)
    Image.fromarray(255 - grey).convert("RGB").save(dark)
    capsys.readouterr()
    assert main([str(run), "--images", str(straight)]) == 0
    assert not capsys.readouterr().err
    found = report(run)
    assert found["images"][0]["scores"] == expected
    assert found["images"][0]["label"] is None and "localization" not in found
    assert main([str(run), "--images", str(dark)]) == 0
    assert "looks dark on light" in capsys.readouterr().err
    assert main([str(run), "--images", str(dark), "--invert"]) == 0
    assert not capsys.readouterr().err
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


@pytest.mark.parametrize("name", ["sample", pytest.param(
    "fashion-mnist", marks=pytest.mark.skipif(not os.environ.get("NIN_GLUON_DATA"),
                                              reason="no real images"))])
def test_shapes_are_those_of_the_sets(name):
    from nin_gluon.data.sets import load_image_set

    assert load_image_set(name, "test")[0].shape[1:] == confidence.SHAPES[name]


def test_a_net_of_other_classes_than_the_set(tmp_path, few_images, capsys):
    run_folder(tmp_path, model="nin,classes=5")
    assert "tells 5 classes and Fashion-MNIST has 10" in refused([tmp_path], capsys)
    assert "tells 5 classes" in refused([tmp_path, "--images", a_picture(tmp_path)], capsys)
    assert not (tmp_path / "confidence.png").exists()


def test_images_of_any_shape_and_kind(tmp_path):
    wide = np.zeros((20, 60), np.uint8)
    wide[5:15, 10:50] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = confidence.read_image(tmp_path / "wide.png", (28, 28, 1), False, "set")
    assert image.shape == (28, 28, 1)
    assert not image[:9].any() and not image[-9:].any() and image[14, 14] == 200
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    image = confidence.read_image(tmp_path / "clear.png", (32, 32, 3), False, "set")
    assert image.shape == (32, 32, 3) and (image == 255).all()


@pytest.mark.parametrize("name, kind", [("a.png", "<u2"), ("a.tif", "<u2"), ("a.tif", ">u2"),
                                        ("b.tif", "<i4")])
def test_grey_of_16_bits_is_scaled(tmp_path, name, kind):
    """Not cut off at 255, and what was made of 8 bits is those again."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray((grey * 257.0).astype(kind)).save(tmp_path / name)
    image = confidence.read_image(tmp_path / name, (16, 16, 1), False, "set")
    np.testing.assert_array_equal(image[..., 0], grey)


@pytest.mark.parametrize("values, says", [(np.float32(0.5), "floating point"),
                                          (np.int32(70000), "more than 16 bits"),
                                          (np.int32(-1), "more than 16 bits")])
def test_grey_that_nothing_says_the_scale_of_is_refused(tmp_path, values, says):
    Image.fromarray(np.full((8, 8), values)).save(tmp_path / "odd.tif")
    with pytest.raises(InputError, match=f"odd.tif cannot be read as an image .*{says}"):
        confidence.read_image(tmp_path / "odd.tif", (16, 16, 1), False, "set")


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
    monkeypatch.setitem(sets.DATASETS, "colours", ("Colours", list("abcdefghij"), None))
    monkeypatch.setattr(nin_gluon.data, "load_image_set", colour)
    run_folder(tmp_path, "colours", 3, model=model, resize=32 if head else SIZE)
    assert main([str(tmp_path), "--first", "3"]) == 0
    assert "cannot be told for colours" in capsys.readouterr().out
    found = report(tmp_path)
    assert found["localization"] is None
    assert found["map_size"] == ([16, 16] if head else [3, 3])


def test_maps_of_one_value_cannot_tell_where(tmp_path, few_images, capsys):
    run_folder(tmp_path, resize=67)
    assert main([str(tmp_path), "--first", "1"]) == 0
    assert "maps of 1x1, which cannot tell where" in capsys.readouterr().out


@pytest.mark.skipif(not runtime.cpu_flags() & {"avx512_bf16", "amx_bf16"}, reason="no bfloat16")
def test_bfloat16_gives_nearly_the_same_numbers(tmp_path):
    """In a process of its own, since mixed precision cannot be undone."""
    run_folder(tmp_path, dataset="sample")
    found = {}
    for dtype in ("float32", "bfloat16"):
        command = [sys.executable, "-m", "nin_gluon.confidence", str(tmp_path), "--dtype", dtype,
                   "--limit", "64", "--first", "1"]
        subprocess.run(command, check=True, capture_output=True)
        found[dtype] = report(tmp_path)["localization"]
    for name in ("right", "wrong", "other_images", "flat"):
        assert found["bfloat16"][name] == pytest.approx(found["float32"][name], abs=0.01)


def test_runs_that_did_not_end_well_are_used_and_said(run, capsys):
    lines = (run / "history.jsonl").read_text().splitlines(keepends=True)
    (run / "history.jsonl").write_text("".join(lines[:2]))
    assert main([str(run), "--images", str(a_picture(run))]) == 0
    assert "unfinished (2 of 5 epochs)" in capsys.readouterr().err
    (run / "diverged.txt").write_text("the loss became nan\n")
    assert main([str(run), "--images", str(a_picture(run))]) == 0
    assert "has diverged" in capsys.readouterr().err


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
    assert confidence.judge(result).startswith("The claim holds")
    assert "3 of 100 images are left out" in confidence.judge(result)
    assert confidence.judge({**result, "gain": 0.03}).startswith("The claim hardly holds")
    assert confidence.judge({**result, "gain": 0.01}).startswith("The claim does not hold")
    assert "at least as much" in confidence.judge({**result, "right_over_wrong": -0.1})
    assert confidence.judge({**result, "gain": None}).startswith("Too few images")
