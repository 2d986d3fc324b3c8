"""What ``--tensorboard`` writes, read back with TensorBoard's own reader, in both engines."""

import importlib.util
import json
import os
import signal
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from nin_gluon import plots, train
from nin_gluon.training import callbacks, tensorboard
from nin_gluon.training.history import read_history
from nin_gluon.training.run import Run
from nin_gluon.training.tensorboard import EventFile

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator",
                                   reason="needs the package tensorboard")

pytestmark = pytest.mark.usefixtures("slim")

draw_class_maps = plots.draw_class_maps

SMALL = ["--resize", "67", "--batch-size", "16", "--epochs", "2", "--init", "he", "--lr", "0.01",
         "--momentum", "0.9", "--schedule", "cosine", "--dataset", "fashion-mnist",
         "--no-progress"]


def no_maps(images, maps, scores, labels, names, field, size, title):
    assert size == (67, 67)  # to which the field refers, not the size of the set's images
    return plots.Figure(figsize=(2, 1))


@pytest.fixture(params=["gluon", "torch"], autouse=True)
def engine(request):
    if request.param == "torch":
        pytest.importorskip("torch")
        request.getfixturevalue("one_thread")
    return request.param


@pytest.fixture(autouse=True)
def quick(few_images, monkeypatch):
    monkeypatch.setattr(tensorboard, "IMAGES", 1)
    # Drawing takes longest.
    monkeypatch.setattr(plots, "draw_class_maps", no_maps)
    monkeypatch.setattr(plots, "draw_curves", lambda *args: plots.Figure(figsize=(2, 1)))
    monkeypatch.setattr(callbacks, "PROGRESS_SECONDS", 0)  # a mark after every step
    monkeypatch.setattr(Run, "draw_predictions", lambda *args: None)
    monkeypatch.setattr(callbacks.Export, "on_epoch_end", lambda *args: None)


@pytest.fixture(autouse=True)
def sleep_moves_the_clock(monkeypatch):
    """Nobody waits: a new file's name has another second in it, so a part of a run sleeps first."""
    now, slept = time.time, []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "time", lambda: now() + sum(slept))


def run(engine, folder, *options):
    return train.main([*SMALL, "--engine", engine, "--out", str(folder), *options])


def reader(folder, part):
    """TensorBoard's reader, which has read a folder."""
    found = accumulators.EventAccumulator(str(folder / "tensorboard" / part),
                                          {"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(found, tag):
    return [(event.step, event.value) for event in found.Scalars(tag)]


def outcome(folder):
    log = [record.to_json() for record in read_history(folder / "history.jsonl")]
    for record in log:
        del record["seconds"], record["training_seconds"]
    saved, = (folder / "checkpoint").iterdir()
    return log, {name: load_file(saved / f"{name}.safetensors") for name in ("net", "optimizer")}


def assert_same_outcome(one, other):
    (log, arrays), (other_log, other_arrays) = outcome(one), outcome(other)
    assert log == other_log
    for name in arrays:
        assert list(arrays[name]) == list(other_arrays[name])
        for key, value in arrays[name].items():
            np.testing.assert_array_equal(value, other_arrays[name][key])


WHOLE = {}  # engine -> folder of the run that nothing stopped


@pytest.fixture
def whole(engine, tmp_path, monkeypatch):
    """That run, with its pictures."""
    if engine not in WHOLE:
        with monkeypatch.context() as patch:
            patch.setattr(plots, "draw_class_maps", draw_class_maps)
            assert run(engine, tmp_path / "whole", "--tensorboard") == 0
        WHOLE[engine] = tmp_path / "whole"
    return WHOLE[engine]


def test_a_run_is_the_same_to_the_bit_and_its_figures_are_there(engine, whole, tmp_path):
    plain, watched = tmp_path / "plain", whole
    assert run(engine, plain) == 0
    assert_same_outcome(plain, watched)
    assert not (plain / "tensorboard").exists()

    epochs, history = reader(watched, "epochs"), read_history(watched / "history.jsonl")
    for tag, values in {
            "epoch/loss": [r.loss for r in history],
            "epoch/train acc": [r.train_acc for r in history],
            "epoch/test acc": [r.test_acc for r in history],
            "epoch/living classes": [len(r.living) for r in history]}.items():
        steps, found = zip(*scalars(epochs, tag))
        assert steps == (1, 2) and found == pytest.approx(values, rel=1e-6)
    assert [image.step for image in epochs.Images("class maps")] == [0, 1, 2]
    assert all(image.encoded_image_string.startswith(b"\x89PNG") and image.width > image.height > 0
               for image in epochs.Images("class maps"))
    text = epochs.Tensors("settings")[0].tensor_proto.string_val[0].decode()
    for name, value in json.loads((watched / "config.json").read_text()).items():
        if name in ("lr", "momentum", "schedule", "model", "resize", "engine"):
            assert f"| {name} | {value} |" in text
    assert epochs.SummaryMetadata("settings").plugin_data.plugin_name == "text"

    steps = reader(watched, "steps")
    marks = [json.loads(line) for line in (watched / "progress.jsonl").read_text().splitlines()]
    assert [step for step, _ in scalars(steps, "step/loss")] == [m["step"] for m in marks]
    assert [value for _, value in scalars(steps, "step/loss")] == pytest.approx(
        [m["loss"] for m in marks], rel=1e-6)
    norms = scalars(steps, "step/parameter norm")
    assert [step for step, _ in norms] == sorted({step for step, _ in norms})
    # The last ones are of the parameters that were saved.
    saved = outcome(watched)[1]["net"]
    assert norms[-1] == (6, pytest.approx(np.sqrt(sum((v.astype(float) ** 2).sum()
                                                      for v in saved.values())), rel=1e-4))
    for name, value in saved.items():
        assert scalars(steps, f"parameter norm/{name}")[-1][1] == pytest.approx(
            np.linalg.norm(value.astype(float)), rel=1e-4)
    assert scalars(steps, "step/gradient norm")[-1][1] > 0
    # Cosine over six steps without a warm-up: the last but one update.
    rates = dict(scalars(steps, "step/learning rate"))
    assert rates[5] == pytest.approx(0.005 * (1 + np.cos(np.pi * 5 / 6)), rel=1e-5)


def test_gradient_norms_are_those_of_the_mean_loss(engine, tmp_path):
    """Without momentum, the first update is the gradient times the rate."""
    folder = tmp_path / "run"
    options = ["--momentum", "0", "--schedule", "constant", "--epochs", "1", "--batch-size", "48"]
    initial = tmp_path / "initial"
    assert run(engine, initial, *options, "--lr", "1e-30") == 0  # which moves nothing
    assert run(engine, folder, *options, "--lr", "0.5", "--tensorboard") == 0
    before, after = (outcome(each)[1]["net"] for each in (initial, folder))
    steps = reader(folder, "steps")
    for name in before:
        step = np.linalg.norm((before[name].astype(float) - after[name]) / 0.5)
        assert scalars(steps, f"gradient norm/{name}")[-1] == (1, pytest.approx(step, rel=2e-3))


@pytest.mark.parametrize("step, method", [(2, "on_train_batch_end"), (1, "on_test_batch_end"),
                                          (1, "on_epoch_end")])
def test_a_resumed_run_repeats_no_step(engine, whole, tmp_path, monkeypatch, step, method):
    stopped = tmp_path / "stopped"
    original, calls = getattr(callbacks.StopOnSignal, method), []

    def stopping(self, *args):
        calls.append(1)
        if len(calls) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *args)

    monkeypatch.setattr(callbacks.StopOnSignal, method, stopping)
    assert run(engine, stopped, "--tensorboard") == 130
    assert train.main(["--resume", str(stopped), "--no-progress"]) == 0  # and goes on unasked
    assert_same_outcome(whole, stopped)
    for part in ("epochs", "steps"):
        one, other = reader(whole, part), reader(stopped, part)
        assert one.Tags()["scalars"] == other.Tags()["scalars"]
        for tag in one.Tags()["scalars"]:
            steps = [step for step, _ in scalars(other, tag)]
            assert steps == sorted(set(steps)), tag
            if part == "epochs" and tag != "epoch/seconds":
                assert scalars(other, tag) == scalars(one, tag)
    assert scalars(reader(stopped, "steps"), "step/loss")[-1][0] == 6
    assert [image.step for image in reader(stopped, "epochs").Images("class maps")] == [0, 1, 2]


def test_what_a_killed_attempt_wrote_too_far_is_dropped(tmp_path):
    file = EventFile(tmp_path, 0)
    for step in range(1, 6):
        file.scalars({"loss": step}, step)
    file.close()  # it was killed; its checkpoint is that of step 3
    again = EventFile(tmp_path, 4)
    for step in range(4, 7):
        again.scalars({"loss": 10 * step}, step)
    again.close()
    found = accumulators.EventAccumulator(str(tmp_path))
    found.Reload()
    assert scalars(found, "loss") == [(1, 1), (2, 2), (3, 3), (4, 40), (5, 50), (6, 60)]


def test_it_says_what_to_install(engine, tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *more: None if name == "tensorboard" else find(name, *more))
    folder = tmp_path / "run"
    assert run(engine, folder, "--tensorboard") == 2
    error = capsys.readouterr().err
    assert "pip install -e '.[tensorboard]'" in error and error.count("\n") == 1
    assert not folder.exists()


def test_a_file_in_its_place_is_one_line(engine, tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(engine, folder, "--epochs", "1") == 0
    (folder / "tensorboard").write_text("mine")
    capsys.readouterr()
    assert train.main(["--resume", str(folder), "--tensorboard", "--no-progress"]) == 2
    assert "tensorboard" in capsys.readouterr().err.splitlines()[-1]
    assert (folder / "tensorboard").read_text() == "mine"


