"""``python -m nin_gluon.torch_edition``: options, lines, run folder, exit status."""

import json
import os
import shutil
import signal
from functools import partial

import pytest

from nin_gluon import torch_edition, train
from nin_gluon.training import callbacks
from nin_gluon.training import loop as shared
from nin_gluon.training.history import parse_log, read_history
from nin_gluon.training.run_folder import TORCH_EDITION, RunConfig
from tests import refusals
from tests.torch_edition.small import LAST_LINES, SMALL, assert_same_outcome, outcome

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from nin_gluon.torch_edition import data, loop, net  # noqa: E402
from nin_gluon.torch_edition.engine import EditionEngine  # noqa: E402
from nin_gluon.torch_edition.settings import RECIPE  # noqa: E402

refused = partial(refusals.refused, torch_edition.main)

# What the config.json of a run of version 0.1 held.
OLD_CONFIG = {"epochs": 10, "batch_size": 128, "lr": 0.1, "dtype": "float32", "seed": 0,
              "dataset": None, "resize": 224, "limit": None, "ctx": "auto", "mode": "auto",
              "data_dir": None, "own_data": None, "machine": None}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def whole(quick, place, capsys):
    """The folder of a run of three epochs that nothing stopped."""
    run = place / "whole"
    if not run.exists():
        assert torch_edition.main([*SMALL, "--epochs", "3", "--out", str(run)]) == 0
        capsys.readouterr()
    return run


def test_a_run_prints_its_lines_and_fills_its_folder(garments, monkeypatch, tmp_path, capsys):
    """With the chapter's net and all that belongs to a run."""
    monkeypatch.setattr(data, "load_image_set",
                        lambda name, split, root=None: garments(split, 40))
    run = tmp_path / "run 图"
    assert torch_edition.main([*SMALL, "--epochs", "2", "--out", str(run), "--ctx", "cpu"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines(keepends=True)
    assert lines[0] == "training on cpu\n"
    assert len(parse_log(out)) == 2
    assert LAST_LINES.fullmatch("".join(lines[3:5]))
    assert lines[5:] == [f"run folder: {run}\n", f"picture: {run / 'curves.png'}\n"]
    assert {path.name for path in run.iterdir()} >= {"config.json", "history.jsonl", "curves.png",
                                                     "model-0002.safetensors", "checkpoint",
                                                     "progress.jsonl"}
    config = json.loads((run / "config.json").read_text())
    assert config["machine"]["torch"] == torch.__version__
    module = net.nin()
    module.load_state_dict(load_file(run / "model-0002.safetensors"))
    test_iter = data.BatchLoader(*garments("test", 40), 20, resize=67)
    assert loop.evaluate_accuracy(module, test_iter) == \
        read_history(run / "history.jsonl")[-1].test_acc


def test_the_recipe_is_the_published_one():
    recipe = RECIPE
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.resize, recipe.dtype) == \
        (10, 128, 0.1, 224, "float32")


@pytest.mark.parametrize("step, signum", [(2, signal.SIGINT), (5, signal.SIGTERM),
                                          (7, signal.SIGINT), (15, signal.SIGTERM)])
def test_stopped_and_resumed_is_as_never_stopped(whole, tmp_path, monkeypatch, capsys, step,
                                                 signum):
    """Five steps an epoch: in the first, at its end, in the second, at the very end.

    Every step is computed once: the run goes on after the step in which the signal came.
    """
    options = [*SMALL, "--epochs", "3"]
    original, calls = EditionEngine.update, []

    def stopping(self, *inputs):
        calls.append(1)
        if len(calls) == step:
            os.kill(os.getpid(), signum)
        return original(self, *inputs)

    monkeypatch.setattr(EditionEngine, "update", stopping)
    parts = tmp_path / "parts"
    assert torch_edition.main([*options, "--out", str(parts)]) == 128 + signum
    error = capsys.readouterr().err
    assert "stopping after this step ..." in error
    epoch = -(-step // 5)
    assert f"stopped in epoch {epoch} after step {step - 5 * (epoch - 1)}; go on with: " in error
    assert f"-m nin_gluon.torch_edition --resume {parts}\n" in error
    torch.manual_seed(99)  # nothing that was left behind in the process may matter
    assert torch_edition.main(["--resume", str(parts)]) == 0
    assert len(calls) == 15
    out = capsys.readouterr().out
    assert [record.epoch for record in parse_log(out)] == [1, 2, 3]
    assert LAST_LINES.search(out)
    assert_same_outcome(whole, parts)


def test_a_finished_run_can_be_given_more_epochs_but_not_fewer(whole, tmp_path, capsys):
    parts = tmp_path / "parts"
    assert torch_edition.main([*SMALL, "--epochs", "2", "--out", str(parts)]) == 0
    assert torch_edition.main(["--resume", str(parts), "--epochs", "3"]) == 0
    assert_same_outcome(whole, parts)
    assert torch_edition.main(["--resume", str(parts), "--epochs", "1"]) == 2
    assert "has 3 epochs" in capsys.readouterr().err


def test_a_run_stopped_while_it_saved_is_made_whole(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    wanted = outcome(run)
    for name in ("model-0003.safetensors", "history.jsonl"):  # the checkpoint comes first
        (run / name).unlink()
    assert torch_edition.main(["--resume", str(run)]) == 0
    assert outcome(run)[0] == wanted[0]


def test_one_seed_gives_one_run_and_another_gives_another(quick, tmp_path):
    for name, seed in (("a", "5"), ("b", "5"), ("c", str(10**12))):
        assert torch_edition.main([*SMALL, "--epochs", "3", "--seed", seed,
                                   "--out", str(tmp_path / name)]) == 0
    assert_same_outcome(tmp_path / "a", tmp_path / "b")
    assert outcome(tmp_path / "a")[0] != outcome(tmp_path / "c")[0]


def deep_net(in_channels):
    """Enough layers in a row that a far too large rate makes the second step overflow."""
    layers = [torch.nn.Flatten(), torch.nn.Linear(67 * 67, 10)]
    for _ in range(3):
        layers += [torch.nn.ReLU(), torch.nn.Linear(10, 10)]
    return torch.nn.Sequential(*layers)


def test_divergence_is_status_1_and_names_what_is_left(quick, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(net, "nin", deep_net)
    run = tmp_path / "run"
    assert torch_edition.main([*SMALL[:-3], "--lr", "1e18", "--checkpoint-every", "1",
                               "--out", str(run)]) == 1
    error = capsys.readouterr().err
    kept = run / "model-0000.safetensors"
    assert f"in epoch 1, step 2; the parameters of epoch 1, step 0 are in {kept}. Try" in error or \
        f"in epoch 1, by step 2; the parameters of epoch 1, step 0 are in {kept}. Try" in error
    assert all(values.isfinite().all() for values in load_file(kept).values())
    # What the first step left is finite, and stays.
    saved, = (run / "checkpoint").iterdir()
    assert saved.name == "epoch-0001-step-000001"
    assert all(values.isfinite().all() for values in
               load_file(saved / "net.safetensors").values())


@pytest.mark.parametrize("options, words", [
    (["--epochs", "0"], "argument --epochs: '0' is not a whole number above 0"),
    (["--dtype", "float16"], "invalid choice: 'float16'"),
    (["--resize", "66"], "--resize 66 is too small for this net"),
    (["--ctx", "tpu"], "'tpu' is not a device"),
    (["--mode", "graph", "--ctx", "cpu"], "--mode graph is for GPUs"),
    (["--dataset", "mnist"], "unknown data set 'mnist'"),
    (["--resume", "no/such/run"], "is not a run folder"),
])
def test_wrong_requests_get_one_line_and_status_2(options, words, capsys):
    assert words in refused(options, capsys)


def test_resume_keeps_to_the_runs_settings(quick, tmp_path, capsys):
    run = tmp_path / "run"
    assert torch_edition.main([*SMALL, "--epochs", "1", "--out", str(run)]) == 0
    capsys.readouterr()
    assert "(lr is 0.2); leave out --lr" in refused(["--resume", str(run), "--lr", "1"], capsys)
    assert "leave out --out" in refused(["--resume", str(run), "--out", "x"], capsys)
    assert "is there already" in refused([*SMALL, "--out", str(run)], capsys)
    assert train.main(["--resume", str(run)]) == 2  # that would draw other orders and masks
    assert "is a run of the book's PyTorch edition, which only python -m nin_gluon.torch_edition " \
        "--resume takes" in capsys.readouterr().err
    shutil.rmtree(run / "checkpoint")
    for name in ("checkpoint.safetensors", "checkpoint.pt"):
        (run / name).write_bytes(b"PK not a checkpoint")
        assert f"{run / name} cannot be read" in refused(["--resume", str(run)], capsys)
        (run / name).unlink()
    (run / "config.json").write_text('{"preset": "textbook"}')  # of the other command
    assert "is not that of a run of nin_gluon.torch_edition" in \
        refused(["--resume", str(run)], capsys)


def test_stopped_while_it_evaluates_it_evaluates_again(whole, tmp_path, monkeypatch, capsys):
    options = [*SMALL, "--epochs", "3"]
    count, calls = EditionEngine.count, []

    def stopping(self, X, y):  # called once for each batch of an evaluation
        calls.append(1)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return count(self, X, y)

    monkeypatch.setattr(EditionEngine, "count", stopping)
    parts = tmp_path / "parts"
    assert torch_edition.main([*options, "--out", str(parts)]) == 130
    assert "stopped in epoch 2 after step 5; go on with: " in capsys.readouterr().err
    torch.manual_seed(99)
    assert torch_edition.main(["--resume", str(parts)]) == 0
    assert_same_outcome(whole, parts)


def test_a_reader_that_has_seen_enough_loses_no_step(whole, tmp_path, monkeypatch):
    """``... | head``: printing the line of epoch 2 fails."""
    options = [*SMALL, "--epochs", "3"]
    lines = []

    def printing(*words, **options):
        lines.append(words)
        if len(lines) == 3:  # the device, epoch 1, epoch 2
            raise BrokenPipeError

    parts = tmp_path / "parts"
    with monkeypatch.context() as patch:
        patch.setattr(shared, "print", printing, raising=False)
        patch.setattr(train, "silence_stdout", lambda: None)
        assert torch_edition.main([*options, "--out", str(parts)]) == 128 + signal.SIGPIPE
    assert torch_edition.main(["--resume", str(parts)]) == 0
    assert_same_outcome(whole, parts)


@pytest.mark.parametrize("epoch, step", [(1, 3), (2, 2)])
def test_killed_it_goes_on_from_the_last_checkpoint(whole, tmp_path, monkeypatch, epoch, step):
    """A checkpoint every two steps; something that nothing catches ends the run."""
    options = [*SMALL, "--epochs", "3"]
    original, calls = EditionEngine.update, []
    last = 5 * (epoch - 1) + step

    def dying(self, *inputs):
        calls.append(1)
        if len(calls) == last:
            raise MemoryError
        return original(self, *inputs)

    monkeypatch.setattr(EditionEngine, "update", dying)
    parts = tmp_path / "parts"
    with pytest.raises(MemoryError):
        torch_edition.main([*options, "--checkpoint-every", "2", "--out", str(parts)])
    saved = max(last - 1 - (last - 1) % 2, 5 * (epoch - 1))
    torch.manual_seed(99)
    assert torch_edition.main(["--resume", str(parts)]) == 0
    assert len(calls) == last + 15 - saved
    assert_same_outcome(whole, parts)


def test_how_often_a_checkpoint_is_written(quick, tmp_path, monkeypatch):
    """At the start, and after each epoch; by the clock unless the user counts."""
    written, now = [], [0.0]
    original, update = callbacks.checkpoint.save, EditionEngine.update

    def save(run, engine, tally, *rest):
        written.append((tally.epoch, tally.step))
        return original(run, engine, tally, *rest)

    def step(self, *inputs):
        now[0] += 50
        return update(self, *inputs)

    monkeypatch.setattr(callbacks.checkpoint, "save", save)
    monkeypatch.setattr(EditionEngine, "update", step)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    options = [*SMALL, "--epochs", "2", "--out"]
    assert torch_edition.main([*options, str(tmp_path / "clock")]) == 0
    assert written == [(1, 0), (1, 3), (2, 0), (2, 3), (3, 0)]
    written.clear()
    assert torch_edition.main([*options, str(tmp_path / "steps"), "--checkpoint-every", "4"]) == 0
    assert written == [(1, 0), (1, 4), (2, 0), (2, 3), (3, 0)]


def test_model_and_history_stay_those_of_the_last_finished_epoch(quick, tmp_path, monkeypatch):
    run = tmp_path / "run"
    assert torch_edition.main([*SMALL, "--epochs", "1", "--out", str(run)]) == 0
    wanted = outcome(run)
    original = EditionEngine.update

    def stopping(self, *inputs):
        os.kill(os.getpid(), signal.SIGINT)
        return original(self, *inputs)

    monkeypatch.setattr(EditionEngine, "update", stopping)
    assert torch_edition.main(["--resume", str(run), "--epochs", "3"]) == 130
    log, parameters = outcome(run)
    assert log == wanted[0]
    assert set(parameters) == set(wanted[1])
    assert all(torch.equal(parameters[name], values) for name, values in wanted[1].items())
    assert torch_edition.main(["--resume", str(run), "--epochs", "1"]) == 2


def test_a_run_that_lost_its_checkpoint_does_not_begin_anew(quick, tmp_path, capsys):
    run = tmp_path / "run"
    assert torch_edition.main([*SMALL, "--epochs", "1", "--out", str(run)]) == 0
    shutil.rmtree(run / "checkpoint")
    capsys.readouterr()
    assert "holds no checkpoint to go on from" in refused(["--resume", str(run)], capsys)


def test_own_files_are_compared_when_a_run_goes_on(quick, tmp_path, monkeypatch, capsys):
    """The fingerprint of the user's own files is that of `nin_gluon.data.sets.own_data`."""
    from nin_gluon.data import choose

    run = tmp_path / "run"
    monkeypatch.setattr(choose, "own_data", lambda name, root: "0123abcd")
    options = ["--dataset", "cifar10", *SMALL[:4], "--no-progress", "--epochs", "1"]
    assert torch_edition.main([*options, "--out", str(run)]) == 0
    assert json.loads((run / "config.json").read_text())["own_data"] == "0123abcd"
    assert torch_edition.main(["--resume", str(run)]) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in run.rglob("*.*") if path.is_file()}
    for found in ("ffffffff", None):
        monkeypatch.setattr(choose, "own_data", lambda name, root, found=found: found)
        assert "the run began with other files of CIFAR-10 than are found now" in \
            refused(["--resume", str(run)], capsys)
    assert {path: path.read_bytes() for path in run.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("changes, words", [
    ({"lr": "0.1"}, "lr"), ({"lr": float("nan")}, "lr"), ({"epochs": True}, "epochs"),
    ({"batch_size": 0}, "batch_size"), ({"dtype": "float16"}, "dtype"), ({"ctx": 3}, "ctx is 3"),
    ({"mode": "fast"}, "mode is 'fast'"), ({"data_dir": []}, "data_dir is []"),
    ({"own_data": 1}, "own_data is 1"), ({"machine": "big"}, "machine is 'big'"),
    ({"colour": 1}, "'colour' is not a setting"), ({"resize": None}, "resize"),
])
@pytest.mark.parametrize("today", [False, True])
def test_a_config_that_says_nonsense_is_refused(quick, tmp_path, capsys, changes, words, today):
    run = tmp_path / "run"
    run.mkdir()
    config = RunConfig(TORCH_EDITION, RECIPE).to_json() if today else OLD_CONFIG
    (run / "config.json").write_text(json.dumps({**config, **changes}))
    error = refused(["--resume", str(run)], capsys)
    assert "config.json is not that of a run of nin_gluon.torch_edition" in error and words in error
    assert [path.name for path in run.iterdir()] == ["config.json"]


@pytest.mark.parametrize("changes, words", [
    ({"optimizer": "adam"}, "its optimizer is another"), ({"engine": "gluon"}, "its engine is"),
    ({"preset": "textbook"}, "its preset is another"), ({"dtype": "tf32"}, "dtype is 'tf32'"),
    ({"kvstore": "local"}, "its kvstore is another"),
])
def test_a_config_of_another_recipe_is_refused(tmp_path, capsys, changes, words):
    config = {**RunConfig(TORCH_EDITION, RECIPE).to_json(), **changes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert words in refused(["--resume", str(tmp_path)], capsys)


@pytest.mark.parametrize("content, words", [
    (b"", "that of a run of nin_gluon.torch_edition (it is empty)"),
    (b"[]", "that of a run of nin_gluon.torch_edition (it is not a JSON object)"),
    (b"\xff\xfe", "UTF-8 text"),
    (b"[" * 100000, "that of a run of nin_gluon.torch_edition (it is nested too deeply)"),
    (b"null", "that of a run of nin_gluon.torch_edition (it is not a JSON object)"),
])
def test_a_config_that_is_none_is_refused(tmp_path, capsys, content, words):
    (tmp_path / "config.json").write_bytes(content)
    error = refused(["--resume", str(tmp_path)], capsys)
    assert "config.json is " in error and f"not {words}" in error


def test_a_folder_in_place_of_a_config_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").mkdir()
    error = refused(["--resume", str(tmp_path)], capsys)
    assert "config.json is a folder, not a file; move it away" in error
