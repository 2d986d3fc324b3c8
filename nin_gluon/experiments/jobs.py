"""Jobs: runs that are wanted, made one after the other by the train command.

A run that was stopped goes on, a finished run is not made again, and what another process trains is
left out. Whoever needs runs gives the jobs and a store for their records.
"""

import contextlib
import itertools
import logging
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Callable, Iterator, List, Optional, Protocol, Sequence, Set

from nin_gluon.errors import InputError
from nin_gluon.experiments.records import Key, Record, train_options
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.settings import Settings
from nin_gluon.training.checkpoint import complete

__all__ = ["Job", "Runner", "Store"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A run that is wanted."""

    title: str  # for people: "seed 3"
    settings: Settings  # with the seed
    folder: Path  # of the run
    own_data: Optional[str] = None  # as in `nin_gluon.experiments.records.Record`
    init_file: Optional[Path] = None  # what ``settings.init_from`` is the digest of


class Store(Protocol):
    """Where records go: `RecordFolder` or `ExerciseFile` of `nin_gluon.experiments.stores`."""

    def keys(self) -> Set[Key]:
        """The keys of all records that it has."""

    def add(self, record: Record, origin: Path) -> None:
        """Keep the record of the run in the folder `origin`."""


def as_it_is(record: Record, folder: Path) -> Record:
    return record


def nothing() -> None:
    pass


class Runner:
    """Trains the jobs that have no record yet.

    Each run has a process of its own: bfloat16 changes MXNet for the rest of a process, and a run
    must be what the train command would make of it.

    Parameters
    ----------
    store : Store
        Takes the records. Other processes may add to it meanwhile.
    device : str
        The kind of device, as `nin_gluon.experiments.records.device_kind` has it.
    ctx, data_dir : str or None
        As the user gave them.
    complete : callable, optional
        (record, run folder) -> the record to be kept, with what is measured of the run.
    after : callable, optional
        Called whenever a record has been kept.

    Attributes
    ----------
    left_out : list of Job
        What another process is training.
    """

    def __init__(self, store: Store, device: str, ctx: Optional[str] = None,
                 data_dir: Optional[str] = None,
                 complete: Callable[[Record, Path], Record] = as_it_is,
                 after: Callable[[], object] = nothing) -> None:
        self.store, self.device, self.ctx, self.data_dir = store, device, ctx, data_dir
        self.complete, self.after = complete, after
        self.left_out: List[Job] = []
        self.stop: Optional[int] = None  # the signal that came
        self.process: Optional[subprocess.Popen[bytes]] = None

    def missing(self, jobs: Sequence[Job]) -> List[Job]:
        """The jobs that have no record."""
        recorded = self.store.keys()
        return [job for job in jobs if self.key(job) not in recorded]

    def key(self, job: Job) -> Key:
        """The key that the job's record will have."""
        return job.settings, self.device, job.own_data

    def train(self, jobs: Sequence[Job]) -> int:
        """Train what is missing; return 0, or the exit status of what ended it."""
        missing = self.missing(jobs)
        with self.signals():
            for number, job in enumerate(missing, 1):
                if self.stop:
                    return 128 + self.stop
                if not self.missing([job]):  # another process has been faster
                    continue
                if in_use(job.folder):
                    self.left_out.append(job)
                    continue
                log.warning("%s (%d of %d): %s", job.title, number, len(missing), job.folder)
                status = self.train_one(job)
                if status == 2 and in_use(job.folder):  # another process began it just before
                    self.left_out.append(job)
                elif status:
                    return status
        self.left_out = self.missing(self.left_out)
        for job in self.left_out:
            log.warning("%s is left out: another process is training in %s; when it is done, run "
                        "this command again to take in its record", job.title, job.folder)
        return 0

    def train_one(self, job: Job) -> int:
        """Make a run, or what is left of it, and keep its record; return the exit status."""
        set_aside_if_empty(job.folder)
        if not self.keep_if_finished(job):
            status = self.call(job)
            # 1 is divergence, which is a result too, but also a crash.
            if status not in (0, 1):
                return status
            if not self.keep_if_finished(job):
                return status or 1
        return 0

    def keep_if_finished(self, job: Job) -> bool:
        """Keep the run's record if it has come to its end; return whether it has."""
        if not (job.folder / "config.json").exists():
            return False
        record = record_of_run(job.folder)
        if record.key != self.key(job):
            raise InputError(f"{job.folder} holds a run of other settings or on other files; move "
                             "it away.")
        if record.finished:
            self.store.add(self.complete(record, job.folder), job.folder)
            self.after()
        return record.finished

    def call(self, job: Job) -> int:
        """Call the train command; return its exit status, 128 + N if signal N ended it."""
        if job.folder.exists():
            options = ["--resume", str(job.folder)]
            options += ["--ctx", self.ctx] if self.ctx else []
        else:
            options = train_options(job.settings.but(init_from=None), self.ctx or "auto")
            options += ["--init-from", str(job.init_file)] if job.init_file else []
            if "--engine" not in options:  # which the train command would choose by the machine
                options += ["--engine", job.settings.engine]
            options += ["--out", str(job.folder)]
        if self.data_dir:
            options += ["--data-dir", self.data_dir]
        # The runs' log is progress here: it goes where stderr goes.
        self.process = subprocess.Popen([sys.executable, "-m", "nin_gluon.train", *options],
                                        stdout=2)
        if self.stop:  # it came while the process was started
            self.process.send_signal(self.stop)
        status = self.process.wait()
        if status < 0 and not self.stop:
            log.warning("the run of %s was ended by signal %d", job.title, -status)
        return status if status >= 0 else 128 - status

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """While the block runs, Ctrl-C and SIGTERM are for the run, which saves and stops."""

        def pass_on(signum: int, frame: Optional[FrameType]) -> None:
            self.stop = self.stop or signum
            if self.process:
                self.process.send_signal(signum)

        before = {s: signal.signal(s, pass_on) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


def in_use(folder: Path) -> bool:
    """Whether a process is training in this run folder."""
    import filelock

    if not folder.exists():
        return False
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            return False
    except filelock.Timeout:
        return True


def set_aside_if_empty(folder: Path) -> None:
    """Rename a run folder without any checkpoint, which a run killed at its start leaves."""
    if not folder.exists() or complete(folder):
        return
    for number in itertools.count(1):
        aside = folder.with_name(f"{folder.name}-without-checkpoint-{number}")
        if not aside.exists():
            folder.rename(aside)
            log.warning("%s holds no checkpoint to go on from; it is now %s", folder, aside)
            return
