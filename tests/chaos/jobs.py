"""Kill processes of distributed jobs at random moments, and see what is left.

    python -m tests.chaos.jobs --times 20

Each time a job of a scheduler, a server and two workers trains a small net, and one of the four
processes gets SIGKILL. The job has to end within 30 seconds and leave no process behind. Then the
run goes on from its last checkpoint, and has to give the same log and the same parameters, bit for
bit, as a run that nobody disturbed. Prints a Markdown table; the exit status is 1 if any of this
does not hold.

The comparison is exact because a sum of two workers' gradients does not depend on which comes
first. With three workers it does: two undisturbed runs then differ in the last bits.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from nin_gluon.training.history import read_history
from tests.linux_processes import AVAILABLE, processes_with
from tests.small_jobs import TRAIN, one_thread

WORKERS = 2
PROCESSES = ("scheduler", "server 0", "worker 0", "worker 1")
LAUNCHER = (sys.executable, "-m", "nin_gluon.launch")

# 8 steps an epoch, each followed by a checkpoint. Real dropout: every worker draws its own masks.
SETTINGS = ("--dataset", "sample", "--resize", "67", "--limit", "64", "--batch-size", "4",
            "--epochs", "3", "--init", "identity", "--lr", "0.02", "--momentum", "0.9",
            "--kvstore", "dist_sync", "--checkpoint-every", "1")

END_SECONDS = 30.0  # the longest that a job may take to end
PATIENCE = 120.0  # then the job hangs

Outcome = Tuple[List[Tuple[int, float, float, float]], bytes]  # log without times, parameters


@dataclass
class Kill:
    """What happened when one process of a job was killed."""

    killed: str  # such as worker 1
    after: float  # seconds from the start of the job
    saved: str  # the newest checkpoint, if there was one
    ended: float  # seconds from the kill to the end of the job
    left: int  # processes that the job left behind
    status: Optional[int]  # of the job; None if it hung
    then: str = ""  # what became of the run
    escapes: List[str] = field(default_factory=list)

    def row(self) -> str:
        verdict = "; ".join(self.escapes) or "no"
        return (f"| {self.killed} | {self.after:.2f} | {self.saved or 'none yet'} | "
                f"{self.ended:.1f} | {self.left} | {self.then} | {verdict} |")


HEADER = """\
| killed | after, s | last checkpoint | job had ended, s | processes left | the run | escape |
| --- | ---: | --- | ---: | ---: | --- | --- |"""


class Job:
    """A job under way; all of its processes can be told by a mark in their environment."""

    def __init__(self, command: Sequence[str]) -> None:
        self.mark = f"NIN_GLUON_CHAOS={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        environment = {**one_thread(), name: value}
        self.said = ""  # what the launcher said on stderr, and the job through it
        self.started = time.monotonic()
        self.popen = subprocess.Popen([*LAUNCHER, "-n", str(WORKERS), "-s", "1", "--", *command],
                                      env=environment, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.popen.poll() is None:  # somebody stops this program: take the job along
            self.popen.terminate()
            self.popen.communicate()

    def find(self, name: str) -> Optional[int]:
        """The id of one of the job's processes, by the launcher's name for it."""
        role, _, number = name.partition(" ")
        wanted = [self.mark, f"DMLC_ROLE={role}"]
        if role == "worker":
            wanted.append(f"DMLC_WORKER_ID={number}")
        found = processes_with(*wanted)
        return found[0] if found else None

    def wait(self) -> Optional[int]:
        """The launcher's exit status; None if it hangs, and then it is killed with its job."""
        try:
            _, self.said = self.popen.communicate(timeout=PATIENCE)
            return self.popen.returncode
        except subprocess.TimeoutExpired:
            self.popen.kill()  # its guards then kill the others
            _, self.said = self.popen.communicate()
            return None

    def left(self) -> int:
        """How many processes are left; kill them, so that they do not disturb the next job."""
        pids = processes_with(self.mark)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return len(pids)


def run_to_end(command: Sequence[str], folder: Path) -> Outcome:
    """Run a job that nobody disturbs, and return what it gave."""
    with Job(command) as job:
        status = job.wait()
    if status != 0 or job.left():
        raise RuntimeError(f"status {status}: {job.said}")
    return outcome(folder)


def outcome(folder: Path) -> Outcome:
    """The log, but for the times, and the bytes of the parameters."""
    log = [(r.epoch, r.loss, r.train_acc, r.test_acc)
           for r in read_history(folder / "history.jsonl")]
    parameters, = folder.glob("model-*.params")
    return log, parameters.read_bytes()


def kill(name: str, moment: float, folder: Path, saved: bool = False,
         latest: Optional[str] = None) -> Optional[Kill]:
    """Start a job, which goes on with the run in a folder, and kill one process after `moment` s.

    The seconds count from the start of the job; if `saved`, from its first checkpoint. They are cut
    short once the checkpoint `latest` is there. Returns None if the job was faster.
    """
    before = checkpoints_in(folder)
    with Job(command_for(folder)) as job:
        while saved and job.popen.poll() is None and checkpoints_in(folder) == before:
            time.sleep(0.01)
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and job.popen.poll() is None:
            if latest and max(checkpoints_in(folder), default="") >= latest:
                break
            time.sleep(0.01)
        pid = job.find(name)
        while pid is None and job.popen.poll() is None:  # it is still to be started
            time.sleep(0.01)
            pid = job.find(name)
        try:
            if pid is None:
                raise ProcessLookupError
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            job.wait()
            return None
        killed = time.monotonic()
        status = job.wait()
        ended = time.monotonic() - killed
    checkpoints = checkpoints_in(folder)
    result = Kill(name, killed - job.started, checkpoints[-1] if checkpoints else "", ended,
                  job.left(), status)
    if status is None or ended > END_SECONDS:
        result.escapes.append(f"the job did not end within {END_SECONDS:.0f} s")
    if result.left:
        result.escapes.append("processes left")
    if "Traceback" in job.said:
        result.escapes.append("a traceback")
    return result


def command_for(folder: Path) -> List[str]:
    """The train command that goes on with the run in a folder, or starts it if it has not begun."""
    if (folder / "config.json").exists():
        return [*TRAIN, "--resume", str(folder)]
    return [*TRAIN, *SETTINGS, "--out", str(folder)]


def go_on(killed: Kill, folder: Path, expected: Outcome) -> None:
    """Let the run of a killed job end, and note what became of it."""
    try:
        if killed.status == 0:
            killed.then, got = "had done its work", outcome(folder)
        else:
            killed.then = "went on" if killed.saved else "began anew"
            got = run_to_end(command_for(folder), folder)
    except (RuntimeError, OSError, ValueError) as error:
        killed.escapes.append(f"it did not end well: {str(error)[-400:]}".replace("\n", " "))
        return
    for what, one, other in zip(("log", "parameters"), got, expected):
        if one != other:
            killed.escapes.append(f"another {what}")
    killed.then += f", {'same' if got == expected else 'NOT the same'} log and parameters"


def checkpoints_in(folder: Path) -> List[str]:
    """Names of the complete checkpoints in a run folder, oldest first."""
    return sorted(path.name for path in folder.glob("checkpoint/epoch-*"))


def undisturbed(folder: Path) -> Tuple[Outcome, float, float]:
    """What a job gives that nobody disturbs; the seconds that it takes, and those for its epochs.
    """
    started = time.monotonic()
    expected = run_to_end(command_for(folder), folder)
    whole = time.monotonic() - started
    return expected, whole, sum(r.seconds for r in read_history(folder / "history.jsonl"))


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.jobs", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="how many kills (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    args = parser.parse_args(argv)
    if not AVAILABLE:
        parser.error("finds processes in /proc, so it needs Linux")
    draw = random.Random(args.seed)
    kills: List[Kill] = []
    with tempfile.TemporaryDirectory(prefix="nin-gluon-chaos-") as temporary:
        expected, whole, epochs = undisturbed(Path(temporary, "undisturbed"))
        print(f"Jobs of {WORKERS} workers; seed {args.seed}; undisturbed, one takes "
              f"{whole:.1f} s.\n")
        print(HEADER, flush=True)
        tried = 0
        while len(kills) < args.times:
            name = PROCESSES[len(kills) % len(PROCESSES)]
            # Starting takes longer than these few epochs. So in every second round of the
            # processes the moment is one of training.
            saved = len(kills) // len(PROCESSES) % 2 == 0
            moment = draw.uniform(0, epochs if saved else whole)
            folder = Path(temporary, f"run-{tried}")
            done = kill(name, moment, folder, saved)
            tried += 1
            if done:
                go_on(done, folder, expected)
                kills.append(done)
                print(done.row(), flush=True)
    escaped = sum(bool(k.escapes) for k in kills)
    print(f"\n{len(kills)} kills, {escaped} escapes; the slowest job had ended after "
          f"{max((k.ended for k in kills), default=0):.1f} s.")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
