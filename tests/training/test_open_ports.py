"""Two jobs: on which addresses their processes really listen, and what their servers do.

Linux says where a process listens; the tests read that while the job runs.
"""

import ipaddress
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from nin_gluon.training.hosts import address_for
from tests import forked_python, small_jobs
from tests.linux_processes import AVAILABLE, address_of

needs_linux = pytest.mark.skipif(not AVAILABLE, reason="looks into Linux's /proc")

# Worker 1 is late with each of its sums, and worker 0 does not wait. At last worker 0 sends the
# servers a pickle of its own making, as MXNet sends an optimizer.
HOSTILE = """
import os, pickle, sys, time
import nin_gluon
from mxnet import nd
from nin_gluon.training import workers

class Payload:
    def __reduce__(self):
        return open, (sys.argv[2], "w")

worker = workers.join("dist_sync")
sums = []
for step in range(1, 7):
    time.sleep(0.1 * worker.rank)
    sums.append(worker.all_reduce([nd.array([step * 1000 ** worker.rank, 1, 0.75])]))
print([total.asnumpy().tolist() for total in sums], flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
if worker.rank == 0:
    worker.kvstore._send_command_to_servers(0, pickle.dumps(Payload(), 0).decode())
time.sleep(1000)
"""

# Workers that let the servers update the parameters: no command of ours does.
UPDATED = """
import os, sys, time
import nin_gluon
import mxnet as mx
store = mx.kv.create("dist_sync")
store.set_optimizer(mx.optimizer.SGD(learning_rate=0.5))
weight = mx.nd.zeros(1)
store.init(0, weight)
store.push(0, mx.nd.ones(1))
store.pull(0, weight)
print("weight", weight.asscalar(), flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
"""


def look_at_job(folder, launcher_options, code, *arguments, **environment):
    """Run a job of two workers, which print a line; look at it, and then let it go on to its end.

    The workers go on when the file exists that is their first argument.

    Returns
    -------
    SimpleNamespace
        sockets: those on which it listens, by role (on Linux only); said: the workers' lines;
        error, status: the launcher's.
    """
    mark, go = uuid.uuid4().hex, folder / "go"
    job = subprocess.Popen(
        [*small_jobs.LAUNCH, "-n", "2", *launcher_options, "--", sys.executable, "-c", code,
         str(go), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**small_jobs.one_thread(), "NIN_GLUON_TEST": mark, **environment})
    try:
        said = sorted(job.stdout.readline() for _ in range(2))
        sockets = AVAILABLE and small_jobs.sockets_by_role(f"NIN_GLUON_TEST={mark}", job.pid)
        go.touch()
        _, error = job.communicate(timeout=60)
    finally:
        job.kill()  # and so all of the job, should it still run
    return SimpleNamespace(sockets=sockets, said=said, error=error, status=job.returncode)


def hostile_job(place):
    # Each of these once made some process listen on an address that other machines reach.
    environment = {"DMLC_USE_KUBERNETES": "1", "DMLC_INTERFACE": "eth0",
                   "DMLC_NODE_HOST": "192.0.2.1"}
    # The launcher takes this for the train command, by the word at the end.
    return vars(look_at_job(Path(place), [], HOSTILE, str(Path(place, "made")), "nin_gluon.train",
                            **environment))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A job on this machine, with the servers that the train command gets."""
    folder = tmp_path_factory.mktemp("here")
    job = SimpleNamespace(**forked_python.call(hostile_job, folder))
    job.made = folder / "made"
    return job


@pytest.fixture(scope="module")
def over_machines(tmp_path_factory):
    """A job on two machines, with MXNet's own servers.

    The machines are played by this one: ssh is a script that runs the command here. If this
    machine has no network, the job runs without it.
    """
    folder = tmp_path_factory.mktemp("machines")
    ssh = folder / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\ncd / && exec env -i PATH=/usr/bin:/bin sh -c "$2"\n')
    ssh.chmod(0o755)
    (folder / "hosts").write_text("one.invalid\nme@two.invalid\n")
    root = address_for(["one.invalid"])
    network = not ipaddress.ip_address(root).is_loopback
    job = look_at_job(folder, ["-s", "2", *(["-H", str(folder / "hosts")] if network else [])],
                      UPDATED, DMLC_USE_KUBERNETES="1",
                      PATH=f"{ssh.parent}{os.pathsep}{os.environ['PATH']}")
    job.root, job.network = root, network
    return job


@needs_linux
def test_a_job_on_one_machine_listens_on_the_loopback_address_only(here):
    """In an environment that asks for more; test_workers.py has one that does not."""
    assert [len(sockets) for sockets in here.sockets.values()] == [1, 1, 2]  # one each
    for address, _ in sum(here.sockets.values(), []):
        assert ipaddress.ip_address(address).is_loopback
    assert "opens" not in here.error  # there is nothing to say


@needs_linux
def test_over_several_machines_what_opens_is_what_the_launcher_said(over_machines):
    if not over_machines.network:
        pytest.skip("this machine has no network")
    sockets, error, root = over_machines.sockets, over_machines.error, over_machines.root
    said = re.match(r"nin_gluon.launch: opens TCP ports that ask for no password: (\S+):(\d+) "
                    r"here, and one for each server and worker, which the system picks, on "
                    r"one\.invalid, me@two\.invalid\. Whoever reaches one can ", error)
    assert said, error
    assert sockets["scheduler"] == [(said[1], int(said[2]))] and said[1] == root
    assert [len(of_role) for of_role in sockets.values()] == [1, 2, 2]
    # "One": on the address towards the scheduler, and no other.
    assert {address for address, _ in sum(sockets.values(), [])} == {root}


def test_sums_are_of_one_step_of_every_worker_however_late_one_is(here):
    expected = [[step * 1001.0, 2.0, 1.5] for step in range(1, 7)]
    assert here.said == [f"worker {n} | {expected}\n" for n in (0, 1)], here.error


def test_a_server_runs_nothing_that_it_is_sent(here):
    assert here.status == 2
    assert "server 0 | refused a command to the servers, because it could run code" in here.error
    assert "server 0 ended with status 2; ending the other processes" in here.error
    assert not here.made.exists()


def test_other_commands_may_have_their_optimizer_on_the_servers(over_machines):
    said = [f"worker {n} | weight -1.0\n" for n in (0, 1)]  # 0 - 0.5 * the sum of two ones
    assert (over_machines.status, over_machines.said) == (0, said), over_machines.error


@pytest.mark.skipif(sys.byteorder != "little", reason="the texts are of such a machine")
@pytest.mark.parametrize("text, address", [
    ("0100007F", "127.0.0.1"),
    ("00000000", "0.0.0.0"),
    ("00000000000000000000000001000000", "::1"),
    ("0000000000000000FFFF00000100007F", "127.0.0.1"),  # IPv4, through an IPv6 socket
])
def test_addresses_of_proc_net(text, address):
    assert address_of(text) == address
