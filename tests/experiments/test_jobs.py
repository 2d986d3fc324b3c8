"""Jobs: which runs are made, in what order, and what becomes of those that are there."""

import os
import signal
from dataclasses import replace

import filelock
import pytest

from nin_gluon import InputError
from nin_gluon.experiments.jobs import Job, Runner
from nin_gluon.experiments.stores import RecordFolder
from tests.experiments.made_runs import BOOK, MACHINE, make_book_run


@pytest.fixture
def store(tmp_path):
    return RecordFolder(tmp_path / "results", BOOK.recipe)


@pytest.fixture
def jobs(tmp_path):
    return [Job(f"seed {seed}", BOOK.recipe.but(seed=seed), tmp_path / "runs" / str(seed))
            for seed in range(3)]


@pytest.fixture
def calls(monkeypatch):
    """The seeds that were trained; instead of that, a run folder is made at once."""
    trained = []

    def call(self, job):
        trained.append(job.settings.seed)
        make_book_run(job.folder, job.settings.seed)
        return 0

    monkeypatch.setattr(Runner, "call", call)
    return trained


def test_what_is_missing_is_trained_in_order(store, jobs, calls, caplog):
    seen = []
    runner = Runner(store, "cpu", after=lambda: seen.append(len(store.keys())))
    assert runner.train(jobs[:2]) == 0 and seen == [1, 2]  # after each, its record is there
    assert runner.train(jobs) == 0 and calls == [0, 1, 2]
    assert [line for line in caplog.messages if line.startswith("seed 2")] == [
        f"seed 2 (1 of 1): {jobs[2].folder}"]
    assert runner.missing(jobs) == [] and Runner(store, "gpu").missing(jobs) == jobs


def test_finished_runs_are_taken_in_without_training(store, jobs, calls):
    make_book_run(jobs[1].folder, 1)
    assert Runner(store, "cpu").train(jobs) == 0
    assert calls == [0, 2] and len(store.keys()) == 3


def test_records_are_completed_before_they_are_kept(store, jobs, calls):
    def complete(record, folder):
        assert folder == jobs[record.seed].folder
        return replace(record, escape_step=record.seed + 1)

    assert Runner(store, "cpu", complete=complete).train(jobs) == 0
    assert [record.escape_step for record in store.read().values()] == [1, 2, 3]


def test_a_crash_is_no_divergence(store, jobs, monkeypatch):
    monkeypatch.setattr(Runner, "call", lambda self, job: 1)
    assert Runner(store, "cpu").train(jobs) == 1
    assert store.read() == {}


def test_a_run_that_ended_early_is_no_success(store, jobs, monkeypatch):
    monkeypatch.setattr(Runner, "call", lambda self, job: 0)
    assert Runner(store, "cpu").train(jobs) == 1
    assert store.read() == {}


def test_a_run_that_diverges_does_not_stop_the_others(store, jobs, monkeypatch):
    def call(self, job):
        seed = job.settings.seed
        make_book_run(job.folder, seed, diverged="the loss became nan" if seed == 1 else None)
        return int(seed == 1)

    monkeypatch.setattr(Runner, "call", call)
    assert Runner(store, "cpu").train(jobs) == 0
    assert [record.diverged for record in store.read().values()] == [None, "the loss became nan",
                                                                     None]


def test_what_another_process_trains_is_left_out(store, jobs, calls, caplog):
    jobs[1].folder.mkdir(parents=True)
    runner = Runner(store, "cpu")
    with filelock.FileLock(jobs[1].folder / ".lock"):
        assert runner.train(jobs) == 0
    assert calls == [0, 2] and runner.left_out == [jobs[1]]
    assert f"seed 1 is left out: another process is training in {jobs[1].folder}" in caplog.text


def test_a_run_that_another_process_began_just_before_is_left_out(store, jobs, monkeypatch):
    """It took the folder while ours was starting."""
    locks = []

    def call(self, job):
        job.folder.mkdir(parents=True)
        if job == jobs[0]:
            locks.append(filelock.FileLock(job.folder / ".lock"))
            locks[0].acquire()
            return 2
        job.folder.rmdir()
        make_book_run(job.folder, job.settings.seed)
        return 0

    monkeypatch.setattr(Runner, "call", call)
    runner = Runner(store, "cpu")
    assert runner.train(jobs[:2]) == 0
    assert runner.left_out == [jobs[0]] and len(store.keys()) == 1
    locks[0].release()
    monkeypatch.setattr(Runner, "call", lambda self, job: 2)
    assert runner.train(jobs[2:]) == 2  # any other wrong request ends the command


def test_what_another_process_has_finished_meanwhile_is_not_trained(store, jobs, monkeypatch):
    calls = []

    def call(self, job):
        calls.append(job.settings.seed)
        make_book_run(job.folder, job.settings.seed)
        other = Runner(store, "cpu")
        make_book_run(jobs[1].folder.with_name("elsewhere"), 1)
        assert other.keep_if_finished(Job("seed 1", jobs[1].settings,
                                          jobs[1].folder.with_name("elsewhere")))
        return 0

    monkeypatch.setattr(Runner, "call", call)
    assert Runner(store, "cpu").train(jobs[:2]) == 0
    assert calls == [0] and len(store.keys()) == 2


@pytest.mark.parametrize("changes", [{"lr": 0.5}, {"own_data": "1a2b3c4d"},
                                     {"machine": {**MACHINE, "devices": ["gpu(0)"]}}])
def test_a_run_of_other_settings_in_the_way_is_named(store, jobs, calls, changes):
    make_book_run(jobs[0].folder, 0, **changes)
    with pytest.raises(InputError, match="holds a run of other settings or on other files"):
        Runner(store, "cpu").train(jobs)
    assert calls == []


def test_a_run_that_was_killed_at_its_start_is_set_aside(store, jobs, calls, caplog):
    folder = jobs[0].folder
    for number in (1, 2):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{")
        assert Runner(store, "cpu").train(jobs[:1]) == 0
        aside = folder.with_name(f"0-without-checkpoint-{number}")
        assert (aside / "config.json").read_text() == "{"
        assert f"{folder} holds no checkpoint to go on from; it is now {aside}" in caplog.text
        for path in (folder, store.path):
            path.rename(path.with_name(f"old-{path.name}-{number}"))


class Process:
    """In place of subprocess.Popen: what it was called with, and what it was sent."""

    last = None

    def __init__(self, command, stdout):
        Process.last, self.command, self.sent = self, command, []

    def send_signal(self, signum):
        self.sent.append(signum)

    def wait(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return 143 if self.sent else 0


def test_a_signal_is_for_the_run_and_ends_the_rest(store, jobs, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", Process)
    before = signal.getsignal(signal.SIGTERM)
    assert Runner(store, "cpu", "cpu", "/data").train(jobs) == 143
    assert Process.last.sent == [signal.SIGTERM]
    assert Process.last.command[1:] == [
        "-m", "nin_gluon.train", "--dataset", "fashion-mnist", "--seed", "0", "--ctx", "cpu",
        "--engine", "gluon", "--out", str(jobs[0].folder), "--data-dir", "/data"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_can_start_from_a_file(store, jobs, monkeypatch, tmp_path):
    monkeypatch.setattr("subprocess.Popen", Process)
    start = tmp_path / "start.params"
    job = replace(jobs[0], settings=jobs[0].settings.but(init_from="sha256:" + 64 * "0"),
                  init_file=start)
    assert Runner(store, "cpu").train([job]) == 143
    command = Process.last.command
    assert command.count("--init-from") == 1
    assert command[command.index("--init-from") + 1] == str(start)


def test_a_run_goes_on_where_it_was_stopped(store, jobs, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", Process)
    run = make_book_run(jobs[0].folder, 0)
    (run / "history.jsonl").write_text("")
    assert Runner(store, "cpu", "gpu(1)").train(jobs[:1]) == 143
    assert Process.last.command[3:] == ["--resume", str(run), "--ctx", "gpu(1)"]


def test_a_run_that_a_signal_ended_says_so(store, jobs, monkeypatch, caplog):
    monkeypatch.setattr(Process, "wait", lambda self: -9)
    monkeypatch.setattr("subprocess.Popen", Process)
    assert Runner(store, "cpu").train(jobs) == 128 + 9
    assert "the run of seed 0 was ended by signal 9" in caplog.text
