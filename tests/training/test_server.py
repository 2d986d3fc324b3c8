"""The servers of a job that trains add up, and run nothing that they are sent."""

import os
import subprocess
import sys

import pytest

from nin_gluon import launch

# A worker that sends the servers a pickle of its own making, as MXNet sends an optimizer.
HOSTILE = """
import pickle, sys
import nin_gluon
import mxnet as mx
class Payload:
    def __reduce__(self):
        return open, (sys.argv[1], "w")
store = mx.kv.create("dist_sync")
store._send_command_to_servers(0, pickle.dumps(Payload(), 0).decode())
"""

# A worker that lets the servers update the parameters: no command of ours does.
UPDATED = """
import nin_gluon
import mxnet as mx
store = mx.kv.create("dist_sync")
store.set_optimizer(mx.optimizer.SGD(learning_rate=0.5))
weight = mx.nd.zeros(1)
store.init(0, weight)
store.push(0, mx.nd.ones(1))
store.pull(0, weight)
print("weight", weight.asscalar())
"""


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", "nin_gluon.launch", "-n", "1", "--", sys.executable, "-c", *command],
        capture_output=True, text=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_server_runs_nothing_that_it_is_sent(tmp_path):
    # The launcher takes this for the train command, by the word at the end.
    job = run(HOSTILE, str(tmp_path / "made"), "nin_gluon.train")
    assert job.returncode == 2
    assert "server 0 | refused a command to the servers, because it could run code" in job.stderr
    assert "server 0 ended with status 2; ending the other processes" in job.stderr
    assert not (tmp_path / "made").exists()


def test_other_commands_may_have_their_optimizer_on_the_servers(tmp_path):
    job = run(UPDATED)
    assert (job.returncode, job.stdout) == (0, "worker 0 | weight -0.5\n"), job.stderr


@pytest.mark.parametrize("command, trains", [
    (["python", "-m", "nin_gluon.train", "--epochs", "1"], True),
    (["nin-gluon", "train"], True),
    (["/usr/bin/nin-gluon", "train", "--epochs", "1"], True),
    (["nin-gluon", "shapes"], False),
    (["python", "mine.py"], False),
])
def test_which_commands_train(command, trains):
    assert launch.is_train_command(command) == trains
