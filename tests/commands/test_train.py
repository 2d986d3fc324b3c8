"""The train command, from options to run folder, on a few images."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd

from nin_gluon import models, plots, train
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training import callbacks, run_folder
from nin_gluon.training.gluon_run import optimizer_options
from nin_gluon.training.history import parse_log, read_history
from tests import refusals
from tests.slim_nin import small_sample

refused = functools.partial(refusals.refused, train.main)

pytestmark = pytest.mark.usefixtures("slim")

# The smallest input, so that a step takes milliseconds.
SMALL = ["--resize", "67", "--batch-size", "8", "--epochs", "2", "--init", "he", "--lr", "0.01",
         "--momentum", "0.9", "--dataset", "fashion-mnist"]


def outcome(run):
    """What must not depend on how a run was stopped: parameters' bytes and log without times."""
    log = [(r.epoch, r.loss, r.train_acc, r.test_acc) for r in read_history(run / "history.jsonl")]
    return log, list(nd.load(str(run / "model-0002.params")).values())


WHOLE = {}  # options -> folder of the run that nothing stopped; many tests need the same


def whole_run(options, tmp_path):
    key = tuple(options)
    if key not in WHOLE:
        run = tmp_path / f"whole-{len(WHOLE)}"
        assert train.main([*options, "--out", str(run)]) == 0
        WHOLE[key] = run
    return WHOLE[key]


@pytest.fixture
def finished(few_images, no_pictures, tmp_path, capsys):
    """The folder of a finished run of SMALL, for the test alone."""
    run = shutil.copytree(whole_run(SMALL, tmp_path), tmp_path / "finished")
    capsys.readouterr()
    return run


def assert_same_outcome(one, other):
    """Compare two run folders."""
    (log, parameters), (other_log, other_parameters) = outcome(one), outcome(other)
    assert log == other_log
    assert len(parameters) == len(other_parameters) in (18, 24)
    for value, other_value in zip(parameters, other_parameters):
        np.testing.assert_array_equal(value.asnumpy(), other_value.asnumpy())


@pytest.fixture
def stop_at(monkeypatch):
    """Function of (step, signal): make the next run behave as if the signal came in that step."""

    def arrange(step, signum=signal.SIGINT, method="on_train_batch_end"):
        original, calls = getattr(callbacks.StopOnSignal, method), []

        def stopping(self, *args):
            calls.append(1)
            if len(calls) == step:
                os.kill(os.getpid(), signum)
            return original(self, *args)

        monkeypatch.setattr(callbacks.StopOnSignal, method, stopping)

    return arrange


def test_a_run_prints_the_textbooks_lines_and_fills_its_folder(few_images, tmp_path, capsys):
    run = tmp_path / "run 图"
    assert train.main([*SMALL, "--out", str(run)]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "training on cpu(0)"
    assert [str(r) for r in parse_log(out)] == lines[1:3]
    assert str(run) in lines[3]
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.json", "history.jsonl", "curves.png", "predictions.png",
                     "model-symbol.json", "model-0002.params", "checkpoint"}
    assert "model-0001.params" not in names
    config = json.loads((run / "config.json").read_text())
    assert (config["resize"], config["seed"], config["preset"]) == (67, 0, "textbook")
    assert config["machine"]["mxnet"] == "1.9.1"
    assert [str(r) for r in read_history(run / "history.jsonl")] == lines[1:3]


def test_the_exported_model_computes_what_was_trained(finished, garments):
    net = gluon.SymbolBlock.imports(str(finished / "model-symbol.json"), ["data"],
                                    str(finished / "model-0002.params"))
    from nin_gluon.data.loader import BatchLoader
    from nin_gluon.training.loop import evaluate_accuracy

    accuracy = evaluate_accuracy(BatchLoader(*garments("test", 32), 8, resize=67), net, mx.cpu())
    assert accuracy == read_history(finished / "history.jsonl")[-1].test_acc


def test_one_seed_gives_one_run_and_another_gives_another(few_images, no_pictures, tmp_path):
    first = whole_run(SMALL, tmp_path)
    for seed in "01":
        assert train.main([*SMALL, "--seed", seed, "--out", str(tmp_path / seed)]) == 0
    assert_same_outcome(first, tmp_path / "0")
    assert outcome(first)[0] != outcome(tmp_path / "1")[0]


@pytest.mark.parametrize("step, signum, method", [
    (1, signal.SIGINT, "on_train_batch_end"),  # the first step
    (4, signal.SIGTERM, "on_train_batch_end"),
    (6, signal.SIGINT, "on_train_batch_end"),  # the last step of the first epoch
    (2, signal.SIGTERM, "on_test_batch_end"),
    (1, signal.SIGINT, "on_epoch_end"),
    (9, signal.SIGINT, "on_train_batch_end"),
])
def test_stopped_and_resumed_is_as_never_stopped(few_images, no_pictures, tmp_path, stop_at,
                                                 capsys, step, signum, method):
    """With a schedule; without one, whose place in a checkpoint is empty, in tests below."""
    options = [*SMALL, "--schedule", "cosine"]
    whole = whole_run(options, tmp_path)
    capsys.readouterr()
    stop_at(step, signum, method)
    assert train.main([*options, "--out", str(tmp_path / "parts")]) == 128 + signum
    error = capsys.readouterr().err
    assert f"--resume {tmp_path / 'parts'}" in error
    assert train.main(["--resume", str(tmp_path / "parts")]) == 0
    assert len(parse_log(capsys.readouterr().out)) == 2  # the log is whole again
    assert_same_outcome(whole, tmp_path / "parts")


@pytest.mark.parametrize("step, method, more", [
    (4, "on_train_batch_end", ["--augment", "shift-mirror", "--preprocess", "zca",
                               "--model", "cifar_nin", "--resize", "28", "--limit", "24"]),
    (2, "on_test_batch_end", ["--augment", "shift-mirror", "--schedule", "step"]),
    (1, "on_epoch_end", ["--augment", "mirror", "--preprocess", "standardize"]),
    (4, "on_train_batch_end", ["--optimizer", "adam", "--lr", "0.001", "--momentum", "0"]),
    (1, "on_epoch_end", ["--optimizer", "adam", "--lr", "0.001", "--momentum", "0"]),
])
def test_stopped_and_resumed_with(few_images, no_pictures, tmp_path, stop_at, step, method, more):
    options = [*SMALL, *more]
    whole = whole_run(options, tmp_path)
    stop_at(step, method=method)
    assert train.main([*options, "--out", str(tmp_path / "parts")]) == 130
    assert train.main(["--resume", str(tmp_path / "parts")]) == 0
    assert_same_outcome(whole, tmp_path / "parts")
    without = {"shift-mirror": "none", "mirror": "none", "adam": "sgd"}
    options = [without.get(option, option) for option in options]
    assert outcome(whole)[0] != outcome(whole_run(options, tmp_path))[0]  # it does something


def test_the_net_must_have_the_classes_of_the_data(few_images, tmp_path, capsys):
    options = [*SMALL, "--model", "nin,classes=5", "--out", str(tmp_path / "run")]
    assert train.main(options) == 2
    error = capsys.readouterr().err
    assert "makes 5 classes, and Fashion-MNIST has 10" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_another_optimizer_needs_a_rate(tmp_path, capsys):
    assert train.main(["--optimizer", "adam", "--out", str(tmp_path / "run")]) == 2
    assert "give --lr too" in capsys.readouterr().err


@pytest.mark.parametrize("name, value", [("init", "foo"), ("limit", "abc"), ("model", ["nin"]),
                                         ("optimizer", "foo"), ("resize", -3), ("epochs", True),
                                         ("lr", "fast"), ("limit", 2.5), ("momentum", 1)])
def test_settings_that_cannot_be(finished, capsys, name, value):
    config = json.loads((finished / "config.json").read_text())
    (finished / "config.json").write_text(json.dumps({**config, name: value}))
    assert train.main(["--resume", str(finished)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{name} is {value!r}" in error or "unknown model" in error


def test_validation_leaves_the_test_set_alone(few_images, no_pictures, tmp_path, monkeypatch,
                                              capsys):
    import nin_gluon.data

    load = nin_gluon.data.load_image_set

    def only_training(name, split, root=None):
        assert split == "train"
        return load(name, split, root)

    monkeypatch.setattr(nin_gluon.data, "load_image_set", only_training)
    train_iter, held_out = nin_gluon.data.load_data("fashion-mnist", 8, validation=10)
    images, labels = load("fashion-mnist", "train")
    np.testing.assert_array_equal(train_iter.images.asnumpy(), images[:38])
    np.testing.assert_array_equal(held_out.images.asnumpy(), images[38:])
    np.testing.assert_array_equal(held_out.labels.asnumpy(), labels[38:])
    assert train.main([*SMALL, "--validation", "10", "--out", str(tmp_path / "run")]) == 0
    assert "last 10 training images" in capsys.readouterr().err
    assert train.main([*SMALL, "--validation", "48", "--out", str(tmp_path / "none")]) == 2
    assert "48 cannot be held out" in capsys.readouterr().err


def test_adam_has_no_momentum(few_images, no_pictures, tmp_path, capsys):
    adam = ["--preset", "quick", "--epochs", "1", "--optimizer", "adam", "--lr", "0.001",
            "--dataset", "fashion-mnist"]
    assert train.main([*adam, "--momentum", "0.5", "--out", str(tmp_path / "no")]) == 2
    assert "--momentum" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    assert train.main([*adam, "--out", str(tmp_path / "yes")]) == 0
    config = json.loads((tmp_path / "yes" / "config.json").read_text())
    assert (config["optimizer"], config["momentum"]) == ("adam", 0)


def test_stopped_after_every_few_steps(few_images, no_pictures, tmp_path, stop_at):
    whole = whole_run(SMALL, tmp_path)
    stop_at(3)
    status, tries = train.main([*SMALL, "--out", str(tmp_path / "parts")]), 1
    while status and tries < 10:
        stop_at(3)
        status, tries = train.main(["--resume", str(tmp_path / "parts")]), tries + 1
    assert tries > 3
    assert_same_outcome(whole, tmp_path / "parts")


def test_killed_without_warning_goes_on_from_the_last_checkpoint(few_images, no_pictures, tmp_path,
                                                                 monkeypatch):
    whole = whole_run(SMALL, tmp_path)

    class Killed(BaseException):
        pass

    original = callbacks.StopOnSignal.on_train_batch_end

    def step(self, tally):
        original(self, tally)
        if (tally.epoch, tally.step) == (2, 5):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.StopOnSignal, "on_train_batch_end", step)
        with pytest.raises(Killed):
            train.main([*SMALL, "--checkpoint-every", "2", "--out", str(tmp_path / "parts")])
    names = [path.name for path in (tmp_path / "parts" / "checkpoint").iterdir()]
    assert names == ["epoch-0002-step-000004"]
    assert train.main(["--resume", str(tmp_path / "parts")]) == 0
    assert_same_outcome(whole, tmp_path / "parts")


def test_killed_between_the_last_checkpoint_and_the_model(few_images, no_pictures, tmp_path,
                                                          monkeypatch):
    class Killed(BaseException):
        pass

    def killed(self, history):
        if len(history) == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Export, "on_epoch_end", killed)
        with pytest.raises(Killed):
            train.main([*SMALL, "--out", str(tmp_path / "run")])
    assert not list((tmp_path / "run").glob("model-*"))
    assert train.main(["--resume", str(tmp_path / "run")]) == 0
    assert_same_outcome(whole_run(SMALL, tmp_path), tmp_path / "run")


def test_a_finished_run_can_be_given_more_epochs(few_images, no_pictures, tmp_path, capsys):
    one = [*SMALL[:4], "--epochs", "1", *SMALL[6:]]
    whole = whole_run(SMALL, tmp_path)
    assert train.main([*one, "--out", str(tmp_path / "parts")]) == 0
    assert train.main(["--resume", str(tmp_path / "parts"), "--epochs", "2"]) == 0
    assert_same_outcome(whole, tmp_path / "parts")
    cosine = [*one, "--schedule", "cosine", "--out", str(tmp_path / "cosine")]
    assert train.main(cosine) == 0
    capsys.readouterr()
    assert train.main(["--resume", str(tmp_path / "cosine"), "--epochs", "2"]) == 2
    assert "cosine schedule of this run is made for 1 epoch;" in capsys.readouterr().err


def test_divergence_ends_the_run_and_keeps_the_last_good_parameters(few_images, no_pictures,
                                                                    tmp_path, capsys):
    run = tmp_path / "run"
    assert train.main([*SMALL, "--lr", "1e6", "--out", str(run)]) == 1
    error = capsys.readouterr().err
    assert "epoch 1, " in error and "step" in error and "lower --lr" in error
    kept = nd.load(str(run / "model-0000.params"))
    assert len(kept) == 24
    assert all(np.isfinite(value.asnumpy()).all() for value in kept.values())
    assert read_history(run / "history.jsonl") == []


def test_several_devices_give_the_log_of_one(few_images, no_pictures, tmp_path, monkeypatch,
                                             capsys):
    """Without dropout, whose masks differ from device to device. 48 images are 9 batches of 5 and
    one of 3, which two devices cannot share evenly."""
    monkeypatch.setitem(models.MODELS, "nin", functools.partial(models.nin, dropout=0))
    options = [*SMALL, "--schedule", "cosine", "--init", "identity", "--batch-size", "5",
               "--augment", "shift-mirror"]
    assert train.main([*options, "--out", str(tmp_path / "one")]) == 0
    one = capsys.readouterr().out.splitlines()
    log, parameters = outcome(tmp_path / "one")
    assert log[1][1] < log[0][1]  # it learns, so there is something to compare
    for kvstore in ("device", "local"):
        assert train.main([*options, "--ctx", "cpu(0),cpu(1)", "--kvstore", kvstore,
                           "--out", str(tmp_path / kvstore)]) == 0
        two = capsys.readouterr().out.splitlines()
        assert (one[0], two[0]) == ("training on cpu(0)", "training on cpu(0), cpu(1)")
        assert [line.partition(", time")[0] for line in one[1:3]] == \
            [line.partition(", time")[0] for line in two[1:3]]
        other_log, other_parameters = outcome(tmp_path / kvstore)
        np.testing.assert_allclose(log, other_log, rtol=1e-5)
        for value, other in zip(parameters, other_parameters):
            np.testing.assert_allclose(value.asnumpy(), other.asnumpy(), rtol=1e-3, atol=1e-5)


def test_a_run_on_several_devices_stops_and_goes_on(few_images, no_pictures, tmp_path, stop_at):
    options = [*SMALL, "--schedule", "cosine", "--ctx", "cpu(0),cpu(1)"]
    assert train.main([*options, "--out", str(tmp_path / "whole")]) == 0
    stop_at(8)
    assert train.main([*options, "--out", str(tmp_path / "parts")]) == 130
    assert train.main(["--resume", str(tmp_path / "parts")]) == 0
    assert_same_outcome(tmp_path / "whole", tmp_path / "parts")


def test_a_run_from_before_there_was_a_setting_goes_on(few_images, no_pictures, tmp_path, stop_at):
    whole = whole_run(SMALL, tmp_path)
    stop_at(4)
    assert train.main([*SMALL, "--out", str(tmp_path / "parts")]) == 130
    path = tmp_path / "parts" / "config.json"
    config = json.loads(path.read_text())
    del config["kvstore"], config["workers"], config["augment"]
    path.write_text(json.dumps(config))
    assert train.main(["--resume", str(tmp_path / "parts")]) == 0
    assert_same_outcome(whole, tmp_path / "parts")


def test_the_presets_keep_what_they_promise():
    def planned(*options):
        args = train.build_parser().parse_args([*options, "--out", "nowhere"])
        config = train.planned_run(args)[1].to_json()
        return {name: value for name, value in config.items()
                if name not in ("workers", "own_data", "machine", "init_file")}

    assert planned() == {
        "preset": "textbook", "model": "nin", "dataset": None, "epochs": 5, "batch_size": 128,
        "resize": 224, "limit": None, "optimizer": "sgd", "lr": 0.1, "momentum": 0.0, "wd": 0.0,
        "schedule": "constant", "init": "xavier", "augment": "none", "preprocess": "none",
        "interpolation": "bilinear",
        "validation": None, "dtype": "float32", "seed": 0, "ctx": "auto", "kvstore": "device",
        "data_dir": None, "engine": "gluon", "init_from": None, "mode": "auto"}
    quick = planned("--preset", "quick", "--epochs", "9", "--momentum", "0")
    assert (quick["preset"], quick["epochs"], quick["momentum"]) == ("quick", 9, 0)
    assert planned("--preset", "tuned")["resize"] == 224
    paper = planned("--preset", "paper")
    assert (paper["model"], paper["dataset"], paper["resize"]) == ("cifar_nin", "cifar10", None)
    assert (paper["augment"], paper["preprocess"], paper["schedule"]) == ("shift-mirror", "zca",
                                                                          "step")
    # The net for small images has a recipe of its own where none is named.
    for model in ("cifar_nin", "cifar_nin,head=fc", " cifar_nin , head=fc"):
        quick = planned("--model", model, "--dataset", "cifar-10")
        assert (quick["preset"], quick["model"], quick["dataset"]) == ("paper-quick", model,
                                                                       "cifar10")
    assert planned("--model", "cifar_nin", "--preset", "tuned")["resize"] == 224
    assert planned("--model", "nin,head=fc")["preset"] == "textbook"


@pytest.mark.parametrize("steps", [1, 2, 3, 12, 1200])
def test_the_step_schedule_takes_a_tenth_twice(steps):
    settings = TEXTBOOK.but(lr=0.5, schedule="step")
    schedule = optimizer_options(settings, steps)["lr_scheduler"]
    rates = [schedule(update) for update in range(1, steps + 1)]
    whole = max(1, steps * 5 // 6)
    tenth = max(whole + 1, steps * 11 // 12)
    wanted = [0.5] * whole + [0.05] * (tenth - whole) + [0.005] * (steps - tenth)
    np.testing.assert_allclose(rates, wanted[:steps])


@pytest.mark.parametrize("dataset, size, channels", [("fashion-mnist", 28, 1), ("cifar10", 32, 3)])
def test_the_papers_net_by_itself_takes_images_as_they_are(few_images, no_pictures, tmp_path,
                                                           monkeypatch, dataset, size, channels):
    import nin_gluon.data

    def load(name, split, root=None):
        assert name == dataset
        images = np.random.randint(0, 256, (16, size, size, channels)).astype(np.uint8)
        return images, np.arange(16, dtype=np.uint8) % 10

    monkeypatch.setattr(nin_gluon.data, "load_image_set", load)
    options = ["--dataset", dataset] if dataset == "cifar10" else []
    run = tmp_path / "run"
    assert train.main(["--model", "cifar_nin,head=fc", "--epochs", "1", "--batch-size", "8",
                       *options, "--out", str(run)]) == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["resize"], config["dataset"]) == (size, dataset)
    assert config["preset"] == "paper-quick"
    assert train.main(["--resume", str(run)]) == 0


def test_pictures_of_colour_images(few_images, tmp_path, monkeypatch):
    import nin_gluon.data

    images = np.random.randint(0, 256, (16, 32, 32, 3)).astype(np.uint8)
    monkeypatch.setattr(nin_gluon.data, "load_image_set",
                        lambda *args: (images, np.arange(16, dtype=np.uint8) % 10))
    monkeypatch.setattr(plots, "draw_curves", lambda *args: plots.Figure(figsize=(1, 1)))
    drawn = []
    monkeypatch.setattr("nin_gluon.plots.predictions.draw_image",
                        lambda axes, image: drawn.append(image))
    assert train.main(["--preset", "paper", "--epochs", "1", "--preprocess", "gcn", "--out",
                       str(tmp_path / "run")]) == 0
    assert np.array_equal(drawn, images)  # as they are, whatever the net was given
    assert (tmp_path / "run" / "predictions.png").stat().st_size > 10000


@pytest.mark.parametrize("options, sentence", [
    (["--epochs", "0"], "argument --epochs: '0' is not a whole number above 0"),
    (["--lr", "nan"], "argument --lr: 'nan' is not a number above 0"),
    (["--momentum", "1"], "from 0 to below 1"),
    (["--batch-size", "1.5"], "'1.5' is not a whole number"),
    (["--preset", "fast"], "invalid choice: 'fast'"),
    (["--wd", "-1"], "'-1' is not a number 0 or above"),
    (["--kvstore", "dist_async"], "invalid choice: 'dist_async'"),
    (["--kvstore", "dist_sync"], "start one with: python -m nin_gluon.launch"),
    (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    (["--model", "alexnet"], "unknown model 'alexnet'; the models are: cifar_nin, mlpconv_nin, "
                            "nin"),
    (["--dataset", "mnist"], "unknown data set 'mnist'; the data sets are: fashion-mnist, cifar10, "
                             "sample"),
    (["--ctx", "tpu"], "'tpu' is not a device"),
    (["--ctx", "gpu"], "gpu(0) cannot be used: this is the CPU build"),
    (["--resume", "no/such/run"], "is not a run folder: it has no config.json"),
])
def test_wrong_requests_get_one_line_and_status_2(few_images_or_known, options, sentence, capsys):
    assert sentence in refused(options, capsys)


@pytest.fixture
def few_images_or_known(garments, monkeypatch):
    """Few images, but unknown data sets stay unknown."""
    import nin_gluon.data
    from nin_gluon.data import sets

    def load(name, split, root=None):
        if name not in sets.DATASETS:
            return sets.load_image_set(name, split, root)
        return garments(split, 32)

    monkeypatch.setattr(nin_gluon.data, "load_image_set", load)


def test_an_input_too_small_is_refused_before_a_folder_is_made(few_images, tmp_path, capsys):
    error = refused([*SMALL, "--resize", "28", "--out", str(tmp_path / "run")], capsys)
    assert "the smallest is 67x67" in error
    assert not (tmp_path / "run").exists()


def test_a_folder_with_files_is_never_written_into(few_images, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert "is there already" in refused([*SMALL, "--out", str(tmp_path)], capsys)
    assert "is there already" in refused([*SMALL, "--out", str(tmp_path / "mine.txt")], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_resume_keeps_to_the_runs_settings(finished, capsys):
    run = finished
    assert "(lr is 0.01); leave out --lr" in refused(["--resume", str(run), "--lr", "1"], capsys)
    assert "leave out --batch-size" in refused(["--resume", str(run), "--batch-size", "4"], capsys)
    assert "leave out --out" in refused(["--resume", str(run), "--out", "x"], capsys)
    (run / "config.json").write_text("{")
    assert "config.json cannot be read" in refused(["--resume", str(run)], capsys)


def test_one_process_at_a_time_in_a_run(finished, capsys):
    import filelock

    with filelock.FileLock(finished / ".lock"):
        error = refused(["--resume", str(finished)], capsys)
    assert "another process is training" in error


def test_nobody_reads_the_errors_either(no_pictures, tmp_path):
    """`... 2>&1 | head -1` is no success: the run has not come to its end."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "tests.slim_nin", "train", "--resize", "67", "--limit", "16",
               "--epochs", "3", "--dataset", "sample", "--out", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 128 + signal.SIGPIPE
    assert (run / "checkpoint").exists() and not (run / "predictions.png").exists()


def test_without_data_and_network_or_a_reader(no_pictures, tmp_path, monkeypatch, capsys):
    """For real: it says that it trains on the sample, and the reader takes one line, as in
    `... | head -1`. A closed port as proxy stands for no network."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    monkeypatch.delenv("NIN_GLUON_DATA", raising=False)
    run = tmp_path / "run"
    command = [sys.executable, "-m", "tests.slim_nin", "train", "--resize", "67", "--limit", "16",
               "--epochs", "3", "--out", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "training on cpu(0)\n"
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait() == 128 + signal.SIGPIPE
    assert "go on with" in error and "Traceback" not in error
    notices = [line for line in error.splitlines() if "sample" in line]
    assert len(notices) == 1
    assert "Fashion-MNIST is not at hand" in notices[0]
    assert json.loads((run / "config.json").read_text())["dataset"] == "sample"

    # Nothing is lost.
    small_sample(setitem=monkeypatch.setitem)  # as there
    assert train.main(["--resume", str(run)]) == 0
    assert [record.epoch for record in parse_log(capsys.readouterr().out)] == [1, 2, 3]

    # Where the user says that the data is, nothing takes its place.
    empty = tmp_path / "empty"
    empty.mkdir()
    error = refused(["--data-dir", str(empty), "--out", str(tmp_path / "other")], capsys)
    assert "train-images-idx3-ubyte.gz" in error and "--data-dir" in error
    assert [path.name for path in empty.iterdir() if path.suffix != ".lock"] == []


def test_signals_reach_a_real_process(tmp_path):
    command = [sys.executable, "-m", "tests.slim_nin", "train", "--preset", "quick", "--dataset",
               "sample", "--epochs", "9999", "--no-progress", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "training on cpu(0)\n"
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"--resume {tmp_path / 'run'}" in error
    assert len(list((tmp_path / "run" / "checkpoint").iterdir())) == 1


def test_the_sample_is_hard_enough_to_be_learnt(tmp_path, no_pictures, monkeypatch):
    """An untrained net guesses on it, and the quick recipe clearly learns from a quarter of it."""
    small_sample(2500, 500, setitem=monkeypatch.setitem)  # to draw all of it takes a second
    from nin_gluon import models
    from nin_gluon.data import load_data
    from nin_gluon.training.loop import evaluate_accuracy

    net = models.get_model("nin")
    net.initialize(models.initializer("xavier"))
    _, test_iter = load_data("sample", 100, resize=67)
    assert 0.05 < evaluate_accuracy(test_iter, net, mx.cpu()) < 0.2
    options = ["--preset", "quick", "--dataset", "sample", "--epochs", "1"]
    assert train.main([*options, "--out", str(tmp_path / "run")]) == 0
    assert read_history(tmp_path / "run" / "history.jsonl")[0].test_acc > 0.4


def test_a_signal_that_comes_again_changes_nothing(few_images, no_pictures, tmp_path, monkeypatch,
                                                  capsys):
    """Not while the step is finished, nor while the run is saved."""
    original_step = callbacks.StopOnSignal.on_train_batch_end
    original_save = callbacks.Checkpoints.save
    sent = []

    def step(self, tally):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        sent.append(1)
        return original_step(self, tally)

    def save(self):
        if sent:
            os.kill(os.getpid(), signal.SIGTERM)
        return original_save(self)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.StopOnSignal, "on_train_batch_end", step)
        patch.setattr(callbacks.Checkpoints, "save", save)
        assert train.main([*SMALL, "--out", str(tmp_path / "run")]) == 143
    assert f"--resume {tmp_path / 'run'}" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run" / "checkpoint").iterdir()] == \
        ["epoch-0001-step-000001"]
    assert train.main(["--resume", str(tmp_path / "run")]) == 0


def test_preprocessed_images_keep_their_size(few_images, tmp_path, capsys):
    error = refused([*SMALL, "--preprocess", "gcn", "--out", str(tmp_path / "run")], capsys)
    assert "keep their size of 28x28 pixels; leave out --resize, or give --preprocess" in error


def test_batches_too_small_for_the_devices_are_refused(few_images, tmp_path, capsys):
    options = [*SMALL, "--ctx", "cpu(0),cpu(1),cpu(2)", "--batch-size", "23"]  # 48 = 2 * 23 + 2
    error = refused([*options, "--out", str(tmp_path / "run")], capsys)
    assert "a batch of 2 images cannot be split over 3 devices" in error


@pytest.mark.parametrize("engine", ["gluon", "torch"])
def test_images_larger_than_the_memory_are_refused(few_images, tmp_path, capsys, engine):
    if engine == "torch":
        pytest.importorskip("torch")
    options = ["--engine", engine, "--resize", "1000000", "--batch-size", "2"]
    error = refused([*SMALL, *options, "--out", str(tmp_path / "run")], capsys)
    assert "a batch of 2 images of 1000000x1000000 takes 8,000 GB, and this machine" in error


def test_a_batch_is_no_larger_than_the_data_set(few_images, no_pictures, tmp_path):
    options = ["--batch-size", "10000000", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert train.main([*SMALL, *options]) == 0


def test_fewer_epochs_than_were_run_are_refused(finished, tmp_path, capsys, stop_at):
    stop_at(8)  # in the second epoch
    assert train.main([*SMALL, "--out", str(tmp_path / "half")]) == 130
    capsys.readouterr()
    for run in ("finished", "half"):
        error = refused(["--resume", str(tmp_path / run), "--epochs", "1"], capsys)
        assert "or more, or leave it out" in error
        assert json.loads((tmp_path / run / "config.json").read_text())["epochs"] == 2


def test_a_preset_does_not_stand_in_the_way_of_resuming(finished):
    assert train.main(["--preset", "quick", "--resume", str(finished)]) == 0


@pytest.mark.parametrize("name, text, sentence", [
    ("config.json", '"lr": "abc"', "lr is 'abc'"),
    ("progress.jsonl", '{"epochs": 0.', None),  # for the picture only
])
def test_damaged_files_of_a_run(finished, capsys, name, text, sentence):
    run, path = finished, finished / name
    path.write_text(path.read_text().replace('"lr": 0.01', text) if sentence else text)
    if sentence:
        assert sentence in refused(["--resume", str(run)], capsys)
    else:
        assert train.main(["--resume", str(run)]) == 0


def test_seeds_of_any_size(few_images, no_pictures, tmp_path):
    options = [*SMALL[:4], "--epochs", "1", "--seed", str(10**12), "--out", str(tmp_path / "run")]
    assert train.main(options) == 0


def test_a_run_can_be_resumed_from_another_folder(garments, no_pictures, tmp_path, monkeypatch,
                                                  stop_at):
    """Its data folder is remembered by its whole path."""
    import nin_gluon.data

    asked = []

    def load(name, split, root=None):
        asked.append(root)
        return garments(split, 32)

    monkeypatch.setattr(nin_gluon.data, "load_image_set", load)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    stop_at(2)
    assert train.main([*SMALL, "--data-dir", "mine", "--out", "run"]) == 130
    monkeypatch.chdir("/")
    assert train.main(["--resume", str(tmp_path / "run")]) == 0
    assert set(asked) == {str(tmp_path / "mine")}


def test_two_runs_that_start_in_one_second_get_a_folder_each(few_images, no_pictures, tmp_path,
                                                             monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder.time, "strftime", lambda form: "2020-02-02_020202")
    for _ in range(2):
        assert train.main([*SMALL[:4], "--epochs", "1", *SMALL[6:]]) == 0
    first, second = sorted((tmp_path / "runs").iterdir())
    assert first.name == "2020-02-02_020202-nin-textbook"
    assert second.name == f"{first.name}-{os.getpid()}"
    assert all((run / "model-0001.params").exists() for run in (first, second))
