"""Two processes that torchrun starts train the net of one process with the doubled batch."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nin_gluon import train
from nin_gluon.training.history import parse_log, read_history
from tests import slim_nin

pytest.importorskip("torch")

# Without dropout, whose masks differ from process to process.
OPTIONS = ["--engine", "torch", "--model", "cifar_nin,dropout=0", "--preset", "paper-quick",
           "--dataset", "sample", "--resize", "28", "--limit", "42", "--epochs", "2", "--augment",
           "none", "--init", "he", "--lr", "0.01", "--ctx", "cpu", "--no-progress"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0",
       "--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0", "-m", "tests.slim_nin", "train"]


def run(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The folder of a run in one process, this one, with batches of 8."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    with pytest.MonkeyPatch.context() as patch:
        slim_nin.small_sample(setitem=patch.setitem)
        assert train.main([*OPTIONS, "--batch-size", "8", "--out", str(folder)]) == 0
    return folder


def assert_same_run(one, other):
    """Up to rounding: the gradients are added up in another order."""
    log, other_log = (read_history(folder / "history.jsonl") for folder in (one, other))
    assert len(log) == len(other_log) == 2
    for record, other_record in zip(log, other_log):
        assert record.loss == pytest.approx(other_record.loss, rel=1e-4)
        assert record.train_acc == pytest.approx(other_record.train_acc, abs=0.03)
    parameters, others = (load_file(folder / "model-0002.safetensors") for folder in (one, other))
    for name, value in parameters.items():
        np.testing.assert_allclose(value, others[name], rtol=1e-2,
                                   atol=1e-3 * np.abs(value).max())


def process_of(folder, rank):
    """The process id of a worker of the job that trains in this folder."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if (f"RANK={rank}" in Path(f"/proc/{pid}/environ").read_text().split("\0")
                    and str(folder) in Path(f"/proc/{pid}/cmdline").read_text().split("\0")):
                return int(pid)
        except (OSError, UnicodeDecodeError):
            continue
    raise AssertionError(f"no process {rank}")


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="looks into Linux's /proc")
def test_two_processes_train_as_one_though_one_was_killed(one_process, tmp_path, capsys):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [*TWO, *OPTIONS, "--batch-size", "4", "--checkpoint-every", "1", "--out", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.time() + 200
    while not list(folder.glob("checkpoint/epoch-0001-step-00000[2-5]")):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.01)
    os.kill(process_of(folder, 1), signal.SIGKILL)
    _, error = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "go on with: torchrun --nproc_per_node 2 --no-python" in error
    assert train.main(["--resume", str(folder)]) == 2  # a single process cannot go on with it
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "go on with it torchrun --nproc_per_node 2 --no-python" in error

    job = run([*TWO, "--resume", str(folder)])
    assert job.returncode == 0, job.stderr
    lines = job.stdout.splitlines()
    assert lines[0] == "training on cpu(0)" and len(parse_log(job.stdout)) == 2  # process 0 speaks
    assert_same_run(folder, one_process)
    config = json.loads((folder / "config.json").read_text())
    assert (config["workers"], config["batch_size"]) == (2, 4)


def test_a_worker_that_succeeded_does_not_take_the_interpreter_down():
    """gloo's threads, which still run, may abort it there; os.abort stands for them."""
    worker = ("import atexit, os, torch\n"
              "from nin_gluon.training import torch_workers\n"
              "atexit.register(os.abort)\n"
              "torch_workers.join(torch.device('cpu')).wait_at_exit(True)\n"
              "print('the last line')\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ended = subprocess.run([sys.executable, "-c", worker], capture_output=True, text=True,
                           timeout=120, env={**os.environ, **alone})
    assert (ended.returncode, ended.stdout) == (0, "the last line\n"), ended.stderr
