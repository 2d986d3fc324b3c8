"""A few of the kills of `make chaos`, in every run of the tests."""

import subprocess
import sys


def test_killed_runs_go_on_and_lose_nothing():
    done = subprocess.run([sys.executable, "-m", "tests.chaos.runs", "--times", "3", "--seed", "1"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 runs" in done.stdout and " 0 lost" in done.stdout
