"""``python -m nin_gluon.launch``: start the processes of a distributed job."""

import shlex
import shutil
import sys
from typing import List, Optional, Sequence

from nin_gluon.cli import ArgumentParser, command, silence_stdout
from nin_gluon.errors import InputError
from nin_gluon.training.guard import guard
from nin_gluon.training.hosts import read_hosts
from nin_gluon.training.processes import Job, plan

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

Unless OMP_NUM_THREADS is set, the workers on one machine share its processors. When a process
fails, the launcher ends the others. Ctrl-C goes to worker 0, which saves; then all processes end.
Exit status: 0 done, that of the first process to fail (128 + n for signal n), 2 wrong request,
130 or 143 stopped.
"""


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
    if argv == ["--guard"]:  # how the launcher starts each process; see nin_gluon.training.guard
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
    job = Job(plan(args.workers, args.servers, hosts, worker_command, launch),
              tell=say, reader_gone=silence_stdout)
    status = job.run()
    # Status 1 is a run that has diverged, 2 a wrong request. Both would only happen again.
    if job.failed and status > 2 and any("nin_gluon.train" in word for word in worker_command):
        say("the run goes on from its last checkpoint with: "
            f"{launch}python -m nin_gluon.train --resume {run_folder(worker_command)}")
    return status


def run_folder(train_command: List[str]) -> str:
    """The run folder that a train command names; RUN if it names none."""
    for option in ("--resume", "--out"):
        if option in train_command[:-1]:
            return shlex.quote(train_command[train_command.index(option) + 1])
    return "RUN (worker 0 has named it)"


def say(message: str) -> None:
    print(f"nin_gluon.launch: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
