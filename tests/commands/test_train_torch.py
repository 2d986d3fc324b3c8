"""``--engine torch`` from options to run folder, and what the other commands make of it.

Where MXNet is not installed it runs in ``test_readme_in_torch.py``.
"""

import json
import os
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file

from nin_gluon import reproduce, runtime, train
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.runtime import engine_choice
from nin_gluon.training import callbacks
from nin_gluon.training.history import parse_log, read_history

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("slim", "one_thread")

SMALL = ["--engine", "torch", "--resize", "67", "--batch-size", "8", "--epochs", "2", "--init",
         "he", "--lr", "0.01", "--momentum", "0.9", "--dataset", "fashion-mnist"]
CIFAR = ["--engine", "torch", "--model", "cifar_nin", "--resize", "28", "--batch-size", "8",
         "--epochs", "2", "--limit", "24", "--dataset", "fashion-mnist"]


@pytest.fixture
def stop_at(monkeypatch):
    """Function of (step, method): make the next run behave as if Ctrl-C came there."""

    def arrange(step, method="on_train_batch_end"):
        original, calls = getattr(callbacks.StopOnSignal, method), []

        def stopping(self, *args):
            calls.append(1)
            if len(calls) == step:
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, *args)

        monkeypatch.setattr(callbacks.StopOnSignal, method, stopping)

    return arrange


def outcome(run):
    log = [(r.epoch, r.loss, r.train_acc, r.test_acc) for r in read_history(run / "history.jsonl")]
    return log, load_file(run / "model-0002.safetensors")


def assert_same_outcome(one, other):
    (log, parameters), (other_log, other_parameters) = outcome(one), outcome(other)
    assert log == other_log
    assert list(parameters) == list(other_parameters)
    for name, value in parameters.items():
        np.testing.assert_array_equal(value, other_parameters[name])


def refused(options, capsys):
    assert train.main(options) == 2
    out, error = capsys.readouterr()
    assert error.count("\n") == 1 and out == ""
    return error


def test_a_run_leaves_what_a_run_leaves(few_images, tmp_path, capsys):
    run = tmp_path / "run"
    assert train.main([*SMALL, "--out", str(run)]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "training on cpu(0)"
    assert [str(r) for r in parse_log(out)] == lines[1:3]
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.json", "history.jsonl", "curves.png", "predictions.png",
                     "model-0002.safetensors", "checkpoint"}
    assert "model-0001.safetensors" not in names
    config = json.loads((run / "config.json").read_text())
    assert (config["engine"], config["preset"]) == ("torch", "textbook")
    assert config["machine"]["torch"] == torch.__version__ and "mxnet" not in config["machine"]
    record = record_of_run(run)
    assert record.finished and record.device == "cpu" and "--engine torch" in record.command


def test_its_model_is_a_state_dict(few_images, no_pictures, tmp_path):
    from nin_gluon.torch_models import nets

    assert train.main([*SMALL, "--epochs", "1", "--out", str(tmp_path)]) == 0
    net = nets.get_model("nin")
    with torch.no_grad():
        net(torch.zeros(1, 1, 67, 67))
    exported = load_file(tmp_path / "model-0001.safetensors")
    net.load_state_dict({name: torch.tensor(value) for name, value in exported.items()})
    saved = load_file(next((tmp_path / "checkpoint").iterdir()) / "net.safetensors")
    for (name, value), parameter in zip(sorted(saved.items()), net.parameters()):
        assert name.endswith("weight" if parameter.dim() > 1 else "bias")
        np.testing.assert_array_equal(parameter.detach().numpy(), value)


@pytest.mark.parametrize("options, step, method", [
    ([*SMALL, "--schedule", "cosine"], 4, "on_train_batch_end"),
    (SMALL, 2, "on_test_batch_end"),
    ([*CIFAR, "--augment", "shift-mirror", "--preprocess", "zca"], 4, "on_train_batch_end"),
    ([*CIFAR, "--augment", "mirror", "--preprocess", "gcn", "--schedule", "step"], 1,
     "on_epoch_end"),
    ([*CIFAR, "--optimizer", "adam", "--lr", "0.001", "--preprocess", "standardize",
      "--limit", "20", "--dtype", "bfloat16"], 2, "on_train_batch_end"),
    ([*CIFAR, "--validation", "10", "--interpolation", "bicubic", "--resize", "32",
      "--preprocess", "none"], 3,
     "on_train_batch_end"),
])
def test_stopped_and_resumed_is_as_never_stopped(few_images, no_pictures, tmp_path, stop_at, capsys,
                                                 options, step, method):
    assert train.main([*options, "--out", str(tmp_path / "whole")]) == 0
    stop_at(step, method)
    assert train.main([*options, "--out", str(tmp_path / "parts")]) == 130
    assert f"--resume {tmp_path / 'parts'}" in capsys.readouterr().err
    assert train.main(["--resume", str(tmp_path / "parts")]) == 0
    assert len(parse_log(capsys.readouterr().out)) == 2
    assert_same_outcome(tmp_path / "whole", tmp_path / "parts")


def test_augmentation_and_dropout_do_something(few_images, no_pictures, tmp_path):
    logs = []
    # The net's preset mirrors.
    for number, more in enumerate(([], ["--augment", "none"], ["--model", "cifar_nin,dropout=0"])):
        assert train.main([*CIFAR, *more, "--out", str(tmp_path / str(number))]) == 0
        logs.append(outcome(tmp_path / str(number))[0])
    assert logs[0] != logs[1] and logs[0] != logs[2]


def test_divergence_keeps_the_last_good_parameters(few_images, no_pictures, tmp_path, capsys):
    assert train.main([*SMALL, "--lr", "1e6", "--out", str(tmp_path / "run")]) == 1
    assert "lower --lr" in capsys.readouterr().err
    kept = load_file(tmp_path / "run" / "model-0000.safetensors")
    assert len(kept) == 24 and all(np.isfinite(value).all() for value in kept.values())


@pytest.mark.parametrize("options, sentence", [
    (["--kvstore", "dist_sync"], "--kvstore dist_sync is MXNet's: use it with --engine gluon"),
    (["--kvstore", "local"], "use it with --engine gluon"),
    (["--dtype", "float16"], "--dtype float16 is for --engine gluon"),
    (["--dtype", "tf32"], "--dtype tf32 is for NVIDIA GPUs of compute capability 8.0 and later"),
    (["--mode", "graph"], "--mode graph is for GPUs; on a CPU use eager or compile"),
    (["--engine", "gluon", "--mode", "eager"], "--mode is PyTorch's: use it with --engine torch"),
    (["--engine", "gluon", "--dtype", "tf32"], "--dtype tf32 is PyTorch's: use it with --engine"),
    (["--ctx", "gpu(0),gpu(1)"], "is not a device"),
    (["--resize", "28"], "the smallest is 67x67"),
    (["--model", "nin,classes=5"], "makes 5 classes, and Fashion-MNIST has 10"),
    (["--init-from", "no/such.params"], "such.params is missing"),
])
def test_what_it_cannot_do_is_one_line(few_images, tmp_path, capsys, options, sentence):
    assert sentence in refused([*SMALL, *options, "--out", str(tmp_path / "run")], capsys)
    assert not (tmp_path / "run").exists()


def test_the_mode_is_kept_and_may_change(few_images, no_pictures, tmp_path, capsys):
    run = str(tmp_path / "run")
    assert train.main([*CIFAR, "--epochs", "1", "--mode", "eager", "--out", run]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["mode"] == "eager"
    capsys.readouterr()
    assert "--mode graph is for GPUs" in refused(["--resume", run, "--mode", "graph"], capsys)
    assert train.main(["--resume", run, "--mode", "auto"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["mode"] == "auto"
    capsys.readouterr()
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"mode": "auto"', '"mode": "fast"'))
    assert "mode is 'fast'; it must be one of auto, eager" in refused(["--resume", run], capsys)


def test_the_engine_is_the_runs_own(few_images, no_pictures, tmp_path, capsys):
    run = str(tmp_path / "run")
    assert train.main([*CIFAR, "--epochs", "1", "--out", run]) == 0
    capsys.readouterr()
    assert "(engine is torch); leave out --engine" in refused(["--resume", run, "--engine",
                                                               "gluon"], capsys)
    assert train.main(["--resume", run, "--engine", "auto"]) == 0


@pytest.mark.parametrize("first", ["gluon", "torch"])
def test_a_run_starts_from_given_parameters(few_images, no_pictures, tmp_path, capsys, first):
    """Files of either engine, for both; without dropout the next runs agree in their logs."""
    options = ["--model", "cifar_nin,dropout=0", "--preset", "paper-quick", "--resize", "32",
               "--preprocess", "none", "--augment", "none", "--batch-size", "8", "--epochs", "1",
               "--schedule", "constant", "--dataset", "fashion-mnist", "--limit", "16"]
    assert train.main([*options, "--engine", first, "--out", str(tmp_path / "a")]) == 0
    files = [next(tmp_path.glob("a/checkpoint/*/net.safetensors")),
             *tmp_path.glob("a/model-0001.params"), *tmp_path.glob("a/model-0001.safetensors")]
    assert len(files) == 2
    losses = []
    for engine in ("gluon", "torch"):
        for number, file in enumerate(files):
            run = tmp_path / f"{engine}-{number}"
            assert train.main([*options, "--engine", engine, "--lr", "0.001", "--init-from",
                               str(file), "--out", str(run)]) == 0
            losses.append(read_history(run / "history.jsonl")[0].loss)
            config = json.loads((run / "config.json").read_text())
            assert config["init_file"] == str(file) and config["init_from"].startswith("sha256:")
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
    capsys.readouterr()
    assert "cannot be read as parameters of this net" in refused(
        [*SMALL, "--init-from", str(files[0]), "--out", str(tmp_path / "other")], capsys)


def test_other_commands_take_its_runs(few_images, no_pictures, tmp_path, monkeypatch, capsys):
    from nin_gluon import confidence, plots
    from nin_gluon.experiments import pages

    monkeypatch.setattr(pages, "draw", lambda group: {})
    monkeypatch.setattr(plots, "draw_class_maps", lambda *args: plots.Figure())
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    assert train.main(["--engine", "torch", "--dataset", "fashion-mnist", "--limit", "16",
                       "--epochs", "1", "--out", str(run)]) == 0
    assert reproduce.main(["--add", str(run)]) == 0
    kept = list(tmp_path.glob("results/*/*.jsonl"))
    assert len(kept) == 1 and "engine-torch" in kept[0].name
    assert reproduce.main(["--engine", "torch", "--limit", "16", "--epochs", "1", "--seeds", "0",
                           "--dataset", "fashion-mnist"]) == 0
    assert "recorded already: seed 0" in capsys.readouterr().err  # as the run that was added
    assert confidence.main([str(run), "--ctx", "cpu", "--no-progress", "--limit", "8"]) == 0
    assert "picture" in capsys.readouterr().out


# ------------------------------------------------------------------ --engine auto


def test_auto_is_gluon_where_mxnet_can_compute(monkeypatch, caplog):
    monkeypatch.setattr(engine_choice, "device_capabilities", lambda: [(8, 0), (9, 0)])
    for ctx in ("auto", "cpu", "gpu", "gpu(0)", "gpu(5)"):
        assert runtime.choose_engine(ctx) == "gluon"
    assert not caplog.records
    for ctx in ("gpu(1)", "gpu(0),gpu(1)"):
        assert runtime.choose_engine(ctx) == "torch"
    assert caplog.messages[0] == (
        "MXNet 1.9.1 has no code for gpu(1), whose compute capability is 9.0: training with "
        "PyTorch (--engine torch)")


def test_auto_is_pytorch_where_mxnet_is_not_installed(monkeypatch, caplog):
    monkeypatch.setattr(engine_choice, "is_installed", lambda name: name == "torch")
    assert runtime.choose_engine("auto") == "torch"
    assert caplog.messages == ["MXNet is not installed: training with PyTorch (--engine torch)"]
    monkeypatch.setattr(engine_choice, "is_installed", lambda name: False)
    assert runtime.choose_engine("auto") == "gluon"  # whose error says how to install MXNet


def test_gluon_never_falls_back(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(engine_choice, "is_installed", lambda name: name == "torch")
    error = refused(["--engine", "gluon", "--ctx", "gpu", "--out", str(tmp_path / "run")], capsys)
    assert "this is the CPU build of MXNet" in error


def test_without_pytorch_it_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *rest: None if name == "torch" else found(name, *rest))
    error = refused(["--engine", "torch", "--out", str(tmp_path / "run")], capsys)
    assert "PyTorch is not installed; in a checkout of the project, run: pip install" in error
