"""The reproduce command: a published log against runs of several seeds."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from nin_gluon import reproduce
from nin_gluon.analysis.initial_state import InitialState
from nin_gluon.cli import seed_list
from nin_gluon.data import sets
from nin_gluon.experiments import jobs, pages, reproduction
from nin_gluon.experiments.jobs import Runner
from nin_gluon.experiments.published import EDITIONS
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.experiments.seed_groups import QUANTITIES, groups_of
from nin_gluon.experiments.stores import RecordFolder
from nin_gluon.training.history import read_history, write_history
from tests import forked_python, refusals
from tests.experiments.made_runs import BOOK, MACHINE, make_book_run, make_run
from tests.experiments.small_exercise import TrainHere

refused = partial(refusals.refused, reproduce.main)


START = InitialState((0, 2, 9), 1e-4, (0.5,) * 10, 0.5)


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """An empty current folder, and no pictures, which take longest, unless a test is about them."""
    monkeypatch.chdir(tmp_path)
    if "pictures" not in request.keywords:
        monkeypatch.setattr(pages, "draw", lambda group: {})
        monkeypatch.setattr(pages, "draw_all", lambda verdict: pages.SIGNATURE.encode())
    return tmp_path


@pytest.fixture
def add(here, capsys):
    """Function of (seed, shift, settings): take such a run in; returns what was printed."""

    def take_in(seed, shift=0.0, **changes):
        name = "-".join(["run", str(seed), *map(str, changes.values())])
        run = make_book_run(here / "made" / name, seed, shift, **changes)
        assert reproduce.main(["--add", str(run)]) == 0
        return capsys.readouterr().out

    return take_in


def records_in(folder="results/textbook"):
    return RecordFolder(Path(folder), BOOK.recipe).read()


def contents(folder):
    """Every file below a folder that is no run, with its bytes; but for locks, which are empty."""
    return {path: path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and "made" not in path.parts and path.suffix != ".lock"}


# ------------------------------------------------------------------ runs that are taken in


def test_the_verdict_comes_last(add):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        out = add(seed, shift)
    assert "All 15 published values lie within the range of 3 seeds (float32 on cpu)." in out
    assert out.splitlines()[-1] == ("Perhaps: the published log is a rare low draw in a lottery; 2 "
                                    "of 25 other runs ended as low or lower; whether the "
                                    "whole log fits is open.")
    # 15 values, each outside the range of 3 with probability 2/4.
    assert "on average have 7.5 of its 15 values outside" in out


def test_a_seed_that_diverged_is_a_result_too(add):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        add(seed, shift)
    out = add(3, 0.2, diverged="the loss became nan in epoch 2, step 7")
    assert "1 of 4 seeds diverged: seed 3, the loss became nan in epoch 2, step 7." in out
    assert "within the range of 4 seeds" in out
    assert "of 26 other runs" in out.splitlines()[-1]  # it ended at guessing


def test_seeds_that_all_diverge_at_once_are_still_reported(here, capsys):
    run = make_book_run(here / "made" / "run", 0, diverged="the loss became nan in epoch 1, step 3")
    write_history(run / "history.jsonl", [])
    assert reproduce.main(["--add", str(run)]) == 0
    assert "Too few seeds to say anything: 0 finished, of 1 seed" in capsys.readouterr().out


def test_a_record_holds_what_the_run_was(add, here):
    add(4, 1 / 3, limit=64)
    path, = here.glob("results/textbook-limit-64/*.jsonl")
    assert path.name == "float32-cpu-limit-64-seed-4.jsonl"
    first, *epochs = map(json.loads, path.read_text().splitlines())
    assert (first["seed"], first["settings"]["limit"], first["ctx"]) == (4, 64, "auto")
    assert first["machine"] == MACHINE
    assert first["command"] == ("python -m nin_gluon.train --dataset fashion-mnist --limit 64 "
                                "--seed 4")
    assert "/of/this/machine" not in path.read_text()
    history = read_history(here / "made" / "run-4-64" / "history.jsonl")
    assert [epoch["loss"] for epoch in epochs] == [epoch.loss for epoch in history]


@pytest.mark.pictures
def test_a_second_call_changes_nothing_and_another_seed_changes_all(add, here, capsys):
    runs = [make_book_run(here / "made" / str(seed), seed, shift)
            for seed, shift in enumerate((-0.1, 0.1))]
    assert reproduce.main(["--add", *map(str, runs)]) == 0
    before = contents(here)
    names = {str(path.relative_to(here)) for path in before}
    assert names >= {"REPRODUCTION.md", "results/textbook/report.html",
                     *(f"results/textbook/float32-cpu-{name}.png" for name in QUANTITIES)}
    times = {path: path.stat().st_mtime_ns for path in before}
    # On another day; and without MXNet, which the page does not need.
    code = ("import sys; from nin_gluon.reproduce import main; assert main(['--report']) == 0; "
            "assert 'mxnet' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert contents(here) == before
    assert {path: path.stat().st_mtime_ns for path in before} == times
    add(2, 0.2)
    after = contents(here)
    for path, data in before.items():
        assert (after[path] == data) == (path.suffix == ".jsonl"), path


def test_the_pages_name_the_commands(add, here):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        out = add(seed, shift)
    for path in ("results/textbook/report.html", "REPRODUCTION.md"):
        text = (here / path).read_text()
        assert out.splitlines()[-1] in text  # the verdict
        assert "python -m nin_gluon.train --dataset fashion-mnist --seed 2" in text
        assert "python -m nin_gluon.reproduce --report" in text
        assert "python -m nin_gluon.reproduce --seeds 0-2" in text


def test_different_settings_are_never_mixed(add, here):
    add(0)
    for settings in ({"dtype": "bfloat16"}, {"epochs": 2}, {"limit": 64}, {"dataset": "sample"},
                     {"machine": {**MACHINE, "devices": ["gpu(0)"]}}):
        add(0, 0.1, **settings)
    groups = groups_of(BOOK, records_in())
    assert [(g.title, g.seeds) for g in groups] == [
        ("float32 on cpu", [0]), ("float32 on gpu", [0]), ("bfloat16 on cpu", [0]),
        ("float32 on cpu, epochs 2 instead of 5", [0])]
    assert sorted(path.name for path in Path("results").iterdir()) == [
        "textbook", "textbook-dataset-sample", "textbook-limit-64"]
    # Nor when somebody moves a record.
    moved, = here.glob("results/textbook-limit-64/*.jsonl")
    moved.rename(here / "results/textbook" / moved.name)
    groups = groups_of(BOOK, records_in())
    assert all(len(group.records) == 1 for group in groups) and len(groups) == 5
    for group in groups:
        assert ("limit 64" in group.title) == bool(group.settings.limit)


def test_one_seed_in_two_precisions_is_put_side_by_side(add, here):
    add(0, 0.1, dtype="bfloat16")
    add(1, 0.2, dtype="bfloat16")
    add(1, 0.3, epochs=2)
    assert "| 1 | 2 | 1.9522 | 1.8522 |" in (here / "REPRODUCTION.md").read_text()


def test_a_damaged_record_is_named(add, here, capsys):
    add(0)
    path = here / "results/textbook/float32-cpu-seed-0.jsonl"
    text = path.read_text()
    path.write_text(text.replace('"epoch": 2', '"epoch": 3'))
    error = refused(["--report"], capsys)
    assert str(path.relative_to(here)) in error
    assert "line 3: epoch 3 where epoch 2 belongs" in error
    path.write_text(text)
    path.with_name("copy.jsonl").write_text(text)
    assert "are both of seed 0 with the same settings" in refused(["--report"], capsys)


def test_files_of_others_are_left_alone(add, here, capsys):
    (here / "REPRODUCTION.md").write_text("mine")
    run = make_book_run(here / "made" / "run", 0)
    assert "was not written by this command" in refused(["--add", str(run)], capsys)
    assert (here / "REPRODUCTION.md").read_text() == "mine"
    assert not (here / "results").exists()
    assert reproduce.main(["--add", str(run), "--markdown", "other.md"]) == 0
    page = (here / "other.md").read_text()
    assert "nin_gluon.reproduce --report --markdown other.md" in page
    assert "nin_gluon.reproduce --seeds 0 --markdown other.md" in page


def test_runs_that_cannot_be_taken_in(here, capsys):
    def complaint(*runs):
        return refused(["--add", *map(str, runs)], capsys)

    assert "is not a run folder" in complaint(here / "nothing")
    half = make_book_run(here / "half", 0)
    write_history(half / "history.jsonl", read_history(half / "history.jsonl")[:3])
    assert "has done 3 of 5 epochs; finish it first by: " in complaint(half)
    assert "lr is 0.05, not 0.1" in complaint(make_book_run(here / "slow", 0, lr=0.05))
    assert "by a call each" in complaint(make_book_run(here / "a", 0),
                                         make_book_run(here / "b", 1, limit=9))
    assert "does not say on which device" in complaint(make_book_run(here / "old", 0, machine={}))
    assert reproduce.main(["--add", str(here / "a")]) == 0
    assert reproduce.main(["--add", str(here / "a")]) == 0  # it is there already
    capsys.readouterr()
    assert "finished seeds are kept" in complaint(make_book_run(here / "again", 0, shift=0.1))


def test_bicubic_runs_are_kept_beside_the_bilinear_ones(add, here):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        add(seed, shift)
        out = add(seed, shift, interpolation="bicubic")
    assert len(list((here / "results" / "textbook").glob("*.jsonl"))) == 6
    assert "interpolation bicubic instead of bilinear" in out
    assert "of 28 other runs" in out.splitlines()[-1]
    page = (here / "REPRODUCTION.md").read_text()
    assert "`python -m nin_gluon.reproduce --seeds 0-2 --interpolation bicubic`" in page
    # It is not known how the published run resized its images, so they are held against it, too.
    assert page.count("All 15 published values lie within the range of 3 seeds") == 2


def test_published_runs_are_reported_before_there_are_ours(here, capsys):
    (here / "results").mkdir()
    assert reproduce.main(["--report", "--edition", "d2l-pytorch"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Not tried: this project has no")
    folder = here / "results" / "d2l-pytorch"
    pages = contents(folder)
    assert {path.name for path in pages} == {"REPRODUCTION.md", "REPRODUCTION.zh-CN.md",
                                             "report.html", "all-runs.png"}
    assert "## Settings" not in (folder / "REPRODUCTION.md").read_text()
    assert reproduce.main(["--report", "--edition", "d2l-pytorch"]) == 0
    assert contents(folder) == pages  # no byte differs
    capsys.readouterr()
    assert "loss 0.352, train acc 0.871, test acc 0.874" in (folder / "REPRODUCTION.md").read_text()
    for options in (["--edition", "mlpconv-112"], ["--limit", "64"]):
        assert "holds no records yet" in refused(["--report", *options], capsys)


# ------------------------------------------------------------------ runs that are made


@pytest.mark.parametrize("options, sentence", [
    (["--seeds", "9-0"], "'9-0' is not a range"),
    (["--seeds", "0-99999999"], "is not a range of 1 to 10000 seeds"),
    (["--seeds", "a"], "'a' is not a list of seeds"),
    (["--seeds", ""], "'' is not a list of seeds"),
    (["--seeds", "-1"], "--seeds"),
    (["--edition", "d2l"], "invalid choice: 'd2l'"),
    (["--epochs", "0"], "'0' is not a whole number above 0"),
    (["--report", "--add", "x"], "not allowed with"),
    (["--report", "--seeds", "0"], "--report trains nothing; leave out --seeds"),
    (["--starts", "--seeds", "0"], "--starts trains nothing; leave out --seeds"),
    (["--add", "x", "--limit", "3"], "--add trains nothing; leave out --limit"),
    (["--report"], "results/textbook holds no records yet; run some seeds first: "
                   "python -m nin_gluon.reproduce --seeds 0-2"),
    (["--ctx", "tpu", "--seeds", "0"], "'tpu' is not a device"),
    (["--dataset", "mnist"], "--dataset: unknown data set 'mnist'; the data sets are: fashion-"),
    (["--markdown", ".", "--seeds", "0"], ". is a folder, not a file"),
])
def test_wrong_requests_get_one_line_and_status_2(here, capsys, options, sentence):
    assert sentence in refused(options, capsys)
    assert list(here.iterdir()) == []


def test_runs_of_two_folders_are_taken_in_by_a_call_each(here, capsys):
    runs = [str(make_book_run(here / "made" / str(limit), 0, **limit))
            for limit in ({}, {"limit": 64})]
    assert "belongs into another folder than" in refused(["--add", *runs], capsys)
    assert not (here / "results").exists()  # not even the first


@pytest.mark.parametrize("page", ["REPRODUCTION.md", "REPRODUCTION.zh-CN.md",
                                  "results/textbook/report.html"])
def test_somebody_elses_page_is_met_before_the_training(here, calls, capsys, page):
    (here / page).parent.mkdir(parents=True, exist_ok=True)
    (here / page).write_text("mine")
    assert f"{page} is there and was not written" in refused(["--seeds", "0"], capsys)
    assert calls == [] and (here / page).read_text() == "mine"


def test_the_starts_are_measured_once(here, add, monkeypatch, capsys):
    """Into the records that there are, whether they were trained here or taken in."""
    measured = []

    def measure(settings, data_dir):
        measured.append((settings.seed, data_dir))
        return START

    monkeypatch.setattr(reproduction, "measure_start", measure)
    monkeypatch.setattr(sets, "own_data", lambda name, root: None)
    for seed in (0, 1):
        add(seed)
    add(1, dtype="bfloat16")  # starts like the float32 run of its seed
    before = list(records_in().values())
    for _ in range(2):
        assert reproduce.main(["--starts", "--data-dir", "data"]) == 0
    assert sorted(measured) == [(0, os.path.abspath("data")), (1, os.path.abspath("data"))]
    assert list(records_in().values()) == [replace(record, start=START) for record in before]


def test_lists_of_seeds():
    assert seed_list("0-2, 5,1") == [0, 1, 2, 5]


@pytest.fixture
def calls(monkeypatch):
    """The seeds that were trained; instead of that, a run folder is made at once."""
    trained = []

    def call(self, job):
        trained.append(job.settings.seed)
        make_run(job.folder, job.settings, [
            replace(epoch, loss=epoch.loss + job.settings.seed / 100)
            for epoch in BOOK.log[:job.settings.epochs]], own_data=job.own_data)
        return 0

    monkeypatch.setattr(Runner, "call", call)
    monkeypatch.setattr(reproduction, "measure_start", lambda settings, data_dir: START)
    return trained


def test_finished_seeds_are_never_run_again(here, calls, capsys):
    assert reproduce.main(["--seeds", "0-1"]) == 0
    capsys.readouterr()
    assert reproduce.main(["--seeds", "0-3"]) == 0
    out, error = capsys.readouterr()
    assert calls == [0, 1, 2, 3]
    assert all(record.start == START for record in records_in().values())
    assert "4 seeds: 0-3" in out and error.startswith("recorded already: seed 0-1\n")
    # Not even when only the run folders are left, or only the records.
    (here / "results").rename(here / "old results")
    assert reproduce.main(["--seeds", "0-3"]) == 0
    (here / "runs").rename(here / "old runs")
    assert reproduce.main(["--seeds", "0-3"]) == 0
    assert calls == [0, 1, 2, 3]
    assert reproduce.main(["--seeds", "0", "--limit", "8"]) == 0  # other settings
    assert calls == [0, 1, 2, 3, 0]


def test_a_seed_starts_alike_in_any_arithmetic_and_is_measured_once(here, calls, monkeypatch):
    assert reproduce.main(["--seeds", "0"]) == 0
    measured = []
    monkeypatch.setattr(reproduction, "measure_start",
                        lambda settings, data_dir: measured.append(settings.seed) or START)
    assert reproduce.main(["--seeds", "0-1", "--epochs", "4"]) == 0
    assert calls == [0, 0, 1] and measured == [1]
    assert [record.start for record in records_in().values()] == [START] * 3


def test_a_seed_that_another_process_trains_is_left_out(here, calls, capsys, caplog):
    import filelock

    busy = here / "runs/reproduce/textbook/float32-cpu-seed-1"
    busy.mkdir(parents=True)
    with filelock.FileLock(busy / ".lock"):
        assert reproduce.main(["--seeds", "0-2"]) == 2
    assert calls == [0, 2]
    assert "seed 1 is left out: another process is training in" in caplog.text
    assert "2 seeds: 0,2" in capsys.readouterr().out


def test_runs_on_the_users_own_files_are_a_group_of_their_own(here, calls, monkeypatch, capsys):
    for own in (None, "1a2b3c4d"):
        monkeypatch.setattr(sets, "own_data", lambda name, root: own)  # noqa: B023 (used at once)
        assert reproduce.main(["--seeds", "0", "--dataset", "cifar10"]) == 0
    assert calls == [0, 0]
    records = records_in("results/textbook-dataset-cifar10")
    assert sorted(str(record.own_data) for record in records.values()) == ["1a2b3c4d", "None"]
    groups = groups_of(BOOK, records)
    assert len(groups) == 2
    assert [group.title.endswith("own files 1a2b3c4d") for group in groups].count(True) == 1


def test_a_data_set_s_other_name_is_the_same_request(here, calls, capsys):
    for name in ("cifar-10", "cifar10"):
        assert reproduce.main(["--seeds", "0", "--dataset", name]) == 0
    assert calls == [0]
    record, = records_in("results/textbook-dataset-cifar10").values()
    assert record.settings.dataset == "cifar10"


def test_an_unknown_net_is_the_train_commands_own_error(here, capsys, monkeypatch):
    monkeypatch.setattr(jobs, "subprocess", SimpleNamespace(Popen=TrainHere))
    edition = EDITIONS["mlpconv-112"]
    monkeypatch.setitem(EDITIONS, "mlpconv-112", replace(
        edition, recipe=edition.recipe.but(model="no_such_net")))
    assert reproduce.main(["--edition", "mlpconv-112", "--seeds", "0", "--dataset", "sample"]) == 2
    assert "unknown model 'no_such_net'; the models are:" in capsys.readouterr().err
    assert not (here / "results").exists()  # whatever ends a run, there is no record and no page


def test_interrupted_and_called_again(here, no_pictures, pytestconfig, monkeypatch, capsys):
    """First in processes, to which SIGTERM comes in the first step; then in this one.

    That a process goes on with a run is in ``test_exercises.py``, for the same `Runner`.
    """
    dataset = pytestconfig.dataset  # to read Fashion-MNIST is quicker than to draw the sample
    options = ["--dataset", dataset, "--limit", "4", "--epochs", "1", "--seeds", "3"]
    forked_python.call(interrupt, here, *options)
    assert not list(here.glob("results/*/*.jsonl"))
    run, = here.glob("runs/reproduce/*/*")
    assert [path.name for path in (run / "checkpoint").iterdir()] == ["epoch-0001-step-000001"]
    monkeypatch.setattr(jobs, "subprocess", SimpleNamespace(Popen=TrainHere))
    assert reproduce.main(options) == 0
    where = "" if dataset == "fashion-mnist" else "-dataset-sample"
    record, = records_in(f"results/textbook{where}-limit-4").values()
    assert (record.seed, record.device, record.machine["mxnet"]) == (3, "cpu", "1.9.1")
    assert list(record.history) == read_history(run / "history.jsonl")
    assert record.start and set(record.start.living) <= set(range(10))
    assert replace(record, start=None) == record_of_run(run)
    assert "1 seed: 3" in capsys.readouterr().out


def interrupt(folder, *options):
    """Run the command in a folder; SIGTERM comes to it, but not to the process that trains."""
    os.chdir(folder)
    command = [sys.executable, "-m", "nin_gluon.reproduce", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line == "training on cpu(0)\n":
            process.send_signal(signal.SIGTERM)
    assert (process.wait(), process.stdout.read()) == (143, ""), lines
    assert any(line.startswith("seed 3 (1 of 1): runs/reproduce/") for line in lines)
    assert lines[-1].startswith("go on with: ")
    assert lines[-1].endswith("nin_gluon.reproduce " + " ".join(options) + "\n")
