"""Two processes that torchrun starts train the net of one process with the doubled batch."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

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

# Jobs of two processes, one for each line of standard input, which has the train command's options.
# torchrun's own agent starts them, and ends them when one fails; but it forks them off this
# process, so PyTorch is imported only once. Answers a line with the word done or failed.
JOBS = """
import json, os, signal, sys
from pathlib import Path
signal.alarm(300)  # jobs that take so long hang: end this process, and so them
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from tests import slim_nin
slim_nin.no_pictures()
slim_nin.small_sample()
slim_nin.slim("torch")
from nin_gluon import train
import torch._dynamo  # DistributedDataParallel imports it
from nin_gluon.training import torch_run  # so that the processes need not import it
def work(folder, *options):
    Path(folder, f"process-{os.environ['RANK']}").write_text(str(os.getpid()))
    sys.exit(train.main([*options]))
config = LaunchConfig(1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", max_restarts=0,
                      monitor_interval=0.1, start_method="fork")
for line in sys.stdin:
    try:
        elastic_launch(config, work)(sys.argv[1], *json.loads(line))
        print("done", flush=True)
    except ChildFailedError:
        print("failed", flush=True)
"""


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """The folder of a run in one process, this one, with batches of 8."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    with pytest.MonkeyPatch.context() as patch:
        slim_nin.small_sample(setitem=patch.setitem)
        slim_nin.slim("torch", setattr=patch.setattr)
        slim_nin.without_pictures(patch.setattr)
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


@pytest.fixture
def jobs(tmp_path):
    """A process that runs `JOBS`; what they print to stderr is in the file stderr."""
    with open(tmp_path / "stderr", "w") as stderr, subprocess.Popen(
            [sys.executable, "-c", JOBS, str(tmp_path)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=stderr, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        yield process
        process.terminate()


def start(jobs, *options):
    jobs.stdin.write(json.dumps(options) + "\n")
    jobs.stdin.flush()


def end(jobs):
    """The lines that a job prints, and how it ended."""
    lines = []
    for line in jobs.stdout:
        if line in ("done\n", "failed\n"):
            return lines, line.strip()
        lines.append(line)
    raise AssertionError("the jobs' process has ended")


def test_two_processes_train_as_one_though_one_was_killed(one_process, jobs, tmp_path, capsys):
    folder = tmp_path / "run"
    start(jobs, *OPTIONS, "--batch-size", "4", "--checkpoint-every", "1", "--out", str(folder))
    deadline = time.time() + 200
    while not list(folder.glob("checkpoint/epoch-0001-step-00000[2-5]")):
        assert jobs.poll() is None and time.time() < deadline
        time.sleep(0.01)
    os.kill(int((tmp_path / "process-1").read_text()), signal.SIGKILL)
    _, ending = end(jobs)
    assert ending == "failed"
    error = (tmp_path / "stderr").read_text()
    assert "go on with: torchrun --nproc_per_node 2 --no-python" in error
    assert train.main(["--resume", str(folder)]) == 2  # a single process cannot go on with it
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "resume it with torchrun --nproc_per_node 2 --no-python." in error

    start(jobs, "--resume", str(folder))
    lines, ending = end(jobs)
    assert ending == "done", (tmp_path / "stderr").read_text()
    # process 0 speaks
    assert lines[0] == "training on cpu(0)\n" and len(parse_log("".join(lines))) == 2
    assert_same_run(folder, one_process)
    config = json.loads((folder / "config.json").read_text())
    assert (config["workers"], config["batch_size"]) == (2, 4)


@pytest.mark.slow
def test_the_command_line_as_documented(tmp_path):
    """torchrun itself, each process with an interpreter of its own."""
    job = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port",
         "0", "--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0", "--no-python",
         sys.executable, "-m", "nin_gluon.train", *OPTIONS, "--batch-size", "4", "--out",
         str(tmp_path / "run")], capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert job.returncode == 0, job.stderr
    assert len(parse_log(job.stdout)) == 2 and "pictures: " in job.stdout


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


# ------------------------------------------------------------------ how a process was started


@pytest.fixture
def as_one_of_two(monkeypatch):
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "2"),
                        ("MASTER_ADDR", "127.0.0.1")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("gpus", [True, False])
def test_each_process_has_a_gpu_of_its_own_where_there_are_some(as_one_of_two, monkeypatch, gpus):
    from nin_gluon.training import torch_workers

    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus)
    assert torch_workers.device_of_worker("auto") == ("gpu(1)" if gpus else "auto")
    assert torch_workers.device_of_worker("gpu") == "gpu(1)"
    assert torch_workers.device_of_worker("cpu") == "cpu"
    monkeypatch.delenv("MASTER_ADDR")
    assert torch_workers.device_of_worker("auto") == "auto"
    assert torch_workers.TorchWorkers().rank == 0  # RANK alone says nothing


def test_other_launchers_would_train_a_net_in_each_process(as_one_of_two, monkeypatch, capsys,
                                                           tmp_path):
    from nin_gluon.torch_edition import __main__ as edition

    options = ["--dataset", "sample", "--resize", "67", "--out", str(tmp_path / "run"), "--ctx",
               "cpu"]
    assert edition.main(options) == 2
    assert "this edition trains in one; use python -m nin_gluon.train" in capsys.readouterr().err
    monkeypatch.delenv("RANK")
    monkeypatch.setenv("DMLC_ROLE", "worker")
    monkeypatch.setenv("DMLC_NUM_WORKER", "2")
    assert train.main([*options, "--engine", "torch"]) == 2
    assert "nin_gluon.launch starts MXNet's workers" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
