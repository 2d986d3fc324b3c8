"""A few of the kills of `make chaos`, in every run of the tests."""

import contextlib
import io

from tests import forked_python
from tests.chaos import runs


def test_killed_runs_go_on_and_lose_nothing():
    status, said = forked_python.call(three_runs)
    assert status == 0, said
    assert "3 runs" in said and " 0 lost" in said


def three_runs():
    """Exit status of the command, and what it printed, in a process that has imported MXNet."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = runs.main(["--times", "3", "--seed", "1"])
    return status, said.getvalue()
