"""Processors, quotas and threads."""

import os
import subprocess
import sys

import pytest
from cuda_stub import output

from nin_gluon import runtime

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's own interfaces")

# MXNet's library alone: to import all of MXNet takes a second. test_import_hook.py does it once.
THREADS = """
import ctypes, importlib.util, os
from pathlib import Path
if {cpus}:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cpus}])
import nin_gluon
mxnet = importlib.util.find_spec("mxnet")  # the hook prepares this process
library = ctypes.CDLL(str(next(Path(mxnet.origin).parent.glob("libmxnet.*"))))
assert library.MXNDArrayWaitAll() == 0
print(os.environ["OMP_NUM_THREADS"], ctypes.CDLL("libgomp.so.1").omp_get_max_threads())
"""


@on_linux
def test_all_processors_that_the_process_may_use_get_a_thread():
    cpus = runtime.available_cpus()
    assert output("-c", THREADS.format(cpus=0)) == f"{cpus} {cpus}"


@on_linux
def test_processors_outside_the_affinity_get_no_thread():
    assert output("-c", THREADS.format(cpus=1)) == "1 1"


@on_linux
def test_the_users_number_of_threads_stays():
    assert output("-c", THREADS.format(cpus=1), OMP_NUM_THREADS="3") == "3 3"


WAITING = """
import ctypes
import nin_gluon
ctypes.CDLL("libgomp.so.1")
"""


@on_linux
@pytest.mark.parametrize("given, expected", [
    ({}, ["OMP_WAIT_POLICY = 'ACTIVE'", "GOMP_SPINCOUNT = '300000'"]),
    ({"OMP_WAIT_POLICY": "passive"}, ["OMP_WAIT_POLICY = 'PASSIVE'", "GOMP_SPINCOUNT = '0'"]),
    ({"GOMP_SPINCOUNT": "7"}, ["GOMP_SPINCOUNT = '7'"]),
])
def test_threads_wait_a_moment_unless_the_user_wants_it_otherwise(monkeypatch, given, expected):
    """As the library itself reports when it is loaded."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    program = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True,
                             env={**os.environ, "OMP_DISPLAY_ENV": "verbose", **given}, check=True)
    for line in expected:
        assert line in program.stderr


def cgroup(tmp_path, membership, files):
    """Make a cgroup tree; return what `available_cpus` takes to look there."""
    root, own = tmp_path / "fs", tmp_path / "cgroup"
    root.mkdir()
    own.write_text(membership)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root, own


@pytest.fixture
def sixteen_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.parametrize("files, cpus", [
    ({"a/b/cpu.max": "200000 100000"}, 2),
    ({"a/b/cpu.max": "max 100000"}, 16),
    ({"a/b/cpu.max": "2000000 100000"}, 16),  # above the affinity
    ({"a/b/cpu.max": "150000 100000"}, 2),
    ({"a/b/cpu.max": "10000 100000"}, 1),
    ({"a/b/cpu.max": "50000 25000"}, 2),
    ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
    ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "200000 100000"}, 2),
    ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "500000 100000"}, 2),
    ({"cpu.max": "400000 100000"}, 4),  # a container's own group is the root it sees
    ({"other/cpu.max": "100000 100000", "a/b/c/cpu.max": "100000 100000"}, 16),
    ({"a/b/cpu.max": ""}, 16),
    ({}, 16),
])
def test_quota_of_cgroup_version_2(tmp_path, sixteen_cpus, files, cpus):
    assert runtime.available_cpus(*cgroup(tmp_path, "0::/a/b\n", files)) == cpus


@pytest.mark.parametrize("files, cpus", [
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "200000",
      "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 2),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "250000",
      "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 3),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1",
      "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 16),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000",
      "cpu,cpuacct/a/cpu.cfs_quota_us": "500000",
      "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 5),
    ({"cpu/a/b/cpu.cfs_quota_us": "200000", "cpu/a/b/cpu.cfs_period_us": "100000"}, 2),
    ({"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 4),
    ({"cpu,cpuacct/a/b/cpu.cfs_quota_us": "200000"}, 16),
    ({"cpuset/x/cpu.cfs_quota_us": "100000", "cpuset/x/cpu.cfs_period_us": "100000"}, 16),
    ({}, 16),
])
def test_quota_of_cgroup_version_1(tmp_path, sixteen_cpus, files, cpus):
    membership = "5:cpuset:/x\n4:cpu,cpuacct:/a/b\n1:name=systemd:/y\n0::/z\n"
    assert runtime.available_cpus(*cgroup(tmp_path, membership, files)) == cpus


def test_no_cgroups_at_all(tmp_path, sixteen_cpus):
    assert runtime.available_cpus(tmp_path / "none", tmp_path / "neither") == 16
