"""``python -m nin_gluon.launch``: start the processes of a distributed job."""

import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from nin_gluon.cli import ArgumentParser, command, silence_stdout
from nin_gluon.errors import InputError
from nin_gluon.training.guard import guard
from nin_gluon.training.hosts import is_loopback, read_hosts
from nin_gluon.training.processes import Job, ProcessPlan, plan
from nin_gluon.training.server import serve, serve_any

DESCRIPTION = """\
Start a distributed job on MXNet's parameter servers: a scheduler, servers, and workers, which run
COMMAND. The worker's number stands before each line that it prints.

  python -m nin_gluon.launch -n 2 -s 1 -- python -m nin_gluon.train --kvstore dist_sync
                                                   two workers on this machine
  python -m nin_gluon.launch -n 4 -s 2 -H hosts -- python -m nin_gluon.train --kvstore dist_sync
                                                   on the machines named in the file hosts
"""

EPILOG = """\
The hosts file has one host on a line, in any form that ssh takes (such as user@host); ssh must not
ask for a password. # starts a comment. Workers and servers take turns on the hosts, worker 0 on the
first; the scheduler runs here. Each host needs this Python at the same path, and this folder. A run
resumes from the folder that worker 0 wrote, which all workers must see. ssh passes on
OMP_NUM_THREADS, PYTHONPATH, and variables that begin with NIN_GLUON_, MXNET_, DMLC_ or PS_.

MXNet's processes ask for no password. On this machine alone they listen on 127.0.0.1 only; with a
hosts file the launcher first says which ports they open (see SECURITY.md).

Unless OMP_NUM_THREADS is set, the workers on one machine share its processors. When a process
fails, the launcher ends the others. Ctrl-C goes to worker 0, which saves; then all processes end.
Exit status: 0 done, that of the first process to fail (128 + n for signal n), 2 wrong request,
130 or 143 stopped.
"""


# How the launcher starts each process of a job, through itself.
INNER: Dict[str, Callable[[], Optional[int]]] = {
    "--guard": guard, "--serve": serve, "--serve-any": serve_any}


def build_parser() -> ArgumentParser:
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
def main(argv: Optional[Sequence[str]] = None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    if len(argv) == 1 and argv[0] in INNER:
        return INNER[argv[0]]() or 0
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
    trains = is_train_command(worker_command)
    # Other commands may want their optimizer to run on the servers, which takes MXNet's own.
    plans = plan(args.workers, args.servers, hosts, worker_command, launch,
                 serve="--serve" if trains else "--serve-any")
    say_what_opens(plans)
    job = Job(plans, tell=say, reader_gone=silence_stdout)
    status = job.run()
    # Status 1 is a run that has diverged, 2 a wrong request. Both would only happen again.
    if job.failed and status > 2 and trains:
        say_how_to_go_on(launch, run_folder(worker_command), here=args.hostfile is None)
    return status


def is_train_command(command: List[str]) -> bool:
    """Whether the workers run ``python -m nin_gluon.train`` or ``nin-gluon train``."""
    verb = [os.path.basename(word) for word in command[:2]] == ["nin-gluon", "train"]
    return verb or any("nin_gluon.train" in word for word in command)


def say_what_opens(plans: List[ProcessPlan]) -> None:
    """Before the ports of a job on several machines are open, say which they are."""
    root, port = (plans[0].order.environment[f"DMLC_PS_ROOT_{name}"] for name in ("URI", "PORT"))
    if is_loopback(root):
        return
    hosts = ", ".join(dict.fromkeys(p.host for p in plans if p.host))
    say(f"opens TCP ports that ask for no password: {root}:{port} here, and one for each server "
        f"and worker, which the system picks, on {hosts}. Whoever reaches one can change the net, "
        "or worse; let only these machines reach them (see SECURITY.md)")


def say_how_to_go_on(launch: str, folder: Optional[str], here: bool) -> None:
    """After a failure, say what continues the run; `here` if its folder is on this machine."""
    if folder and here and not Path(folder, "config.json").exists():
        say("the run had not begun; start it again")
        return
    shown = shlex.quote(folder) if folder else "RUN (worker 0 has named it)"
    say("the run goes on from its last checkpoint with: "
        f"{launch}python -m nin_gluon.train --resume {shown}")


def run_folder(train_command: List[str]) -> Optional[str]:
    """The run folder that a train command names, if it names one."""
    for option in ("--resume", "--out"):
        if option in train_command[:-1]:
            return train_command[train_command.index(option) + 1]
    return None


def say(message: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it; the job has to be ended all the same
        print(f"nin_gluon.launch: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
