"""A few of the kills of `make chaos`, each of a process of its own kind."""

import random
from pathlib import Path

import pytest

from tests import forked_python, small_jobs
from tests.chaos import jobs
from tests.linux_processes import AVAILABLE


@pytest.mark.skipif(not AVAILABLE, reason="looks into Linux's /proc")
def test_killed_processes_end_their_jobs_and_the_run_goes_on(tmp_path):
    """A server, and then, in the job that goes on, the scheduler. The run has two epochs.

    The server is killed after the first checkpoint, the scheduler at any moment, but early enough
    that something is left to do, however fast the machine is just now. Tests of the workers kill
    one of those.
    """
    forked_python.call(kill_server_and_scheduler, tmp_path)


def kill_server_and_scheduler(place):
    jobs.SETTINGS = (*jobs.SETTINGS, "--epochs", "2")
    expected, whole, epochs = jobs.undisturbed(Path(place, "undisturbed"))
    jobs.LAUNCHER = small_jobs.LAUNCH  # waits less until it kills
    seed = 1
    print(f"moments of seed {seed}")  # pytest shows it if the test fails
    draw = random.Random(seed)
    for attempt in range(10):
        folder = Path(place, f"run-{attempt}")
        server = jobs.kill("server 0", draw.uniform(0, epochs / 2), folder, saved=True,
                           latest="epoch-0001-step-000007")
        scheduler = server and jobs.kill("scheduler", draw.uniform(0, whole), folder,
                                         latest="epoch-0002-step-000004")
        if scheduler:
            break
    assert scheduler, "the jobs were always faster"
    jobs.go_on(scheduler, folder, expected)
    for done in (server, scheduler):
        print(done.row())
        assert done.escapes == []
        assert done.ended < 30 and done.left == 0
    assert scheduler.then.endswith("same log and parameters")
