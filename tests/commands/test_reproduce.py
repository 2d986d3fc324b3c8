"""A published log against runs of several seeds: records, ranks, verdict, pages, command."""

import base64
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nin_gluon import InputError, reproduce, train
from nin_gluon.experiments import jobs as runs
from nin_gluon.experiments import pages as report
from nin_gluon.experiments import records as evidence
from nin_gluon.experiments.published import EDITIONS
from nin_gluon.settings import PRESETS
from nin_gluon.training.history import EpochRecord, read_history, write_history

BOOK = EDITIONS["d2l-mxnet"]
MACHINE = {"nin_gluon": "0.1.0", "mxnet": "1.9.1", "cpu": "a <fast> one", "threads": 2,
           "cpu_features": ["avx2"], "devices": ["cpu(0)"]}


def make_run(run, seed, shift=0.0, epochs=5, diverged=None, **settings):
    """A finished run folder of the train command: the published figures, each moved by `shift`."""
    run.mkdir(parents=True)
    config = {"preset": "textbook", **evidence.recipe_settings(BOOK), "epochs": epochs,
              "seed": seed, "ctx": "auto", "data_dir": "/of/this/machine", "machine": MACHINE,
              **settings}
    (run / "config.json").write_text(json.dumps(config))
    log = [EpochRecord(r.epoch, r.loss + shift, r.train_acc + shift, r.test_acc + shift, 60.0)
           for r in BOOK.log[:epochs]]
    if diverged:
        (run / "diverged.txt").write_text(diverged + "\n")
        log = log[:1]
    write_history(run / "history.jsonl", log)
    (run / "checkpoint" / "epoch-0006-step-000000").mkdir(parents=True)
    return run


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """An empty current folder, and no pictures, which take longest, unless a test is about them."""
    monkeypatch.chdir(tmp_path)
    if "pictures" not in request.keywords:
        monkeypatch.setattr(report, "draw", lambda group: {})
    return tmp_path


@pytest.fixture
def add(here, capsys):
    """Function of (seed, shift, settings): take such a run in; returns what was printed."""

    def take_in(seed, shift=0.0, **settings):
        name = "-".join(["run", str(seed), *map(str, settings.values())])
        run = make_run(here / "made" / name, seed, shift, **settings)
        assert reproduce.main(["--add", str(run)]) == 0
        return capsys.readouterr().out

    return take_in


def refused(options, capsys):
    """The one line that a wrong request gets."""
    try:
        status = reproduce.main(options)
    except SystemExit as end:
        status = end.code
    out, error = capsys.readouterr()
    assert (status, out, error.count("\n")) == (2, "", 1), error
    return error


def contents(folder):
    """Every file below a folder that is no run, with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and "made" not in path.parts}


# ------------------------------------------------------------------ the figures


def test_ranks_by_arithmetic(add):
    add(0, -0.02)
    add(1, 0.03)
    group = one_group()
    loss = group.rows[1]["loss"]
    assert (loss.low, loss.high, loss.published) == (2.2427, 2.2927, 2.2627)
    assert loss.median == pytest.approx(2.2677)
    assert (loss.below, loss.above, loss.outside, loss.seeds) == (1, 1, 0, 2)
    add(2, -0.01)
    accuracy = one_group().rows[3]["test_acc"]
    assert (accuracy.low, accuracy.median, accuracy.high) == (0.340, 0.350, 0.390)
    assert accuracy.where == "above 2 of 3, below 1"


def one_group(folder="results/textbook"):
    group, = evidence.groups_of(BOOK, evidence.read_records(folder))
    return group


def test_values_are_compared_as_the_textbook_prints_them(add):
    """0.15404 is printed as the published 0.154, so a range that ends there holds it."""
    for seed, shift in enumerate((0.00004, 0.01, 0.02)):
        add(seed, shift)
    row = one_group().rows[1]
    assert (row["train_acc"].outside, row["train_acc"].below, row["train_acc"].above) == (0, 0, 2)
    assert not row["loss"].outside  # 2.26274 is printed 2.2627
    add(3, 0.03)
    assert one_group().outside() == {}


def test_too_few_seeds_say_nothing(add):
    assert add(0).splitlines()[-1].startswith("Too few seeds to say anything: 1 finished")
    assert add(1, 0.1).splitlines()[-1].startswith("Too few seeds to say anything: 2 finished")
    assert "Too few" not in add(2, -0.1)


def test_the_verdict_when_all_lie_within(add):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        out = add(seed, shift)
    assert out.splitlines()[-1] == ("All 15 published values lie within the range of 3 seeds "
                                    "(float32 on cpu).")
    # 15 values, each outside the range of 3 with probability 2/4.
    assert "on average have 7.5 of its 15 values outside" in out


def test_the_verdict_names_what_lies_outside_and_by_how_much(add):
    for seed, shift in enumerate((0.010, 0.020, 0.030)):
        out = add(seed, shift)
    verdict = out.splitlines()[-1]
    assert verdict.startswith("0 of 15 published values lie within the range of 3 seeds (float32 "
                              "on cpu), 15 do not: loss of epoch 1 (2.2627, below all, by 0.0100); "
                              "train acc of epoch 1 (0.154, below all, by 0.010)")
    # Seed 2 is highest in all 15, the published run lowest: they stray alike.
    assert one_group().strays() == (15, {0: 0, 1: 0, 2: 15})
    assert "1 of the seeds, held against the other runs in the same way, has as many" in verdict


def test_a_log_unlike_every_seed():
    """Seeds that take turns in being outermost stray less than a log beyond them all."""
    log = [[(0.5, 0.6, 0.7), (0.7, 0.5, 0.6), (0.6, 0.7, 0.5)][e % 3] for e in range(5)]
    records = {Path(f"{seed}.jsonl"): evidence.Record(
        seed, evidence.recipe_settings(BOOK), "cpu", "auto", MACHINE, "command", None,
        tuple(EpochRecord(e + 1, 0.1, 0.9 + log[e][seed] / 100, 0.9, 1.0) for e in range(5)))
        for seed in range(3)}
    group = evidence.Group(BOOK, records)
    stray, others = group.strays()
    assert stray == 15 and max(others.values()) < 15
    assert "no seed, held against the other runs in the same way, has as many" in group.verdict()
    assert group.verdict().endswith("at most once in 4 times.")


def test_a_seed_that_diverged_is_evidence_too(add):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        add(seed, shift)
    out = add(3, 0.2, diverged="the loss became nan in epoch 2, step 7")
    assert "1 of 4 seeds diverged: seed 3, the loss became nan in epoch 2, step 7." in out
    assert [row["loss"].seeds for row in one_group().rows.values()] == [4, 3, 3, 3, 3]
    assert "within the range of 4 seeds" in out.splitlines()[-1]


def test_seeds_that_all_diverge_at_once_are_still_reported(here, capsys):
    run = make_run(here / "made" / "run", 0, diverged="the loss became nan in epoch 1, step 3")
    write_history(run / "history.jsonl", [])
    assert reproduce.main(["--add", str(run)]) == 0
    assert "Too few seeds to say anything: 0 finished, of 1 seed" in capsys.readouterr().out


@pytest.mark.parametrize("edition, epochs, end", [
    ("mlpconv-112", 20, "published no figures of its epochs, so there is nothing to hold 3 seeds "
                        "(float32 on cpu) against."),
    ("d2l-pytorch", 10, "All 3 published values lie within the range of 3 seeds (float32 on cpu)."),
    ("d2l-pytorch", 2, "(float32 on cpu, epochs 2 instead of 10) did not reach, so there is "
                       "nothing to compare."),
])
def test_other_editions(edition, epochs, end):
    edition = EDITIONS[edition]
    settings = {**evidence.recipe_settings(edition), "epochs": epochs}
    records = {Path(f"{seed}.jsonl"): evidence.Record(
        seed, settings, "cpu", "auto", MACHINE, "command", None,
        tuple(EpochRecord(e, 0.3 + seed / 10, 0.8 + seed / 20, 0.8 + seed / 20, 1.0)
              for e in range(1, epochs + 1))) for seed in range(3)}
    assert evidence.Group(edition, records).verdict().endswith(end)


# ------------------------------------------------------------------ records and pages


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
    assert [EpochRecord(**epoch) for epoch in epochs] == history


@pytest.mark.pictures
def test_a_second_call_changes_nothing_and_another_seed_changes_all(add, here, capsys):
    add(0, -0.1)
    add(1, 0.1)
    before = contents(here)
    names = {str(path.relative_to(here)) for path in before}
    assert names >= {"REPRODUCTION.md", "results/textbook/report.html",
                     *(f"results/textbook/float32-cpu-{name}.png" for name in evidence.QUANTITIES)}
    times = {path: path.stat().st_mtime_ns for path in before}
    command = [sys.executable, "-m", "nin_gluon.reproduce", "--report"]  # on another day
    subprocess.run(command, check=True, capture_output=True)
    assert contents(here) == before
    assert {path: path.stat().st_mtime_ns for path in before} == times
    add(2, 0.2)
    after = contents(here)
    for path, data in before.items():
        assert (after[path] == data) == (path.suffix == ".jsonl"), path


def test_the_page_needs_no_mxnet(add):
    add(0)
    code = ("import sys; from nin_gluon.reproduce import main; assert main(['--report']) == 0; "
            "assert 'mxnet' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.pictures
def test_the_pages_say_what_they_rest_on(add, here):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        out = add(seed, shift)
    verdict = out.splitlines()[-1]
    page = (here / "results/textbook/report.html").read_text()
    markdown = (here / "REPRODUCTION.md").read_text()
    for text in (page, markdown):
        assert verdict in text
        assert "python -m nin_gluon.train --dataset fashion-mnist --seed 2" in text
        assert "python -m nin_gluon.reproduce --report" in text
        assert "a &lt;fast&gt; one" in text and "mxnet 1.9.1" in text and "batch_size" in text
        assert "2.2627" in text and "2.1627" in text
    assert page.count("data:image/png;base64,") == 3 and "http" not in page
    path = here / "results/textbook/float32-cpu-loss.png"
    assert base64.b64encode(path.read_bytes()).decode() in page
    links = [part.split(")")[0] for part in markdown.split("](")[1:]]
    assert len(links) >= 8
    assert all((here / link).exists() for link in links)


def test_different_settings_are_never_mixed(add, here):
    add(0)
    for settings in ({"dtype": "bfloat16"}, {"epochs": 2}, {"limit": 64}, {"dataset": "sample"},
                     {"machine": {**MACHINE, "devices": ["gpu(0)"]}}):
        add(0, 0.1, **settings)
    groups = evidence.groups_of(BOOK, evidence.read_records("results/textbook"))
    assert [(g.title, g.seeds) for g in groups] == [
        ("float32 on cpu", [0]), ("float32 on gpu", [0]), ("bfloat16 on cpu", [0]),
        ("float32 on cpu, epochs 2 instead of 5", [0])]
    assert sorted(path.name for path in Path("results").iterdir()) == [
        "textbook", "textbook-dataset-sample", "textbook-limit-64"]
    # Nor when somebody moves a record.
    stray, = here.glob("results/textbook-limit-64/*.jsonl")
    stray.rename(here / "results/textbook" / stray.name)
    groups = evidence.groups_of(BOOK, evidence.read_records("results/textbook"))
    assert all(len(group.records) == 1 for group in groups) and len(groups) == 5
    for group in groups:
        assert ("limit 64" in group.title) == bool(group.settings["limit"])


def test_one_seed_in_two_precisions_is_put_side_by_side(add, here):
    add(0, 0.1, dtype="bfloat16")
    add(1, 0.2, dtype="bfloat16")
    add(1, 0.3, epochs=2)
    groups = evidence.groups_of(BOOK, evidence.read_records("results/textbook"))
    (single, half, seeds), = evidence.side_by_side(groups)
    assert (single.settings["dtype"], half.settings["dtype"]) == ("float32", "bfloat16")
    assert list(seeds) == [1] and len(seeds[1]) == 2
    assert "| 1 | 2 | 1.9522 | 1.8522 |" in (here / "REPRODUCTION.md").read_text()


def test_a_few_images_are_not_the_published_recipe(add):
    for seed, shift in enumerate((-0.1, 0.05, 0.1)):
        out = add(seed, shift, limit=64)
    assert out.splitlines()[-1].endswith("but with limit 64 instead of all images these are not "
                                         "the published recipe, and this says nothing of it.")


@pytest.mark.parametrize("line, text, sentence", [
    (1, "{", "line 1: "),
    (1, "[]", "line 1: "),
    (1, '{"seed": "x"}', "line 1: "),
    (3, '{"epoch": 2, "loss"', "line 3: "),
    (3, '{"epoch": 2}', "line 3: "),
    (3, '{"epoch": 3, "loss": 1, "train_acc": 0.1, "test_acc": 0.1, "seconds": 1}',
     "line 3: epoch 3 where epoch 2 belongs"),
    (4, '{"epoch": 3, "loss": NaN, "train_acc": 0.1, "test_acc": 0.1, "seconds": 1}',
     "line 4: loss is nan"),
    (4, '{"epoch": 3, "loss": 1, "train_acc": 36.0, "test_acc": 0.1, "seconds": 1}',
     "line 4: train_acc is 36.0"),
    (6, None, "4 epochs of 5"),
])
def test_a_damaged_record_is_named(add, here, capsys, line, text, sentence):
    add(0)
    path = here / "results/textbook/float32-cpu-seed-0.jsonl"
    lines = path.read_text().splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    path.write_text("\n".join(lines) + "\n")
    error = refused(["--report"], capsys)
    assert str(path.relative_to(here)) in error and sentence in error


def test_one_seed_twice_is_refused(add, here, capsys):
    add(0)
    path = here / "results/textbook/float32-cpu-seed-0.jsonl"
    path.with_name("copy.jsonl").write_bytes(path.read_bytes())
    assert "are both of seed 0 with the same settings" in refused(["--report"], capsys)


def test_files_of_others_are_left_alone(add, here, capsys):
    (here / "REPRODUCTION.md").write_text("mine")
    run = make_run(here / "made" / "run", 0)
    assert "was not written by this command" in refused(["--add", str(run)], capsys)
    assert (here / "REPRODUCTION.md").read_text() == "mine"
    assert reproduce.main(["--report", "--markdown", "other.md"]) == 0
    assert (here / "other.md").exists()


def test_runs_that_cannot_be_taken_in(here, capsys):
    def complaint(*runs):
        return refused(["--add", *map(str, runs)], capsys)

    assert "is not a run folder" in complaint(here / "nothing")
    half = make_run(here / "half", 0)
    write_history(half / "history.jsonl", read_history(half / "history.jsonl")[:3])
    assert "has done 3 of 5 epochs; finish it first by: " in complaint(half)
    assert "lr is 0.05, not 0.1" in complaint(make_run(here / "slow", 0, lr=0.05))
    assert "by a call each" in complaint(make_run(here / "a", 0), make_run(here / "b", 1, limit=9))
    assert "does not say on which device" in complaint(make_run(here / "old", 0, machine={}))
    assert reproduce.main(["--add", str(here / "a")]) == 0
    assert reproduce.main(["--add", str(here / "a")]) == 0  # it is there already
    capsys.readouterr()
    assert "finished seeds are kept" in complaint(make_run(here / "again", 0, shift=0.1))
    old = make_run(here / "bf16", 3, machine={}, dtype="bfloat16")  # which only CPUs have
    assert evidence.record_of_run(old).device == "cpu"


# ------------------------------------------------------------------ the command


@pytest.mark.parametrize("options, sentence", [
    (["--seeds", "9-0"], "'9-0' is not a range"),
    (["--seeds", "0-99999999"], "is not a range of 1 to 10000 seeds"),
    (["--seeds", "a"], "'a' is not a list of seeds"),
    (["--seeds", ""], "'' is not a list of seeds"),
    (["--seeds", "-1"], "--seeds"),
    (["--edition", "d2l"], "invalid choice: 'd2l'"),
    (["--epochs", "0"], "'0' is not a whole number above 0"),
    (["--report", "--add", "x"], "not allowed with"),
    (["--report", "--seeds", "0"], "--report runs nothing; leave out --seeds"),
    (["--add", "x", "--limit", "3"], "--add runs nothing; leave out --limit"),
    (["--report"], "results/textbook holds no records yet; run some seeds first: "
                   "python -m nin_gluon.reproduce --seeds 0-2"),
    (["--ctx", "tpu", "--seeds", "0"], "'tpu' is not a device"),
    (["--dataset", "mnist"], "--dataset: unknown data set 'mnist'; the data sets are: fashion-"),
])
def test_wrong_requests_get_one_line_and_status_2(here, capsys, options, sentence):
    assert sentence in refused(options, capsys)
    assert list(here.iterdir()) == []


def test_lists_of_seeds():
    assert reproduce.seed_list("0-2, 5,1") == [0, 1, 2, 5]
    assert evidence.seed_words([5, 0, 1, 2, 7, 8]) == "0-2,5,7-8"
    assert evidence.seed_words([]) == ""


@pytest.fixture
def calls(monkeypatch):
    """The seeds that were trained; instead of that, a run folder is made at once."""
    trained = []

    def call(self, job):
        trained.append(job.seed)
        make_run(job.run, job.seed, shift=job.seed / 100, own_data=job.own_data,
                 **job.settings)
        return 0

    monkeypatch.setattr(runs.Runs, "call", call)
    return trained


def test_finished_seeds_are_never_run_again(here, calls, capsys):
    assert reproduce.main(["--seeds", "0-1"]) == 0
    assert reproduce.main(["--seeds", "0-3"]) == 0
    assert calls == [0, 1, 2, 3]
    assert "4 seeds: 0-3" in capsys.readouterr().out
    # Not even when only the run folders are left, or only the records.
    (here / "results").rename(here / "old results")
    assert reproduce.main(["--seeds", "0-3"]) == 0
    (here / "runs").rename(here / "old runs")
    assert reproduce.main(["--seeds", "0-3"]) == 0
    assert calls == [0, 1, 2, 3]
    assert reproduce.main(["--seeds", "0", "--limit", "8"]) == 0  # other settings
    assert calls == [0, 1, 2, 3, 0]


def test_a_crash_is_no_divergence(here, capsys, monkeypatch):
    monkeypatch.setattr(runs.Runs, "call", lambda self, job: 1)
    assert reproduce.main(["--seeds", "0"]) == 1
    assert not (here / "results").exists()


def test_a_seed_that_diverges_does_not_stop_the_others(here, capsys, monkeypatch):
    def call(self, job):
        what = "the loss became nan in epoch 2, step 1" if job.seed == 1 else None
        make_run(job.run, job.seed, diverged=what)
        return int(job.seed == 1)

    monkeypatch.setattr(runs.Runs, "call", call)
    assert reproduce.main(["--seeds", "0-2"]) == 0
    assert "1 of 3 seeds diverged: seed 1" in capsys.readouterr().out


def test_a_seed_that_another_process_trains_is_left_out(here, calls, capsys):
    import filelock

    busy = here / "runs/reproduce/textbook/float32-cpu-seed-1"
    busy.mkdir(parents=True)
    with filelock.FileLock(busy / ".lock"):
        assert reproduce.main(["--seeds", "0-2"]) == 2
    out, error = capsys.readouterr()
    assert calls == [0, 2]
    assert "seed 1 is left out: another process is training in" in error
    assert "2 seeds: 0,2" in out


def test_runs_on_the_users_own_files_are_a_group_of_their_own(here, calls, monkeypatch, capsys):
    from nin_gluon.data import sets

    for own in (None, "1a2b3c4d"):
        monkeypatch.setattr(sets, "own_data", lambda name, root: own)  # noqa: B023 (used at once)
        assert reproduce.main(["--seeds", "0", "--dataset", "cifar10"]) == 0
    assert calls == [0, 0]
    records = evidence.read_records("results/textbook-dataset-cifar10")
    assert sorted(str(record.own_data) for record in records.values()) == ["1a2b3c4d", "None"]
    groups = evidence.groups_of(BOOK, records)
    assert len(groups) == 2
    assert [group.title.endswith("own files 1a2b3c4d") for group in groups].count(True) == 1


def test_a_data_set_s_other_name_is_the_same_request(here, calls, capsys):
    for name in ("cifar-10", "cifar10"):
        assert reproduce.main(["--seeds", "0", "--dataset", name]) == 0
    assert calls == [0]
    record, = evidence.read_records("results/textbook-dataset-cifar10").values()
    assert record.settings["dataset"] == "cifar10"


def test_a_run_that_was_killed_at_its_start_is_set_aside(here, calls, capsys):
    run = here / "runs/reproduce/textbook/float32-cpu-seed-0"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{")
    assert reproduce.main(["--seeds", "0"]) == 0
    assert "holds no checkpoint to go on from" in capsys.readouterr().err
    assert (run.with_name(run.name + "-without-checkpoint-1") / "config.json").read_text() == "{"


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_of_a_record_is_that_run(name):
    """Its options, short as they are, make the same settings as the preset that was run."""
    parser = train.build_parser()

    def planned(options):
        _, config = train.plan_run(parser.parse_args([*options, "--out", "nowhere"]))
        return config

    wanted = evidence.settings_of({**planned(["--preset", name]), "dataset": "cifar10",
                                   "resize": 32})
    config = planned(evidence.train_options(wanted, 0, "auto"))
    assert evidence.settings_of(config) == wanted


def test_an_unknown_net_is_the_train_commands_own_error(here, capfd, monkeypatch):
    monkeypatch.setitem(EDITIONS["mlpconv-112"].recipe, "model", "no_such_net")
    assert reproduce.main(["--edition", "mlpconv-112", "--seeds", "0", "--dataset", "sample"]) == 2
    assert "unknown model 'no_such_net'; the models are:" in capfd.readouterr().err


def test_interrupted_and_called_again_for_real(here):
    """On the sample, in processes; SIGTERM comes in the first step."""
    options = ["--dataset", "sample", "--limit", "16", "--epochs", "1", "--seeds", "3"]
    command = [sys.executable, "-m", "nin_gluon.reproduce", *options]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in first.stderr:
        lines.append(line)
        if line == "training on cpu(0)\n":
            first.send_signal(signal.SIGTERM)
    assert (first.wait(), first.stdout.read()) == (143, ""), lines
    assert lines[-1].startswith("go on with: ")
    assert lines[-1].endswith("nin_gluon.reproduce " + " ".join(options) + "\n")
    assert not list(here.glob("results/*/*.jsonl"))
    run, = here.glob("runs/reproduce/*/*")
    assert [path.name for path in (run / "checkpoint").iterdir()] == ["epoch-0001-step-000001"]
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    record, = evidence.read_records("results/textbook-dataset-sample-limit-16").values()
    assert (record.seed, record.device, record.machine["mxnet"]) == (3, "cpu", "1.9.1")
    assert list(record.history) == read_history(run / "history.jsonl")
    assert "1 seed: 3" in second.stdout


def test_divergence_leaves_its_mark_in_the_run(few_images, tmp_path, capsys):
    from nin_gluon import train

    run = tmp_path / "run"
    assert train.main(["--resize", "67", "--batch-size", "8", "--lr", "1e6", "--dataset",
                       "fashion-mnist", "--init", "he", "--out", str(run)]) == 1
    record = evidence.record_of_run(run)
    assert record.finished and record.history == ()
    assert record.diverged in capsys.readouterr().err


def test_a_missing_record_folder_is_no_error():
    assert evidence.read_records("/no/such/folder") == {}
    with pytest.raises(InputError, match="is not a run folder"):
        evidence.record_of_run("/no/such/folder")
