"""``python -m nin_gluon.launch``: the scheduler, servers and workers of a distributed job.

Each process runs behind a guard: ``python -m nin_gluon.launch --guard``, here or at the far end of
an ssh connection. The guard learns on its standard input what to run, and then which signals to
pass on. When its input ends, because the launcher or the connection is gone, it kills what it
guards. So one mechanism serves both cases, and no process outlives the launcher.
"""

import contextlib
import ctypes
import io
import json
import os
import queue
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from nin_gluon.cli import ArgumentParser, command, silence_stdout
from nin_gluon.errors import InputError
from nin_gluon.runtime import THREADS_GIVEN, available_cpus

DESCRIPTION = """\
Start a distributed job on MXNet's parameter servers: a scheduler, servers, and workers, which run
COMMAND. Each line they print comes with the worker's number before it.

  python -m nin_gluon.launch -n 2 -s 1 -- python -m nin_gluon.train --kvstore dist_sync
                                                   two workers on this machine
  python -m nin_gluon.launch -n 4 -s 2 -H hosts -- python -m nin_gluon.train --kvstore dist_sync
                                                   on the machines named in the file hosts
"""

EPILOG = """\
The hosts file has one host a line, as ssh knows it (user@host will do), where no password is asked
for; # starts a comment. Workers and servers are dealt to the hosts in turn, worker 0 to the first;
the scheduler runs here. Each host needs this Python at the same path and this folder; a run is
resumed from the folder that worker 0 wrote, which all workers must see. Passed on by ssh:
OMP_NUM_THREADS, PYTHONPATH, and what begins with NIN_GLUON_, MXNET_, DMLC_ or PS_.

Unless OMP_NUM_THREADS is set, the workers on one machine share its processors. When a process
fails, the others are ended. Ctrl-C goes to worker 0, to save; then all are ended. Exit status: 0
done, that of the first process to fail (128 + n for signal n), 2 wrong request, 130 or 143 stopped.
"""

PASSED_ON = ("NIN_GLUON_", "MXNET_", "DMLC_", "PS_")  # to other machines, by their beginning

SAVE_SECONDS = 30  # that worker 0 has after Ctrl-C to finish its step and save
END_SECONDS = 5  # that processes have to end after SIGTERM
LEAVE_SECONDS = 2  # that servers and scheduler have to end once the workers are done


def build_parser():
    parser = ArgumentParser(prog="python -m nin_gluon.launch", description=DESCRIPTION,
                            epilog=EPILOG, usage="%(prog)s -n WORKERS [-s SERVERS] [-H HOSTFILE] "
                                                 "-- COMMAND")
    add = parser.add_argument
    add("-n", "--workers", type=int, required=True, metavar="WORKERS", help="how many run COMMAND")
    add("-s", "--servers", type=int, default=1, metavar="SERVERS",
        help="how many sum the gradients (default: 1)")
    add("-H", "--hostfile", metavar="HOSTFILE",
        help="file that names the machines (default: all on this one)")
    return parser


@command
def main(argv=None):
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--guard"]:
        return guard()
    if argv == ["--serve"]:  # as scheduler or server, importing MXNet is all there is to do
        import mxnet  # noqa: F401

        return 0
    ours = argv[: argv.index("--")] if "--" in argv else argv
    args, unknown = build_parser().parse_known_args(ours)
    worker_command = argv[len(ours) + 1 :]
    for option, count in (("-n", args.workers), ("-s", args.servers)):
        if count < 1:
            raise InputError(f"{option} {count}: a job needs at least one; use {option} 1 or more.")
    if not worker_command:
        raise InputError("there is no command for the workers; put it after --, as in: python -m "
                         "nin_gluon.launch -n 2 -- python -m nin_gluon.train --kvstore dist_sync")
    if unknown:
        raise InputError(f"unknown option {unknown[0]!r}; the workers' command goes after --.")
    hosts = [None] if args.hostfile is None else read_hosts(args.hostfile)
    if args.hostfile is None and not shutil.which(worker_command[0]):
        raise InputError(f"{worker_command[0]!r} is not a command on this machine.")
    launch = f"python -m nin_gluon.launch {shlex.join(ours)} -- "
    return Job(plan(args.workers, args.servers, hosts, worker_command, launch), launch).run()


def read_hosts(path):
    """The hosts that a file names, in its order."""
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text; put one host on a line, as host or "
                         "user@host.") from None
    hosts = [line.partition("#")[0].strip() for line in lines]
    hosts = [host for host in hosts if host]
    for host in hosts:
        if len(host.split()) > 1 or host.startswith("-"):
            raise InputError(f"{path}: {host!r} is not a host; put one on a line, as host or "
                             "user@host.")
    if not hosts:
        raise InputError(f"{path} names no host; put one on a line, as host or user@host.")
    return hosts


def plan(workers, servers, hosts, worker_command, launch):
    """What each process of a job is and where, as a list of dicts for `Process`."""
    root = "127.0.0.1" if hosts == [None] else address_for(hosts)
    environment = {
        "DMLC_NUM_WORKER": str(workers), "DMLC_NUM_SERVER": str(servers),
        "DMLC_PS_ROOT_URI": root, "DMLC_PS_ROOT_PORT": str(free_port(root)),
        "NIN_GLUON_LAUNCH": launch,
        "PYTHONUNBUFFERED": "1",  # lines are to come when they are printed
    }
    serve = [sys.executable, "-m", "nin_gluon.launch", "--serve"]
    cast = [("scheduler", 0, None), *(("server", i, hosts[i % len(hosts)]) for i in range(servers)),
            *(("worker", i, hosts[i % len(hosts)]) for i in range(workers))]
    # Processes on one machine share its processors; servers work while the workers wait.
    homes = [host for role, _, host in cast if role == "worker"]
    return [{"role": role, "number": number, "host": host,
             "command": worker_command if role == "worker" else serve,
             "sharers": max(1, homes.count(host)),
             "environment": {**environment, "DMLC_ROLE": role,
                             **({"DMLC_WORKER_ID": str(number)} if role == "worker" else {})}}
            for role, number, host in cast]


def address_for(hosts):
    """This machine's address as the hosts can reach it."""
    # Where ssh alone knows the names, the address towards the rest of the world (192.0.2.1 is an
    # address kept for examples). An address for other machines comes before one for this one only.
    found = [address_towards(host.rpartition("@")[2]) for host in hosts]
    found = [address for address in found if address] or [address_towards("192.0.2.1")]
    return next((a for a in found if a and not a.startswith("127.")), found[0] or "127.0.0.1")


def address_towards(host):
    """The IPv4 address that this machine has in the direction of a host; None if there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((host, 9))  # sends nothing; chooses the interface
            return s.getsockname()[0]
    except OSError:
        return None


def free_port(address):
    """A TCP port that nobody uses now."""
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


# ------------------------------------------------------------------ the job


class Job:
    """The processes of a job, from their start to the end of the last one.

    Parameters
    ----------
    plans : list of dict
        From `plan`.
    launch : str
        How the user called the launcher, up to the workers' command.
    """

    def __init__(self, plans, launch):
        self.plans, self.launch = plans, launch
        self.processes, self.ended = [], queue.Queue()
        self.stop = None  # the signal that came

    def run(self):
        """Start all and see them to their end; return the job's exit status."""
        before = {s: signal.signal(s, self.note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            for description in self.plans:
                self.processes.append(Process(description, self.ended, self.reader_gone))
            return self.attend()
        finally:
            self.end_all()
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def note(self, signum, frame=None):
        """A signal that comes again changes nothing: make and shells send theirs to a group."""
        self.stop = self.stop or signum

    def reader_gone(self):
        """Nobody reads our output any more."""
        silence_stdout()
        self.note(signal.SIGPIPE)

    def attend(self):
        """Wait until the workers are done, a process fails, or we are told to stop."""
        workers = [process for process in self.processes if process.role == "worker"]
        left = len(workers)
        while left:
            if self.stop:
                return self.stopped(workers[0])
            with contextlib.suppress(queue.Empty):
                process = self.ended.get(timeout=0.1)
                if process.status:
                    return self.failed(process)
                left -= process.role == "worker"
        # Where the workers have used them, servers and scheduler end by themselves.
        self.wait(self.processes, LEAVE_SECONDS)
        return 0

    def stopped(self, first):
        """Let worker 0 save. The others go on meanwhile, for it needs them to finish its step."""
        say("stopping: worker 0 may finish its step and save")
        first.signal(signal.SIGTERM if self.stop == signal.SIGPIPE else self.stop)
        self.wait([first], SAVE_SECONDS)
        return 128 + self.stop

    def failed(self, process):
        """Say who failed, end the others, say how to go on."""
        say(f"{process.name} {process.end()}; ending the other processes")
        self.end_all()
        worker_command = self.plans[-1]["command"]
        if process.status > 2 and any("nin_gluon.train" in word for word in worker_command):
            say("the run goes on from its last checkpoint with: "
                f"{self.launch}python -m nin_gluon.train --resume {run_folder(worker_command)}")
        return process.status

    def wait(self, processes, seconds):
        """Wait for these to end, for some seconds at most; return whether they have."""
        deadline = time.monotonic() + seconds
        while any(process.status is None for process in processes):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def end_all(self):
        """Leave none alive: SIGTERM, then SIGKILL, and, where a guard does not answer, that too."""
        for signum, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, 2)):
            for process in self.processes:
                process.signal(signum)
            if self.wait(self.processes, seconds):
                return
        for process in self.processes:
            process.popen.kill()
        self.wait(self.processes, 2)


class Process:
    """A process of the job, behind its guard.

    Parameters
    ----------
    description : dict
        From `plan`.
    ended : queue.Queue
        The process is put here once it has ended and all of its output has been passed on.
    reader_gone : callable
        Called when our own standard output is closed.
    """

    printing = threading.Lock()

    def __init__(self, description, ended, reader_gone):
        self.role, self.host = description["role"], description["host"]
        self.name = self.role + (f" {description['number']}" if self.role != "scheduler" else "")
        self.status, self.reader_gone = None, reader_gone
        environment = dict(os.environ)
        if THREADS_GIVEN is None:  # then the number of this process is not for the others
            environment.pop("OMP_NUM_THREADS", None)
        passed_on = {name: value for name, value in environment.items()
                     if name == "OMP_NUM_THREADS" or name.startswith(PASSED_ON)}
        self.popen = subprocess.Popen(
            guard_command(self.host), env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        order = {**description, "environment": {**passed_on, **description["environment"]}}
        self.write(json.dumps(order))
        pumps = [threading.Thread(target=self.pump, args=streams, daemon=True)
                 for streams in ((self.popen.stdout, sys.stdout), (self.popen.stderr, sys.stderr))]
        threading.Thread(target=self.attend, args=(pumps, ended), daemon=True).start()

    def attend(self, pumps, ended):
        for pump in pumps:
            pump.start()
        status = self.popen.wait()
        for pump in pumps:
            pump.join(1)  # a process that has left its group may hold the pipe open
        self.status = status if status >= 0 else 128 - status
        ended.put(self)

    def pump(self, source, sink):
        """Pass lines on, each with the process's name before it."""
        for line in lines_of(source.fileno()):
            with self.printing:
                try:
                    sink.buffer.write(f"{self.name} | ".encode() + line + b"\n")
                    sink.flush()
                except BrokenPipeError:
                    if sink is sys.stdout:
                        self.reader_gone()

    def signal(self, signum):
        """Have the guard send a signal to the process and its children."""
        if self.status is None:
            self.write(str(int(signum)))

    def write(self, line):
        with contextlib.suppress(OSError):  # it may have ended just now
            self.popen.stdin.write(line.encode() + b"\n")
            self.popen.stdin.flush()

    def end(self):
        """How it ended, as a clause."""
        where = f"on {self.host} " if self.host else ""
        if self.host and self.status == 255:
            return f"{where}ended with ssh's own status 255 (does ssh {self.host} work, unasked?)"
        with contextlib.suppress(ValueError):
            name = signal.Signals(self.status - 128).name
            return f"{where}was killed by signal {self.status - 128} ({name})"
        return f"{where}ended with status {self.status}"


def guard_command(host):
    """How a guard is started: on this machine, or through ssh in the same folder."""
    ours = [sys.executable, "-m", "nin_gluon.launch", "--guard"]
    if host is None:
        return ours
    path = os.environ.get("PYTHONPATH")
    ours = ["env", f"PYTHONPATH={path}", *ours] if path else ours
    return ["ssh", host, f"cd {shlex.quote(os.getcwd())} && {shlex.join(ours)}"]


def lines_of(descriptor):
    """The lines that come from a file descriptor, as bytes, each as a terminal would leave it.

    Of a line that a progress bar has written over, that is what stands after the last carriage
    return. Characters are not decoded, so none is cut in two.
    """
    rest = b""
    while True:
        chunk = os.read(descriptor, 65536)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r").rpartition(b"\r")[2] for line in whole)
        rest = rest[rest.rstrip(b"\r").rfind(b"\r") + 1 :]  # what was written over is not kept
        if not chunk:
            break
    if rest.strip():
        yield rest.rstrip(b"\r")


def run_folder(train_command):
    """The run folder as a train command names it; RUN where it does not."""
    for option in ("--resume", "--out"):
        if option in train_command[:-1]:
            return shlex.quote(train_command[train_command.index(option) + 1])
    return "RUN (worker 0 has named it)"


def say(message):
    print(f"nin_gluon.launch: {message}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------ the guard


def guard():
    """Run what the first line of standard input describes; obey the signal numbers after it.

    Returns
    -------
    int
        The status of what was run, 128 + n for signal n.
    """
    orders = io.FileIO(0, closefd=False)  # not sys.stdin: its lock, held at exit, would be fatal
    order = json.loads(orders.readline())
    environment = {**os.environ, **order["environment"]}
    if THREADS_GIVEN is None and "OMP_NUM_THREADS" not in order["environment"]:
        environment["OMP_NUM_THREADS"] = str(max(1, available_cpus() // order["sharers"]))
    address = address_towards(environment["DMLC_PS_ROOT_URI"])
    if address and "DMLC_INTERFACE" not in environment:
        environment.setdefault("DMLC_NODE_HOST", address)
    if order["host"]:  # `python` is to be the one that runs this, in its virtual environment
        environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    try:
        child = subprocess.Popen(order["command"], env=environment, stdin=subprocess.DEVNULL,
                                 start_new_session=True, preexec_fn=die_with_parent())
    except OSError as error:
        print(f"cannot run {order['command'][0]}: {error.strerror}", file=sys.stderr)
        return 127
    threading.Thread(target=obey, args=(orders, child.pid), daemon=True).start()
    status = child.wait()
    kill_group(child.pid, signal.SIGKILL)  # what it may have left behind
    return status if status >= 0 else 128 - status


def obey(orders, group):
    """Pass on the signals whose numbers come; at the end of the input, kill."""
    for line in iter(orders.readline, b""):
        kill_group(group, int(line))
    kill_group(group, signal.SIGKILL)


def kill_group(group, signum):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signum)


def die_with_parent():
    """Function for a child to call, so that Linux kills it when its guard is killed."""
    if not sys.platform.startswith("linux"):
        return None
    libc, set_death_signal = ctypes.CDLL(None), 1  # PR_SET_PDEATHSIG
    return lambda: libc.prctl(set_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
