"""A few of the kills of `make chaos`, each of a process of its own kind."""

import random

import pytest

from tests.chaos import jobs
from tests.linux_processes import AVAILABLE

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="looks into Linux's /proc")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return jobs.undisturbed(tmp_path_factory.mktemp("runs") / "undisturbed")


@pytest.mark.parametrize("name, saved", [
    ("scheduler", False),  # at any moment
    ("server 0", True),  # after the first checkpoint; tests of the workers kill one of those
])
def test_a_killed_process_ends_its_job_and_the_run_goes_on(name, saved, undisturbed, tmp_path):
    expected, whole, epochs = undisturbed
    for attempt in range(10):
        moment = random.uniform(0, epochs if saved else whole)
        done = jobs.kill(name, moment, tmp_path / f"run-{attempt}", expected, saved)
        if done:
            break
    assert done, "the jobs were always faster"
    print(done.row())  # pytest shows it if the test fails
    assert done.escapes == []
    assert done.ended < 30 and done.left == 0
    assert done.then.endswith("same log and parameters")
