"""``python -m benchmarks.gpu``: its rehearsal on a CPU, and what it does where things go wrong."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from benchmarks import gpu
from nin_gluon import reproduce

torch = pytest.importorskip("torch")

from benchmarks import gpu_parts, gpu_throughput  # noqa: E402
from nin_gluon.analysis.cost import count  # noqa: E402
from tests import slim_nin  # noqa: E402

ROOT = Path(__file__).parent.parent


# Each part is a process of its own, so the nets are slim wherever they are not compared with
# Gluon's results. Pictures are none of what the command keeps.
CALL = """
import runpy
from nin_gluon.runtime import after_import
from tests import slim_nin
slim_nin.no_pictures()
def slimmed(part):
    def slim_part(settings):
        slim_nin.slim("torch")
        yield from part(settings)
    return slim_part
def slim_parts(gpu_parts):
    for name in gpu_parts.PARTS.keys() - {"parity"}:
        gpu_parts.PARTS[name] = slimmed(gpu_parts.PARTS[name])
after_import("benchmarks.gpu_parts", slim_parts)
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


def call(folder):
    """What the command prints on stdout, in a process of its own, from a Python without MXNet."""
    hidden = folder / "hidden"
    hidden.mkdir(exist_ok=True)
    (hidden / "mxnet.py").write_text("raise ModuleNotFoundError('hidden', name='mxnet')\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1",
                   "PYTHONPATH": os.pathsep.join([str(hidden), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", CALL, "--device", "cpu", "--minutes", "5",
                           "--out", str(folder / "out")], cwd=folder, text=True,
                          env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def again(folder, *options):
    """The same command in this process; return its exit status."""
    return gpu.main(["--device", "cpu", "--minutes", "5", "--out", str(folder / "out"), *options])


def test_the_rehearsal(tmp_path, monkeypatch, capsys):
    """One test, for it takes longest: every kind of part; nothing twice; records for reproduce.

    (That each preset computes what Gluon does: tests/parity/test_engine_parity.py.)
    """
    out = call(tmp_path)
    parts = json.loads((tmp_path / "out" / "gpu.json").read_text())
    check_parts(parts)
    assert "3 of 3 checks passed" in out and "the figures say nothing" in out
    assert "| tuned 0 | 1 of 1 |" in out and "| the book's code | tf32 |" in out

    before = (tmp_path / "out" / "gpu.json").read_bytes()
    assert again(tmp_path) == 0 and capsys.readouterr() == (out, "")
    assert (tmp_path / "out" / "gpu.json").read_bytes() == before

    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(tmp_path / "out" / "records.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
        assert sum(entry.file_size for entry in archive.infolist()) < 2**20  # no checkpoints
    assert sorted({name.split("/")[0] for name in names}) == ["paper-0", "textbook-0", "tuned-0"]
    assert reproduce.main(["--add", "textbook-0"]) == 0
    record, = tmp_path.glob("results/*/*.jsonl")
    assert "engine-torch" in record.name and record.name.endswith("seed-0.jsonl")


def check_parts(parts):
    assert list(parts) == [
        "machine", "parity textbook auto", "resume", "ddp", "throughput ours-bfloat16",
        "throughput plain-bfloat16", "throughput ours-float32", "throughput book",
        "throughput ours-bfloat16-compile", "textbook 0", "tuned 0", "paper 0"]
    assert parts["machine"]["device"] == "cpu" and "mxnet" not in parts["machine"]
    assert set(parts["machine"]["matrix_tflops"]) == {"float32", "bfloat16"}
    for name, figures in parts.items():
        assert "failed" not in figures and figures.get("passed", True), (name, figures)
        if name.startswith("throughput"):
            assert len(figures) == 3 and all(value > 0 for value in figures.values())
        if name.endswith(" 0"):
            assert figures["finished"] and figures["epochs"] == 1
    assert parts["resume"]["same_bits"] and parts["ddp"] == {
        "backend": "gloo", "parameter": 0.0, "same_bits": True, "passed": True}


# ------------------------------------------------------------------ cut off, broken, out of time


def parts_of(monkeypatch, **parts):
    for name, part in parts.items():
        monkeypatch.setitem(gpu_parts.PARTS, name, part)


def found(tmp_path, name, part="sleepy", seconds=30.0):
    return [tuple(result) for result in gpu.isolated(name, part, {"name": name}, seconds,
                                                     tmp_path / "log.txt")]


def test_a_part_that_takes_too_long_is_ended_and_its_results_are_kept(tmp_path, monkeypatch):
    def sleepy(settings):
        yield "first", {"value": 1}
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)

    parts_of(monkeypatch, sleepy=sleepy)
    started = time.monotonic()
    assert found(tmp_path, "x", seconds=0.5) == [("first", {"value": 1}),
                                                 ("x", {"failed": "out of time"})]
    assert time.monotonic() - started < 60


def test_a_part_that_breaks_does_not_end_the_others(tmp_path, monkeypatch):
    def breaks(settings):
        yield "first", {"value": 1}
        raise RuntimeError("CUDA error: something else")

    def crashes(settings):
        os.kill(os.getpid(), 9)
        yield

    def refuses(settings):
        raise gpu.InputError("no GPU here")
        yield

    parts_of(monkeypatch, breaks=breaks, crashes=crashes, refuses=refuses)
    assert found(tmp_path, "x", "breaks") == [
        ("first", {"value": 1}), ("x", {"failed": "exit status 1; see log.txt"})]
    assert "CUDA error: something else" in (tmp_path / "log.txt").read_text()
    assert found(tmp_path, "x", "crashes") == [("x", {"failed": "exit status -9; see log.txt"})]
    assert found(tmp_path, "x", "refuses") == [("x", {"failed": "no GPU here"})]


def test_a_run_without_time_saves_itself_and_goes_on(tmp_path, monkeypatch, few_images):
    slim_nin.slim("torch", setattr=monkeypatch.setattr)
    settings = {"name": "textbook 0", "folder": str(tmp_path / "run"), "where": ["--ctx", "cpu"],
                "options": ["--engine", "torch", "--dataset", "sample", "--limit", "8", "--epochs",
                            "9999", "--resize", "67", "--batch-size", "8", "--ctx", "cpu"]}
    epochs = []
    for seconds in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64):  # in the first it may not even have begun
        (name, figures), = gpu.isolated("textbook 0", "train", settings, seconds,
                                        tmp_path / "log.txt")
        if "failed" in figures:
            assert figures == {"failed": "out of time"}
            continue
        assert (name, figures["status"], figures["finished"]) == ("textbook 0", 143, False)
        epochs.append(figures["epochs"])
        if len(epochs) == 2 and epochs[1]:
            break
    assert epochs == sorted(epochs) and 1 <= epochs[-1] < 9999
    assert "go on with" in (tmp_path / "log.txt").read_text()


# ------------------------------------------------------------------ what is done when


def planned(tmp_path, device, parts=(), only=None, data=None):
    args = gpu.build_parser().parse_args(["--out", str(tmp_path / "out"), "--device", device])
    args.only, args.data = only, data
    results = gpu.Results(tmp_path / "out", device)
    results.parts = dict(parts)
    return [(name, settings) for name, _, settings in gpu.plan(args, results)]


@pytest.mark.parametrize("cifar10", [True, False], ids=["CIFAR-10", "no CIFAR-10"])
def test_the_order_on_a_gpu(tmp_path, monkeypatch, capsys, cifar10):
    """The paper's run comes last, where there is CIFAR-10."""
    monkeypatch.setattr(gpu, "is_there", lambda image_set, root: cifar10)
    names = [name for name, _ in planned(tmp_path, "cuda")]
    assert names[:6] == ["machine", "parity", "resume", "ddp", "throughput ours-bfloat16",
                         "throughput plain-bfloat16"]
    runs = [f"textbook {seed}" for seed in range(10)] + [f"tuned {seed}" for seed in range(3)]
    first = names.index("textbook 0")
    assert names[first:first + 13] == runs
    assert "throughput ours-tf32" in names[:first]
    assert set(names) >= {f"throughput {name}" for name in gpu_throughput.VARIANTS}
    said = "paper: left out, because --data holds no CIFAR-10\n"
    assert capsys.readouterr().err == ("" if cifar10 else said)
    assert [number for number, name in enumerate(names) if "paper" in name] == (
        [len(names) - 1] if cifar10 else [])


def test_what_is_there_is_not_done_again(tmp_path):
    done = {"machine": {"device": "cuda"}, "resume": {"passed": False}, "ddp": {"failed": "hung"},
            "textbook 0": {"finished": True}, "textbook 1": {"finished": False}}
    names = [name for name, _ in planned(tmp_path, "cuda", done, ["correctness", "textbook"])]
    assert names == ["parity", "ddp", *(f"textbook {seed}" for seed in range(1, 10))]


def test_runs_take_the_mode_that_was_measured_to_be_best(tmp_path):
    rates = {"machine": {"device": "cuda"},
             "throughput ours-float32": {"train_images_per_s": 200.0},
             "throughput ours-float32-compile": {"train_images_per_s": 300.0},
             "throughput ours-float32-eager": {"train_images_per_s": 100.0}}
    passed = {f"parity textbook {mode}": {"passed": True} for mode in ("auto", "compile", "eager")}
    assert gpu.best_mode("float32", {**rates, **passed}) == "compile"
    wrong = {"parity textbook compile": {"passed": False}}
    assert gpu.best_mode("float32", {**rates, **passed, **wrong}) == "graph"
    del passed["parity textbook compile"]  # nobody knows
    assert gpu.best_mode("float32", {**rates, **passed}) == "graph"
    assert gpu.best_mode("float32", {**rates, **passed, "parity tuned auto": {"failed": "no"}}) == (
        "eager")
    assert gpu.best_mode("bfloat16", {**rates, **passed}) == "eager"
    name, settings = planned(tmp_path, "cuda", {**rates, **passed}, ["textbook"])[0]
    assert name == "textbook 0"
    assert settings["options"][:4] == ["--engine", "torch", "--preset", "textbook"]
    assert settings["where"] == ["--ctx", "gpu", "--mode", "graph"]


def test_the_arithmetic_of_a_step_is_that_of_the_other_table():
    assert gpu_throughput.training_flops(224) == count("nin", (1, 1, 224, 224))["training_flops"]


@pytest.mark.parametrize("options, sentence", [
    (["--minutes", "0"], "is not a number above 0"),
    (["--only", "speed"], "invalid choice: 'speed'"),
    ([], "this is a build of PyTorch for the CPU"),
    (["--device", "cpu", "--out", "FULL"], "holds other things; choose a new folder"),
    (["--device", "cpu", "--out", "GPU"], "holds results of --device cuda"),
    (["--device", "cpu", "--out", "DAMAGED"], "gpu.json cannot be read"),
])
def test_wrong_requests_are_one_line(tmp_path, monkeypatch, capsys, options, sentence):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    for name, file, text in (("FULL", "mine.txt", "mine"), ("DAMAGED", "gpu.json", "{"),
                             ("GPU", "gpu.json", '{"machine": {"device": "cuda"}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
    given = ["--out", "new", *options] if "--out" not in options else options
    try:
        status = gpu.main([str(tmp_path / word) if before == "--out" else word
                           for before, word in zip(["", *given], given)])
    except SystemExit as end:
        status = end.code
    error = capsys.readouterr().err
    assert status == 2 and sentence in error and error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_gpu_without_the_data_is_refused_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.delenv("NIN_GLUON_DATA", raising=False)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    assert gpu.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "the four files of Fashion-MNIST are not all there" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_a_call_that_is_killed_leaves_whole_results_and_the_next_goes_on(tmp_path, monkeypatch,
                                                                         capsys):
    def first_call():  # in a process of its own
        os.dup2(sending, 2)
        sys.stderr = os.fdopen(2, "w", 1, closefd=False)
        again(tmp_path, "--only", "textbook")

    slim_nin.slim("torch", setattr=monkeypatch.setattr)
    receiving, sending = os.pipe()
    first = multiprocessing.get_context("fork").Process(target=first_call)
    first.start()
    os.close(sending)
    with open(receiving) as told:
        for line in told:
            if line.startswith("textbook 0"):  # it begins
                first.kill()
                break
    first.join()
    assert first.exitcode == -signal.SIGKILL
    assert list(json.loads((tmp_path / "out" / "gpu.json").read_text())) == ["machine"]
    assert again(tmp_path, "--only", "textbook") == 0
    told = capsys.readouterr().err
    assert "machine (" not in told  # which was there
    parts = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert list(parts) == ["machine", "textbook 0"] and parts["textbook 0"]["finished"]


def test_what_failed_once_and_then_passes_is_not_told_as_failed(tmp_path, monkeypatch, capsys):
    working = []

    def machine(settings):
        yield "machine", {"device": "cpu"}

    def check(settings):
        if not working:
            raise gpu.InputError("not yet")
        yield settings["checked"], {"passed": True}

    for name, part in (("machine", machine), ("resume", check), ("ddp", check), ("parity", check)):
        monkeypatch.setitem(gpu_parts.PARTS, name, part)
    monkeypatch.setattr(gpu, "correctness", lambda device, shared, results: (
        (name, part, {"checked": found}) for name, part, found in
        (("parity", "parity", "parity textbook auto"), ("ddp", "ddp", "ddp"))
        if found not in results.whole()))
    command = ["--device", "cpu", "--out", str(tmp_path / "out"), "--only", "correctness"]
    assert gpu.main(command) == 1
    assert "failed: parity, ddp; see" in capsys.readouterr().err
    working.append(True)
    assert gpu.main(command) == 0
    assert list(gpu.read_results(tmp_path / "out" / "gpu.json")) == ["machine",
                                                                     "parity textbook auto", "ddp"]
    assert "2 of 2 checks passed" in capsys.readouterr().out
