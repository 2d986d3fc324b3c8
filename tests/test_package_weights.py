"""From a finished run to the file of a trained net, and to its model card."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import package_weights
from nin_gluon import train
from nin_gluon.analysis.trained_net import load_pretrained
from nin_gluon.pretrained import read_weights
from nin_gluon.training.history import read_history
from tests import slim_nin

CARD = Path(__file__).parent.parent / "docs" / "reference" / "model-card.md"


IMAGES = 64  # of a split


@pytest.fixture(scope="module", autouse=True)
def small():
    """Few images, a slim net."""
    with pytest.MonkeyPatch.context() as patch:
        slim_nin.slim("mxnet", setattr=patch.setattr)
        slim_nin.small_sample(train=IMAGES, test=IMAGES, setitem=patch.setitem)
        yield


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """A run of a few steps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        slim_nin.without_pictures(patch.setattr)
        assert train.main(["--model", "cifar_nin", "--resize", "28", "--batch-size", "8",
                           "--epochs", "1", "--dataset", "sample", "--preprocess", "standardize",
                           "--init", "he", "--lr", "0.01", "--ctx", "cpu", "--no-progress", "--out",
                           str(folder)]) == 0
    return folder


@pytest.fixture
def card(tmp_path):
    return Path(shutil.copy(CARD, tmp_path / "card.md"))


def package(run, out, card):
    return package_weights.main([str(run), "--out", str(out), "--card", str(card)])


def test_the_file_has_the_runs_net(trained, tmp_path, card, monkeypatch, capsys):
    assert package(trained, tmp_path, card) == 0
    assert "figures: " in capsys.readouterr().out
    weights = read_weights(tmp_path / "cifar_nin.safetensors")
    done = read_history(trained / "history.jsonl")[-1]
    assert weights.evaluation["accuracy"] == pytest.approx(done.test_acc)
    assert weights.evaluation["images"] == IMAGES
    assert weights.command.startswith("python -m nin_gluon.train --model cifar_nin")
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    import nin_gluon.data

    images, labels = nin_gluon.data.load_image_set("sample", "test")
    scores = np.concatenate([batch for _, batch in load_pretrained("cifar_nin", "cpu").respond(
        images)])
    assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(done.test_acc)


@pytest.mark.parametrize("same", [True, False])
def test_float16_only_if_every_prediction_stays(trained, monkeypatch, same):
    """The second set of scores is that of the rounded parameters."""
    weights = package_weights.weights_of_run(trained)
    labels, asked = np.array([0, 1]), []

    def scores_of(weights, *args):
        asked.append(weights)
        changed = len(asked) == 2 and not same
        return np.array([[1.0, 0.5] + [0] * 8, [1.0, 1.1 if changed else 0.9] + [0] * 8]), labels

    monkeypatch.setattr(package_weights, "scores_of", scores_of)
    chosen, result = package_weights.with_storage(weights)
    assert chosen.storage == ("float16" if same else "float32")
    assert result["accuracy"] == chosen.evaluation["accuracy"] == 0.5
    for name, array in asked[1].parameters.items():
        np.testing.assert_array_equal(array, weights.parameters[name].astype(np.float16))
        assert array.dtype == np.float32


def test_the_card_is_filled_in_again_and_again(trained, tmp_path, card, capsys):
    before = card.read_text()
    for _ in range(2):
        assert package(trained, tmp_path, card) == 0
        text = card.read_text()
        front = yaml.safe_load(text.split("---\n")[1])
        result, = front["model-index"][0]["results"]
        accuracy = result["metrics"][0]["value"]
        assert accuracy == read_history(trained / "history.jsonl")[-1].test_acc
        assert f"Accuracy {accuracy:.4f}, loss " in text and "| ankle boot |" in text
        assert text.split("## How to use it")[1] == before.split("## How to use it")[1]
    assert {"license", "library_name", "pipeline_tag", "datasets", "metrics", "tags"} <= set(front)


def test_runs_that_cannot_be_packaged(trained, tmp_path, card, capsys):
    def changed(name, value):
        folder = tmp_path / name
        shutil.copytree(trained, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, name: value}))
        return folder

    bare = changed("seed", 0)
    shutil.rmtree(bare / "checkpoint")
    for run, words in ((tmp_path, "is not a run folder"), (bare, "has no checkpoint of today's"),
                       (changed("epochs", 2), "has not come to its end (1 of 2 epochs)"),
                       (changed("validation", 9), "held out training images"),
                       (changed("model", "cifar_nin,head=fc"), "package a net as it is"),
                       (changed("preprocess", "zca"), "preprocesses by zca")):
        assert package(run, tmp_path, card) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "other.md").write_text("# A card\n")
    assert package(trained, tmp_path, tmp_path / "other.md") == 2
    assert not (tmp_path / "cifar_nin.safetensors").exists()
