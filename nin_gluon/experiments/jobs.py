"""Runs of the train command, one after the other, for the commands that need many."""

import contextlib
import itertools
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from nin_gluon.errors import InputError
from nin_gluon.experiments import records as evidence

__all__ = ["Job", "Runs", "tell"]


@dataclass(frozen=True)
class Job:
    """A run that is wanted."""

    title: str  # for people: "seed 3"
    settings: dict  # what it computes, as `nin_gluon.experiments.records.settings_of` has it
    seed: int
    run: Path  # its folder
    own_data: Optional[str] = None  # as in `nin_gluon.experiments.records.Record`


class Runs:
    """Trains jobs that have no record yet, one after the other.

    Each has a process of its own: a trained process keeps what bfloat16 changes in MXNet, and a
    run must be what the train command would make of it.

    Parameters
    ----------
    device : str
        The kind of device, as `nin_gluon.experiments.records.device_kind` has it.
    ctx, data_dir : str or None
        As the user gave them.

    Attributes
    ----------
    left_out : list of Job
        What another process is training.
    """

    def __init__(self, device, ctx=None, data_dir=None):
        self.device, self.ctx, self.data_dir = device, ctx, data_dir
        self.stop = None  # the signal that came
        self.process = None
        self.left_out = []

    def train(self, jobs, recorded, keep):
        """Train what is missing; return 0, or the exit status of what ended it.

        Parameters
        ----------
        jobs : list of Job
        recorded : callable
            Whether a job has a record, maybe made by another process meanwhile.
        keep : callable
            Called with the record of a run that has come to its end, and its folder.
        """
        missing = [job for job in jobs if not recorded(job)]
        with self.signals():
            for number, job in enumerate(missing, 1):
                if self.stop:
                    return 128 + self.stop
                if recorded(job):
                    continue
                if in_use(job.run):
                    self.left_out.append(job)
                    continue
                tell(f"{job.title} ({number} of {len(missing)}): {job.run}")
                status = self.train_one(job, keep)
                if status:
                    return status
        self.left_out = [job for job in self.left_out if not recorded(job)]
        for job in self.left_out:
            tell(f"{job.title} is left out: another process is training in {job.run}; once it is "
                 "done the same command takes its record in")
        return 0

    def train_one(self, job, keep):
        """Run a job, or what is left of it, and keep its record; return the exit status."""
        set_aside_if_empty(job.run)
        if not job.run.exists() or not self.kept(job, keep):
            status = self.call(job)
            # 1 is divergence, which is evidence too, but also a crash.
            if status not in (0, 1) or not self.kept(job, keep):
                return status
        return 0

    def kept(self, job, keep):
        """Keep the run's record if it has come to its end; return whether it has."""
        if not (job.run / "config.json").exists():
            return False
        record = evidence.record_of_run(job.run)
        if record.kind != (job.settings, self.device, job.own_data):
            raise InputError(f"{job.run} holds a run of other settings or on other files; move it "
                             "away.")
        if record.finished:
            keep(record, job.run)
        return record.finished

    def call(self, job):
        """Call the train command; return its exit status, 128 + N if signal N ended it."""
        if job.run.exists():
            options = ["--resume", str(job.run)]
            options += ["--ctx", self.ctx] if self.ctx else []
        else:
            options = evidence.train_options(job.settings, job.seed, self.ctx or "auto")
            options += ["--out", str(job.run)]
        if self.data_dir:
            options += ["--data-dir", self.data_dir]
        # The runs' log is progress here: it goes where stderr goes.
        self.process = subprocess.Popen([sys.executable, "-m", "nin_gluon.train", *options],
                                        stdout=2)
        if self.stop:  # it came while the process was started
            self.process.send_signal(self.stop)
        status = self.process.wait()
        if status < 0 and not self.stop:
            tell(f"the run of {job.title} was ended by signal {-status}")
        return status if status >= 0 else 128 - status

    @contextlib.contextmanager
    def signals(self):
        """While the block runs, Ctrl-C and SIGTERM are for the run, which saves and stops."""

        def note(signum, frame):
            self.stop = self.stop or signum
            if self.process:
                self.process.send_signal(signum)

        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


def in_use(run):
    """Whether a process is training in this run folder."""
    import filelock

    if not run.exists():
        return False
    try:
        with filelock.FileLock(run / ".lock", timeout=0):
            return False
    except filelock.Timeout:
        return True


def set_aside_if_empty(run):
    """Rename a run folder without any checkpoint, which a run killed at its start leaves."""
    if not run.exists() or any(run.glob("checkpoint/epoch-*")):
        return
    for number in itertools.count(1):
        aside = run.with_name(f"{run.name}-without-checkpoint-{number}")
        if not aside.exists():
            run.rename(aside)
            tell(f"{run} holds no checkpoint to go on from; it is now {aside}")
            return


def tell(sentence):
    print(sentence, file=sys.stderr, flush=True)
