"""The processes of a distributed job: a scheduler, servers and workers, each behind a guard."""

import contextlib
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import IO, Callable, Iterator, List, Optional, Sequence, TextIO

from nin_gluon.errors import why
from nin_gluon.runtime import THREADS_GIVEN
from nin_gluon.training.guard import Order, shell_status
from nin_gluon.training.hosts import address_for, free_port

__all__ = ["Job", "Process", "ProcessPlan", "plan"]

# The command whose --guard, --serve and --serve-any start guards, servers and the scheduler.
LAUNCHER = [sys.executable, "-m", "nin_gluon.launch"]

# Variables that go to other machines, by the beginning of their names.
PASSED_ON = ("NIN_GLUON_", "MXNET_", "DMLC_", "PS_")

SAVE_SECONDS = 30.0  # for worker 0 to finish its step and save after Ctrl-C
END_SECONDS = 5.0  # for processes to end after SIGTERM
KILL_SECONDS = 2.0  # and after SIGKILL
LEAVE_SECONDS = 2.0  # for servers and scheduler to end once the workers are done


@dataclass(frozen=True)
class ProcessPlan:
    """One process of a job, before it is started."""

    role: str  # scheduler, server or worker
    number: int  # among those of its role
    host: Optional[str]  # None for this machine
    order: Order

    @property
    def name(self) -> str:
        """What the user reads: ``scheduler``, ``server 0``, ``worker 1``."""
        return self.role if self.role == "scheduler" else f"{self.role} {self.number}"


def plan(workers: int, servers: int, hosts: Sequence[Optional[str]], worker_command: List[str],
         launch: str, serve: str = "--serve") -> List[ProcessPlan]:
    """Plan the processes of a job: the scheduler, then the servers, then the workers.

    Parameters
    ----------
    workers, servers : int
        How many of each.
    hosts : sequence of str or None
        Workers and servers take turns on these hosts. ``[None]`` is this machine. The scheduler
        always runs here.
    worker_command : list of str
        What the workers run.
    launch : str
        How the user called the launcher, up to the workers' command.
    serve : str
        The launcher's own option for servers and scheduler. ``--serve`` runs no code that comes
        over the network; ``--serve-any`` is MXNet's own server, which unpickles what it is sent.
    """
    named = [host for host in hosts if host is not None]
    root = address_for(named) if named else "127.0.0.1"
    shared = {
        "DMLC_NUM_WORKER": str(workers), "DMLC_NUM_SERVER": str(servers),
        "DMLC_PS_ROOT_URI": root, "DMLC_PS_ROOT_PORT": str(free_port(root)),
        "NIN_GLUON_LAUNCH": launch,
        "PYTHONUNBUFFERED": "1",  # so that lines come when they are printed
    }
    worker_hosts = [hosts[i % len(hosts)] for i in range(workers)]
    server_hosts = [hosts[i % len(hosts)] for i in range(servers)]

    def one(role: str, number: int, host: Optional[str]) -> ProcessPlan:
        environment = {**shared, "DMLC_ROLE": role}
        if role == "worker":
            environment["DMLC_WORKER_ID"] = str(number)
        # Only the workers share the processors: servers work while the workers wait.
        return ProcessPlan(role, number, host, Order(
            command=worker_command if role == "worker" else [*LAUNCHER, serve],
            environment=environment, sharers=max(1, worker_hosts.count(host)),
            remote=host is not None))

    return [one("scheduler", 0, None),
            *(one("server", i, host) for i, host in enumerate(server_hosts)),
            *(one("worker", i, host) for i, host in enumerate(worker_hosts))]


class Job:
    """The processes of a job, from the start of the first to the end of the last.

    Parameters
    ----------
    plans : list of ProcessPlan
        From `plan`.
    tell : callable
        Called with a sentence for the user when the job is stopped or a process fails.
    reader_gone : callable
        Called when our standard output takes no more: nobody reads it, or the disk is full.

    Attributes
    ----------
    failed : Process or None
        The first process that failed, if one did.
    """

    def __init__(self, plans: Sequence[ProcessPlan], tell: Callable[[str], None],
                 reader_gone: Callable[[], None]) -> None:
        self.plans, self.tell, self.reader_gone = plans, tell, reader_gone
        self.processes: List[Process] = []
        self.ended: queue.Queue[Process] = queue.Queue()
        self.stop: Optional[int] = None  # the signal that came
        self.failed: Optional[Process] = None

    def run(self) -> int:
        """Start all processes, wait until they have ended, and return the job's exit status."""
        before = {s: signal.signal(s, self.note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            for process_plan in self.plans:
                self.processes.append(Process(process_plan, self.ended.put, self.output_closed))
            return self.attend()
        finally:
            self.end_all()
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def note(self, signum: int, frame: object = None) -> None:
        """Note the first signal. Others follow: make and shells send theirs to a whole group."""
        self.stop = self.stop or signum

    def output_closed(self, error: OSError) -> None:
        """Stop the job, because its output goes nowhere."""
        if not self.stop and not isinstance(error, BrokenPipeError):
            self.tell(f"standard output cannot be written: {why(error)}")
        self.reader_gone()
        self.note(signal.SIGPIPE)

    def attend(self) -> int:
        """Wait until the workers are done, a process fails, or a signal comes."""
        workers = [process for process in self.processes if process.plan.role == "worker"]
        left = len(workers)
        while left:
            if self.stop:
                return self.stop_after_saving(workers[0], self.stop)
            with contextlib.suppress(queue.Empty):
                process = self.ended.get(timeout=0.1)
                if process.status:
                    self.failed = process
                    self.tell(f"{process.plan.name} {process.ending()}; ending the other processes")
                    return process.status
                left -= process.plan.role == "worker"
        # Servers and scheduler end by themselves if the workers have used them.
        wait_for(self.processes, LEAVE_SECONDS)
        return 128 + self.stop if self.stop else 0

    def stop_after_saving(self, first: "Process", signum: int) -> int:
        """Let worker 0 save. The others keep running, because it needs them to finish its step."""
        self.tell("stopping: worker 0 may finish its step and save")
        first.signal(signal.SIGTERM if signum == signal.SIGPIPE else signum)
        wait_for([first], SAVE_SECONDS)
        return 128 + signum

    def end_all(self) -> None:
        """End all processes: SIGTERM, then SIGKILL, then SIGKILL to guards that do not answer."""
        for signum, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            for process in self.processes:
                process.signal(signum)
            if wait_for(self.processes, seconds):
                return
        for process in self.processes:
            process.popen.kill()
        wait_for(self.processes, KILL_SECONDS)


class Process:
    """A running process of a job, behind its guard.

    Parameters
    ----------
    plan : ProcessPlan
    ended : callable
        Called with this process once it has ended and all of its output has been passed on.
    output_closed : callable
        Called when our own standard output takes no more.

    Attributes
    ----------
    status : int or None
        The exit status, 128 + n for signal n; None while the process runs.
    """

    printing = threading.Lock()  # one for all processes, so that lines stay whole

    def __init__(self, plan: ProcessPlan, ended: "Callable[[Process], None]",
                 output_closed: Callable[[OSError], None]) -> None:
        self.plan, self.output_closed = plan, output_closed
        self.status: Optional[int] = None
        environment = dict(os.environ)
        if THREADS_GIVEN is None:  # then the value is ours, and only right for this process
            environment.pop("OMP_NUM_THREADS", None)
        passed_on = {name: value for name, value in environment.items()
                     if name == "OMP_NUM_THREADS" or name.startswith(PASSED_ON)}
        self.popen = subprocess.Popen(
            guard_command(plan.host), env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        order = replace(plan.order, environment={**passed_on, **plan.order.environment})
        self.write(order.to_line())
        threading.Thread(target=self.attend, args=(ended,), daemon=True).start()

    def attend(self, ended: "Callable[[Process], None]") -> None:
        """Pass the output on until the process ends; then report it."""
        pumps = [threading.Thread(target=self.pump, args=streams, daemon=True)
                 for streams in ((self.popen.stdout, sys.stdout), (self.popen.stderr, sys.stderr))]
        for pump in pumps:
            pump.start()
        status = self.popen.wait()
        for pump in pumps:
            pump.join(1)  # a process that has left its group may hold the pipe open
        self.status = shell_status(status)
        ended(self)

    def pump(self, source: IO[bytes], sink: TextIO) -> None:
        """Pass lines on, each with the process's name before it."""
        for line in lines_of(source.fileno()):
            with self.printing:
                try:
                    sink.buffer.write(f"{self.plan.name} | ".encode() + line + b"\n")
                    sink.flush()
                except OSError as error:  # go on reading, or the process would wait for us
                    if sink is sys.stdout:
                        self.output_closed(error)

    def signal(self, signum: int) -> None:
        """Have the guard send a signal to the process and its children."""
        if self.status is None:
            self.write(f"{int(signum)}\n".encode())

    def write(self, line: bytes) -> None:
        """Send the guard a line."""
        assert self.popen.stdin is not None  # it is a pipe
        with contextlib.suppress(OSError):  # the guard may have ended just now
            self.popen.stdin.write(line)
            self.popen.stdin.flush()

    def ending(self) -> str:
        """How the process ended, as the rest of a sentence that starts with its name."""
        assert self.status is not None
        host = self.plan.host
        where = f"on {host} " if host else ""
        if host and self.status == 255:
            return f"{where}ended with ssh's own status 255 (does ssh {host} work, unasked?)"
        with contextlib.suppress(ValueError):
            name = signal.Signals(self.status - 128).name
            return f"{where}was killed by signal {self.status - 128} ({name})"
        return f"{where}ended with status {self.status}"


def wait_for(processes: Sequence[Process], seconds: float) -> bool:
    """Wait until these processes have ended, but not longer than `seconds`; return whether."""
    deadline = time.monotonic() + seconds
    while any(process.status is None for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def guard_command(host: Optional[str]) -> List[str]:
    """The command that starts a guard: on this machine, or through ssh in the same folder."""
    here = [*LAUNCHER, "--guard"]
    if host is None:
        return here
    path = os.environ.get("PYTHONPATH")
    there = ["env", f"PYTHONPATH={path}", *here] if path else here
    return ["ssh", host, f"cd {shlex.quote(os.getcwd())} && {shlex.join(there)}"]


def lines_of(descriptor: int) -> Iterator[bytes]:
    """Yield the lines that come from a file descriptor, each as a terminal would leave it.

    A progress bar overwrites its line after a carriage return. Only what follows the last one is
    yielded. The bytes are not decoded, so no character is cut in two.
    """
    rest = b""
    while True:
        chunk = os.read(descriptor, 65536)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r").rpartition(b"\r")[2] for line in whole)
        rest = rest[rest.rstrip(b"\r").rfind(b"\r") + 1 :]  # drop what has been overwritten
        if not chunk:
            break
    if rest.strip():
        yield rest.rstrip(b"\r")
