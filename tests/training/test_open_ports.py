"""On which addresses the processes of a job really listen: read from Linux while it runs."""

import ipaddress
import os
import re
import signal
import subprocess
import sys
import uuid

import pytest

from nin_gluon.training.hosts import address_for
from tests.linux_processes import AVAILABLE, address_of, listening, processes_with

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="looks into Linux's /proc")

# A worker that has pushed and pulled through all servers, and then waits.
WORKER = """
import time
import nin_gluon
from mxnet import nd
from nin_gluon.training import workers
worker = workers.join("dist_sync")
print("sum", worker.allreduce([nd.array([1, 1, 1])]).asnumpy().tolist(), flush=True)
time.sleep(1000)
"""


@pytest.fixture
def mark(monkeypatch):
    """A value in the environment by which this test knows its processes."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("NIN_GLUON_TEST", mark)
    yield f"NIN_GLUON_TEST={mark}"
    for pid in processes_with(f"NIN_GLUON_TEST={mark}"):
        os.kill(pid, signal.SIGKILL)


def sockets_of_job(mark, *options):
    """Where the processes of a job listen, by their roles, and what the launcher says."""
    job = subprocess.Popen(
        [sys.executable, "-m", "nin_gluon.launch", "-n", "2", *options, "--", sys.executable, "-c",
         WORKER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    summed = sorted(job.stdout.readline() for _ in range(2))
    assert summed == [f"worker {n} | sum [2.0, 2.0, 2.0]\n" for n in (0, 1)]
    found = {role: [socket for pid in processes_with(mark, f"DMLC_ROLE={role}")
                    for socket in listening([pid])] for role in ("scheduler", "server", "worker")}
    # Not only MXNet's processes: the launcher and the guards listen nowhere.
    assert sorted(listening([job.pid, *processes_with(mark)])) == sorted(sum(found.values(), []))
    job.send_signal(signal.SIGINT)
    _, error = job.communicate(timeout=60)
    return found, error


@pytest.mark.parametrize("environment", [
    {},
    # Each of these once made some process listen on an address that other machines reach.
    {"DMLC_USE_KUBERNETES": "1", "DMLC_INTERFACE": "eth0", "DMLC_NODE_HOST": "192.0.2.1"},
])
def test_a_job_on_one_machine_listens_on_the_loopback_address_only(mark, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found, error = sockets_of_job(mark)
    assert [len(sockets) for sockets in found.values()] == [1, 1, 2]  # each process has one
    for address, _ in sum(found.values(), []):
        assert ipaddress.ip_address(address).is_loopback
    assert "opens" not in error  # there is nothing to say


def test_over_several_machines_what_opens_is_what_the_launcher_said(mark, monkeypatch, tmp_path):
    """Two machines are played by this one: ssh is a script that runs the command here."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\ncd / && exec env -i PATH=/usr/bin:/bin sh -c "$2"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DMLC_USE_KUBERNETES", "1")
    (tmp_path / "hosts").write_text("one.invalid\nme@two.invalid\n")
    root = address_for(["one.invalid"])
    if ipaddress.ip_address(root).is_loopback:
        pytest.skip("this machine has no network")
    found, error = sockets_of_job(mark, "-s", "2", "-H", str(tmp_path / "hosts"))
    said = re.match(r"nin_gluon.launch: opens TCP ports that ask for no password: (\S+):(\d+) "
                    r"here, and one for each server and worker, which the system picks, on "
                    r"one\.invalid, me@two\.invalid\. Whoever reaches one can ", error)
    assert said, error
    assert found["scheduler"] == [(said[1], int(said[2]))] and said[1] == root
    assert [len(sockets) for sockets in found.values()] == [1, 2, 2]
    # "One": on the address towards the scheduler, and no other.
    assert {address for address, _ in sum(found.values(), [])} == {root}


@pytest.mark.skipif(sys.byteorder != "little", reason="the texts are of such a machine")
@pytest.mark.parametrize("text, address", [
    ("0100007F", "127.0.0.1"),
    ("00000000", "0.0.0.0"),
    ("00000000000000000000000001000000", "::1"),
    ("0000000000000000FFFF00000100007F", "127.0.0.1"),  # IPv4, through an IPv6 socket
])
def test_addresses_of_proc_net(text, address):
    assert address_of(text) == address
