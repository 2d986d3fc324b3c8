"""The exercises command: runs are made, kept and compared; what is wrong is said at once."""

import functools
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import mxnet as mx
import pytest

from nin_gluon import exercises, plots, resources, runtime
from nin_gluon.analysis import signal as signals_module
from nin_gluon.analysis.signal import Signal
from nin_gluon.experiments import jobs, measurements
from nin_gluon.experiments.jobs import Runner
from nin_gluon.experiments.stores import ExerciseFile
from nin_gluon.training import callbacks
from nin_gluon.training.history import EpochRecord
from tests import refusals
from tests.experiments.made_runs import make_run
from tests.experiments.small_exercise import TrainHere, small_exercise

refused = functools.partial(refusals.refused, exercises.main)

SMALL = ["--dataset", "sample", "--limit", "64", "--epochs", "1", "--size", "112"]
SIGNAL = json.dumps({"init": "he", "seed": 0, "resize": 67, "dataset": "sample", "size": [0.5],
                     "spread": [0.1], "gradient": [1]})
ONE_STEP = ["one-step", "--part", "last-block", *SMALL]


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """An empty current folder, and no pictures, which take longest, unless a test is about them."""
    monkeypatch.chdir(tmp_path)
    if "pictures" not in request.keywords:
        monkeypatch.setattr(plots, "draw_comparisons", lambda *args: plots.Figure())
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """The jobs that were run; instead of training, a run folder is made at once."""
    monkeypatch.setattr(measurements, "image_shape", lambda *args: (10000, 28, 28, 1))
    cost = functools.lru_cache(maxsize=None)(measurements.cost)  # the same whatever the seed
    monkeypatch.setattr(measurements, "cost", lambda settings, channels: cost(
        settings.but(seed=0), channels))
    monkeypatch.setattr(runtime, "check_dtype", lambda *args: None)  # whatever this CPU has
    done = []

    def call(self, job):
        done.append(job)
        acc = 0.5 + 0.01 * job.settings.seed + 0.001 * len(job.settings.model)
        make_run(job.folder, job.settings, [EpochRecord(e + 1, 2.0, acc, acc, 3.0)
                                            for e in range(job.settings.epochs)],
                 own_data=job.own_data)
        return 0

    monkeypatch.setattr(Runner, "call", call)
    return done


@pytest.fixture
def measure(monkeypatch):
    """Function of a function: let it see init and seed of each signal before one is made up."""

    def replace(see):
        def made_up(init, seed, settings, data_dir=None):
            see(init, seed)
            return Signal(init, seed, settings.resize, settings.dataset, (0.5,), (0.2,), (0.1,))

        monkeypatch.setattr(signals_module, "measure", made_up)

    return replace


def contents(folder):
    """Every file below a folder, with its bytes; but for locks, which are empty."""
    return {path: path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".lock"}


# ------------------------------------------------------------------ requests


@pytest.mark.parametrize("options, sentence", [
    (["two-by-two"], "invalid choice: 'two-by-two' (choose from"),
    ([], "the following arguments are required: NAME"),
    (["heads", "--part", "mnist"], "argument --part: invalid choice: 'mnist'"),
    (["budget", "--full", "--report"], "--full"),  # it has no published sizes
    (["tune", "--seeds", "9-0"], "'9-0' is not a range"),
    (["tune", "--epochs", "0"], "'0' is not a whole number above 0"),
    (["tune", "--report"], "results/exercises/tune.json holds no runs of this kind yet"),
    (["tune", "--report", "--full"], "results/exercises/tune-full.json holds no runs"),
    (["tune", "--report", "--limit", "5"], "results/exercises/tune-limit-5.json holds no runs"),
    (["tune", "--report", "--limit", "6000"], "results/exercises/tune.json holds no runs"),
    (["tune", "--report", "--seeds", "0"], "--report runs nothing; leave out --seeds"),
    (["tune", "--ctx", "tpu"], "'tpu' is not a device"),
    (["tune", "--dataset", "mnist"], "--dataset: unknown data set 'mnist'; the data sets are:"),
    # Found out before the first run, which would say it in its own name.
    (["one-step", "--dataset", "sample", "--size", "20"], "too small"),
    (["one-step", "--dataset", "sample", "--dtype", "float16", "--ctx", "cpu"],
     "float16 is for GPUs"),
])
def test_wrong_requests_get_one_line_and_status_2(here, capsys, options, sentence):
    assert sentence in refused(options, capsys)
    assert list(here.iterdir()) == []


def test_a_set_that_is_held_out_whole_is_refused_before_the_first_run(here, capsys):
    assert refused(["budget", "--dataset", "sample"], capsys) == (
        "nin_gluon.exercises: error: budget holds out 10000 training images, and sample has no "
        "more; choose another --dataset.\n")


@pytest.mark.parametrize("device, flags, dtype", [
    ("cpu", {"amx_bf16", "avx512_bf16"}, "bfloat16"), ("cpu", {"avx512_bf16"}, "float32"),
    ("cpu", set(), "float32"), ("gpu", {"amx_bf16"}, "float32"),
])
def test_arithmetic_unless_given(monkeypatch, device, flags, dtype):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: flags)
    assert exercises.usual_dtype(device) == dtype


@pytest.mark.parametrize("damage, sentence", [
    (lambda text: text.replace('"runs"', '"walks"'), "it has no 'runs'"),
    (lambda text: text.replace('"signals": [\n', f'"signals": [\n{SIGNAL}'),
     "the signal of he, seed 0, does not belong here"),
])
def test_a_damaged_file_is_named(here, calls, capsys, damage, sentence):
    assert exercises.main([*ONE_STEP, "--dtype", "float32", "--seeds", "0"]) == 0
    path, = here.glob("results/exercises/*.json")
    path.write_text(damage(path.read_text()))
    damaged = path.read_text()
    capsys.readouterr()
    error = refused([*ONE_STEP, "--report"], capsys)
    assert f"{path.relative_to(here)} is damaged" in error and sentence in error
    assert path.read_text() == damaged


# ------------------------------------------------------------------ runs


@pytest.mark.pictures
def test_finished_runs_are_kept_and_a_second_call_changes_nothing(here, calls, capsys):
    command = [*ONE_STEP, "--dtype", "float32"]
    assert exercises.main([*command, "--seeds", "0"]) == 0
    assert len(calls) == 4 and len({job.folder for job in calls}) == 4
    assert exercises.main(command) == 0  # seeds 0 to 2
    assert len(calls) == 12
    out = capsys.readouterr().out
    assert "seeds: 0-2" in out and "384, 96, 10: higher than 10, 10, 10 (NiN) at each" in out
    before = contents(here)
    names = {str(path.relative_to(here)) for path in before if "runs" not in path.parts}
    stem = "results/exercises/one-step-epochs-1-limit-64-dataset-sample"  # 112 is the usual size
    assert names == {f"{stem}.json", f"{stem}.png"}
    assert (here / f"{stem}.json").stat().st_size < 20000
    assert exercises.main(command) == 0
    assert exercises.main([*ONE_STEP, "--report"]) == 0
    assert len(calls) == 12 and contents(here) == before
    assert capsys.readouterr().out.count("Fewer than") == 0
    # Neither the run folders nor the records alone are lost.
    (here / "results").rename(here / "old")
    assert exercises.main(command) == 0
    (here / "runs").rename(here / "older")
    assert exercises.main(command) == 0
    assert len(calls) == 12
    assert (here / f"{stem}.json").read_bytes() == before[here / f"{stem}.json"]


def test_the_heading_tells_how_many_images_there_were(here, calls, capsys):
    """The data set of these tests has 10,000."""
    for limit, images in (("64", "64"), ("50000", "10,000")):
        assert exercises.main([*ONE_STEP, "--limit", limit, "--dtype", "float32"]) == 0
        assert f"sample at 112x112, {images} images, 1 epoch" in capsys.readouterr().out
        assert exercises.main([*ONE_STEP, "--limit", limit, "--report"]) == 0
        assert f"sample at 112x112, {images} images, 1 epoch" in capsys.readouterr().out


def test_other_arithmetic_is_another_comparison_in_the_same_file(here, calls, capsys):
    for dtype in ("float32", "bfloat16"):
        assert exercises.main([*ONE_STEP, "--dtype", dtype]) == 0
        out = capsys.readouterr().out
        assert f"{dtype} on cpu; 3 seeds: 0-2" in out and out.count(" on cpu; ") == 1
    assert len(calls) == 24
    assert exercises.main([*ONE_STEP, "--report"]) == 0
    assert capsys.readouterr().out.count(" on cpu; 3 seeds") == 2
    assert exercises.main([*ONE_STEP, "--report", "--dtype", "float32"]) == 0
    assert capsys.readouterr().out.count(" on cpu; 3 seeds") == 1


def test_runs_on_other_files_of_the_users_own_lie_beside(here, calls, monkeypatch, capsys):
    from nin_gluon.data import sets

    for own in (None, "1a2b3c4d", "00000000"):
        monkeypatch.setattr(sets, "own_data", lambda name, root: own)  # noqa: B023 (used at once)
        assert exercises.main([*ONE_STEP, "--seeds", "0", "--dtype", "float32"]) == 0
    assert len(calls) == len({job.folder for job in calls}) == 12
    capsys.readouterr()
    assert exercises.main([*ONE_STEP, "--report"]) == 0
    out = capsys.readouterr().out  # each a comparison of its own
    assert out.count(" on cpu; 1 seed: 0") == 3 and out.count("own files, 1a2b3c4d") == 1


def test_a_data_set_s_other_name_is_the_same_request(here, calls, capsys):
    for name in ("cifar-10", "cifar10"):
        assert exercises.main([*ONE_STEP, "--dataset", name, "--dtype", "float32"]) == 0
    assert len(calls) == 12 and {job.settings.dataset for job in calls} == {"cifar10"}
    assert [path.name for path in here.glob("results/exercises/*.json")] == [
        "one-step-epochs-1-limit-64-dataset-cifar10.json"]


def test_the_signals_are_measured_once(here, calls, capsys, measure):
    asked = []
    measure(lambda *wanted: asked.append(wanted))
    for _ in range(2):
        assert exercises.main(["tune", *SMALL, "--part", "tuned", "--seeds", "0-1", "--dtype",
                               "float32"]) == 0
    assert asked == [(init, seed) for init in ("xavier", "he", "identity") for seed in (0, 1)]
    assert "he: what tells images apart shrinks to 1/5" in capsys.readouterr().out


def test_two_at_once_keep_a_signal_once(here, calls, capsys, monkeypatch, measure):
    """While the first measures, a second command, in another folder, measures all of them."""
    command = ["tune", *SMALL, "--part", "tuned", "--seeds", "0", "--dtype", "float32",
               "--results", str(here / "shared")]
    asked = []

    def see(init, seed):
        asked.append(init)
        if len(asked) == 1:
            (here / "second").mkdir()
            with monkeypatch.context() as at:
                at.chdir(here / "second")
                assert exercises.main(command) == 0

    measure(see)
    assert exercises.main(command) == 0
    assert asked == ["xavier", "xavier", "he", "identity"]
    path, = here.glob("shared/exercises/*.json")
    assert [signal.init for signal in ExerciseFile(path).read()[1]] == ["he", "identity", "xavier"]
    # The one lock of both working folders lies beside the file.
    assert [lock.name for lock in here.rglob("*.lock") if "second" not in lock.parts
            and "runs" not in lock.parts] == [f".{path.stem}.lock"]


def test_ctrl_c_while_signals_are_measured_says_how_to_go_on(here, calls, capsys, measure):
    def see(init, seed):
        if init == "he":
            raise KeyboardInterrupt

    measure(see)
    command = ["tune", *SMALL, "--seeds", "0"]
    assert exercises.main(command) == 130
    first, last = capsys.readouterr().err.splitlines()
    assert first == "interrupted"
    assert last.startswith("go on with: ")
    assert last.endswith("nin_gluon.exercises " + " ".join(command))
    path, = here.glob("results/exercises/*.json")
    assert [signal.init for signal in ExerciseFile(path).read()[1]] == ["xavier"]  # nothing is lost


def test_files_of_others_are_left_alone(here, calls, capsys):
    path = here / "results/exercises/one-step-epochs-1-limit-64-dataset-sample.png"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert exercises.main([*ONE_STEP, "--dtype", "float32"]) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_a_run_of_other_settings_in_the_way_is_named(here, calls, capsys):
    assert exercises.main([*ONE_STEP, "--dtype", "float32"]) == 0
    (here / "results").rename(here / "old")
    config = calls[0].folder / "config.json"
    config.write_text(config.read_text().replace('"lr": 0.002', '"lr": 0.5'))
    assert exercises.main([*ONE_STEP, "--dtype", "float32"]) == 2
    assert f"{calls[0].folder} holds a run of other settings" in capsys.readouterr().err


@pytest.mark.pictures
def test_resources_are_those_of_their_own_command(here, capsys):
    before = {}
    for command, options in ((exercises, ["resources"]), (resources, [])):
        with mx.name.NameManager():  # counts the layers from 0, as in a new process
            assert command.main(options) == 0
        before = before or contents(here)
    out = capsys.readouterr().out
    assert out == 2 * out[: len(out) // 2]
    content = json.loads(Path("results/exercises/resources.json").read_text())
    assert (content["parameters"], content["macs"]) == (1_992_166, 762_297_352)
    assert contents(here) == before and len(before) == 2
    assert exercises.main(["resources", "--batch", "2"]) == 0
    assert contents(here).items() > before.items()
    capsys.readouterr()
    assert "too small" in refused(["resources", "--size", "9"], capsys)


def test_interrupted_and_called_again(here, pytestconfig, monkeypatch, capfd):
    """Ctrl-C comes in the first step of a run in this process; a process goes on with that run.

    That signals reach runs in processes is in ``test_reproduce.py``, for the same `Runner`.
    """
    original = callbacks.StopOnSignal.on_train_batch_end

    def interrupted(self, tally):
        os.kill(os.getpid(), signal.SIGINT)
        return original(self, tally)

    monkeypatch.setitem(exercises.EXERCISES, "x", small_exercise(pytestconfig.dataset))
    options = ["x", "--limit", "16", "--epochs", "1", "--seeds", "3", "--dtype", "float32"]
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "subprocess", SimpleNamespace(Popen=TrainHere))
        patch.setattr(callbacks.StopOnSignal, "on_train_batch_end", interrupted)
        assert exercises.main(options) == 130
    out, error = capfd.readouterr()
    assert out == "" and "training on cpu(0)\n" in error
    last = error.splitlines()[-1]
    assert last.startswith("go on with: ")
    assert last.endswith("nin_gluon.exercises " + " ".join(options))
    assert not Path("results").exists()
    assert exercises.main(options) == 0
    (record,), _ = ExerciseFile(here / "results/exercises/x-epochs-1-limit-16.json").read()
    assert (record.seed, record.steps, record.stall, record.test_images) == (3, 2, None, 16)
    assert record.parameters == 1_992_166 - 2 * sum(c * c + c for c in (96, 256, 384, 10))
    assert 1 <= record.living_classes <= 10  # Xavier's maps are small, and not zero
    assert record.machine["mxnet"] == "1.9.1"
    out = capfd.readouterr().out
    assert "none" in out and "all 2" in out


# ------------------------------------------------------------------ two engines


def test_the_other_engine_is_another_comparison_in_the_same_file(here, calls, capsys):
    pytest.importorskip("torch")
    for engine in ("gluon", "torch"):
        assert exercises.main([*ONE_STEP, "--dtype", "float32", "--engine", engine]) == 0
        out = capsys.readouterr().out
        assert out.count(" on cpu") == 1 and ("on cpu, PyTorch; 3 seeds" in out) == (
            engine == "torch")
    assert len(calls) == len({job.folder for job in calls}) == 24
    assert [job.settings.engine for job in calls] == 12 * ["gluon"] + 12 * ["torch"]
    assert exercises.main([*ONE_STEP, "--report"]) == 0
    out = capsys.readouterr().out
    assert out.count("float32 on cpu; 3 seeds") == out.count("on cpu, PyTorch; 3 seeds") == 1
    assert exercises.main([*ONE_STEP, "--report", "--engine", "torch"]) == 0
    assert "on cpu; 3 seeds" not in capsys.readouterr().out


def test_auto_takes_the_engine_that_can_compute(here, calls, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(runtime, "choose_engine", lambda ctx: "torch")
    for options in ([], ["--engine", "auto"]):
        assert exercises.main([*ONE_STEP, "--dtype", "float32", *options]) == 0
    assert len(calls) == 12 and {job.settings.engine for job in calls} == {"torch"}


@pytest.mark.parametrize("options, sentence", [
    (["--dtype", "float16"], "--dtype float16 is for --engine gluon"),
    (["--dtype", "tf32"], "--dtype tf32 is for NVIDIA GPUs"),
    (["--ctx", "gpu(0),gpu(1)"], "is not a device"),
])
def test_what_pytorch_cannot_do_is_refused_before_the_first_run(here, capsys, options, sentence):
    pytest.importorskip("torch")
    assert sentence in refused([*ONE_STEP, "--engine", "torch", *options], capsys)
    assert list(here.iterdir()) == []
