"""Distributed jobs that cost little, for tests."""

import os
import sys

from nin_gluon.training import processes
from tests.linux_processes import listening, processes_with

# The launcher, with less patience. A worker whose peer is gone waits inside MXNet for a sum that
# never comes, so SIGTERM does not end it and the launcher waits in vain before it kills.
LAUNCH = [sys.executable, "-c", """
import sys
from nin_gluon import launch
from nin_gluon.training import processes
processes.END_SECONDS = 0.5
sys.exit(launch.main())
"""]

# The launcher for workers that do not use MXNet.
LAUNCH_WITH_SLEEPERS = [sys.executable, "-c", """
import sys
from nin_gluon import launch
from tests import small_jobs
launch.plan = small_jobs.plan_with_sleepers
sys.exit(launch.main())
"""]

# The train command as users have it, but for the slim net, few images and no pictures. The
# launcher takes it for the train command by its module's name, so it gets the same servers, too.
TRAIN = [sys.executable, "-c", """
import sys
from tests import slim_nin
slim_nin.no_pictures()
slim_nin.small_sample()
slim_nin.slim("mxnet")
from nin_gluon.train import main
sys.exit(main())
"""]


def one_thread():
    """The environment for such a job: its nets are too small for more threads."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def plan_with_sleepers(*args, serve):
    """`processes.plan`, with servers and a scheduler that only sleep, and start in no time."""
    plans = processes.plan(*args, serve)
    for process in plans:
        if process.role != "worker":
            process.order.command[:] = ["sleep", "1000"]
    return plans


def sockets_by_role(mark, launcher):
    """The sockets on which the scheduler, the servers and the workers of a job listen.

    Parameters
    ----------
    mark : str
        A NAME=VALUE pair in the environment of all its processes.
    launcher : int
        Its process id. Neither the launcher nor the guards may listen.
    """
    found = {role: [socket for pid in processes_with(mark, f"DMLC_ROLE={role}")
                    for socket in listening([pid])] for role in ("scheduler", "server", "worker")}
    everywhere = listening({launcher, *processes_with(mark)})
    assert sorted(everywhere) == sorted(sum(found.values(), []))
    return found
