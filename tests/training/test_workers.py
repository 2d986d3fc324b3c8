"""Distributed training for real: scheduler, servers and workers on this machine."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from nin_gluon import InputError, models, train
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training import gluon_run, workers
from nin_gluon.training.history import parse_log, read_history
from nin_gluon.training.run_folder import RunConfig
from tests import forked_python, slim_nin, small_jobs
from tests.linux_processes import AVAILABLE, processes_with

# The train command with a net without dropout. Masks differ from worker to worker, so with
# dropout the steps could not be compared.
NO_DROPOUT = """
import functools, sys
from tests import slim_nin
slim_nin.no_pictures()
slim_nin.small_sample()
slim_nin.slim("mxnet")
from nin_gluon import models
models.MODELS["nin"] = functools.partial(models.nin, dropout=0)
from nin_gluon.train import main
sys.exit(main())
"""
TRAIN = [sys.executable, "-c", NO_DROPOUT]

# 45 images are 5 batches of 8 and one of 5, so two workers get uneven parts of the last batch.
SETTINGS = ["--dataset", "sample", "--resize", "67", "--limit", "45", "--epochs", "2", "--init",
            "identity", "--lr", "0.02", "--momentum", "0.9", "--schedule", "cosine"]


def launched(*command, servers=1):
    return [*small_jobs.LAUNCH, "-n", "2", "-s", str(servers), "--", *command]


def run(command):
    """Run to the end."""
    return subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env=small_jobs.one_thread())


def parameters(folder):
    return [value.asnumpy() for value in nd.load(str(folder / "model-0002.params")).values()]


def assert_same_run(one, other):
    """Check that two runs agree to float tolerance: they add up in different orders."""
    log, other_log = (read_history(folder / "history.jsonl") for folder in (one, other))
    assert len(log) == len(other_log) == 2
    for record, other_record in zip(log, other_log):
        assert record.loss == pytest.approx(other_record.loss, rel=1e-5)
        assert (record.train_acc, record.test_acc) == (other_record.train_acc,
                                                       other_record.test_acc)
    assert len(parameters(one)) == 24
    for value, other_value in zip(parameters(one), parameters(other)):
        np.testing.assert_allclose(value, other_value, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The folder of a run in one process, this one, with batches of 8."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, "nin", functools.partial(models.nin, dropout=0))
        slim_nin.slim("mxnet", setattr=patch.setattr)
        slim_nin.small_sample(setitem=patch.setitem)
        slim_nin.without_pictures(patch.setattr)
        assert train.main([*SETTINGS, "--batch-size", "8", "--out", str(folder)]) == 0
    learnt = read_history(folder / "history.jsonl")
    assert learnt[1].loss < learnt[0].loss  # there is something to compare
    return folder


def test_two_workers_train_as_one_process_with_the_doubled_batch(one_process, tmp_path, capsys):
    folder = tmp_path / "run"
    job = run(launched(*TRAIN, *SETTINGS, "--kvstore", "dist_sync", "--batch-size", "4", "--out",
                       str(folder)))
    assert job.returncode == 0, job.stderr
    assert_same_run(folder, one_process)
    lines = job.stdout.splitlines()
    assert all(line.startswith("worker 0 | ") for line in lines)  # worker 1 has nothing to add
    printed = "\n".join(line.partition(" | ")[2] for line in lines)
    assert printed.startswith("training on cpu(0)\nepoch 1, loss ")
    assert list(map(str, parse_log(printed))) == \
        list(map(str, read_history(folder / "history.jsonl")))
    config = json.loads((folder / "config.json").read_text())
    assert (config["kvstore"], config["workers"], config["batch_size"]) == ("dist_sync", 2, 4)
    assert "nin_gluon.launch:" not in job.stderr
    assert train.main(["--resume", str(folder)]) == 2  # a single process cannot go on with it
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "python -m nin_gluon.launch -n 2 -s 1 -- " in error


@pytest.mark.skipif(not AVAILABLE, reason="looks into Linux's /proc")
def test_a_killed_worker_ends_the_job_and_its_checkpoint_goes_on(one_process, tmp_path):
    """With two servers, and two devices a worker."""
    forked_python.call(kill_a_worker, tmp_path / "run")
    assert_same_run(tmp_path / "run", one_process)


def kill_a_worker(run_folder):
    folder = Path(run_folder)
    os.environ["NIN_GLUON_TEST"] = run_folder
    process = subprocess.Popen(
        launched(*TRAIN, *SETTINGS, "--kvstore", "dist_device_sync", "--batch-size", "4",
                 "--ctx", "cpu(0),cpu(1)", "--checkpoint-every", "1", "--out", str(folder),
                 servers=2),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=small_jobs.one_thread())
    deadline = time.time() + 60
    while not list(folder.glob("checkpoint/epoch-0001-step-00000[2-4]")):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.002)
    worker, = processes_with("DMLC_WORKER_ID=1", f"NIN_GLUON_TEST={folder}")
    os.kill(worker, signal.SIGKILL)
    killed = time.time()
    out, error = process.communicate(timeout=60)
    assert process.returncode == 137
    assert time.time() - killed < 20
    assert "nin_gluon.launch: worker 1 was killed by signal 9 (SIGKILL)" in error
    assert f"go on with: python -m nin_gluon.launch -n 2 -s 2 -- {train.this_python()} -m " \
           f"nin_gluon.train --resume {folder}\n" in error
    assert "nin_gluon.launch: the run goes on from its last checkpoint with: python -m " \
           f"nin_gluon.launch -n 2 -s 2 -- python -m nin_gluon.train --resume {folder}\n" in error
    assert list(folder.glob("checkpoint/epoch-0001-step-*"))
    rest = run(launched(*TRAIN, "--resume", str(folder), servers=2))
    assert rest.returncode == 0, rest.stderr
    for printed in (out, rest.stdout):
        assert "worker 0 | training on cpu(0), cpu(1)\n" in printed


def test_ctrl_c_saves_and_divergence_ends_the_job(tmp_path):
    forked_python.call(stop_and_diverge, tmp_path)


def stop_and_diverge(place):
    """With dropout, as users have it."""
    stopped, diverged = Path(place, "a"), Path(place, "b")
    command = [*small_jobs.TRAIN, *SETTINGS, "--kvstore", "dist_sync", "--batch-size", "4"]
    os.environ["NIN_GLUON_TEST"] = place
    process = subprocess.Popen(launched(*command, "--epochs", "50", "--out", str(stopped)),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=small_jobs.one_thread())
    assert process.stdout.readline() == "worker 0 | training on cpu(0)\n"
    assert process.stdout.readline().startswith("worker 0 | epoch 1, loss ")
    if AVAILABLE:  # nobody but this machine can reach the job
        sockets = small_jobs.sockets_by_role(f"NIN_GLUON_TEST={place}", process.pid)
        assert [len(of_role) for of_role in sockets.values()] == [1, 1, 2]
        assert {address for address, _ in sum(sockets.values(), [])} == {"127.0.0.1"}
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "opens" not in error  # the launcher has no open port to speak of
    said = [line for line in error.splitlines() if "stopped in epoch" in line]
    assert said[0].startswith("worker 0 | ") and said[0].endswith(
        f"go on with: python -m nin_gluon.launch -n 2 -s 1 -- {train.this_python()} -m "
        f"nin_gluon.train --resume {stopped}")
    assert len(list((stopped / "checkpoint").iterdir())) == 1

    job = run(launched(*command, "--lr", "1e6", "--out", str(diverged)))
    assert job.returncode == 1
    assert "lower --lr" in job.stderr and "worker 0 ended with status 1" in job.stderr
    assert "goes on from its last checkpoint" not in job.stderr  # it would diverge again
    assert (diverged / "model-0000.params").exists()


class Store(mx.kvstore.KVStoreBase):
    """The store of a job of one, which notes what it is asked for."""

    type, rank, num_workers = "dist_sync", 0, 1

    def __init__(self):
        self.calls = []

    def is_capable(self, capability):
        return False

    def init(self, key, value):
        pass

    push = pull = init

    def broadcast(self, key, value, out, priority=0):
        self.calls.append(("parameter", key))

    def pushpull(self, key, value, out=None, priority=0):
        self.calls.append(("gradient", key))


@pytest.mark.usefixtures("slim")
def test_parameters_are_shared_before_the_first_step():
    """MXNet's trainer alone shares them in that step, where gradients can overtake them."""
    settings, store = TEXTBOOK.but(dataset="sample", resize=67, limit=8, batch_size=8), Store()
    run = gluon_run.prepare(RunConfig("", settings), [mx.cpu()], workers.Workers(store))
    assert store.calls == [("parameter", key) for key in range(24)]
    run.engine.train_step(*next(iter(run.train_iter)))
    assert store.calls[24:] == [("gradient", key) for key in range(24)]


@pytest.fixture
def as_worker(monkeypatch):
    monkeypatch.setenv("DMLC_ROLE", "worker")
    monkeypatch.setenv("DMLC_PS_ROOT_URI", "127.0.0.1")
    monkeypatch.setenv("DMLC_NUM_WORKER", "2")


def test_a_distributed_kvstore_needs_a_job(monkeypatch, capsys):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    for kind in ("dist_sync", "dist_device_sync"):
        assert train.main(["--kvstore", kind]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "python -m nin_gluon.launch -n 2 -s 1 -- python -m nin_gluon.train" in error


def test_a_job_needs_a_distributed_kvstore(as_worker):
    workers.check("dist_sync")
    with pytest.raises(InputError, match="one of 2 workers, .* use --kvstore dist_sync"):
        workers.check("device")
    with pytest.raises(InputError, match="by 3 workers; resume it with -n 3, not -n 2"):
        workers.check("dist_sync", 3)


def test_torchruns_processes_would_each_train_alone(monkeypatch):
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1")):
        workers.check("device")
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="torchrun has started 2 processes.* add --engine torch"):
        workers.check("device")


def test_one_process_is_a_job_of_one():
    alone = workers.join("device")
    assert (alone.kvstore, alone.rank, alone.count, alone.launch) == ("device", 0, 1, "")
    assert not alone.distributed
