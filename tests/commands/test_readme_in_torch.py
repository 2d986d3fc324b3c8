"""README's commands with ``--engine torch``, in tiny sizes, and where MXNet is not installed.

What stopping and resuming, ``reproduce`` and ``confidence`` make of such runs is in
``test_train_torch.py``; an exercise is in ``test_exercises.py``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nin_gluon import train
from nin_gluon.training.history import parse_log
from nin_gluon.training.run_folder import read_config

torch = pytest.importorskip("torch")

from tests.torch_edition.small import LAST_LINES  # noqa: E402

TINY = ["--engine", "torch", "--limit", "20", "--epochs", "1", "--batch-size", "10", "--ctx",
        "cpu", "--no-progress"]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("slim", "few_images", "no_pictures", "one_thread")
@pytest.mark.parametrize("options", [
    ["--resize", "67"],  # the textbook's
    ["--preset", "quick"],
    ["--preset", "tuned", "--resize", "67", "--dtype", "bfloat16"],
    ["--preset", "mlpconv", "--resize", "67"],
    ["--preset", "paper"],
    ["--preset", "quick", "--validation", "10"],
    ["--model", "cifar_nin", "--dataset", "cifar10"],
    ["--model", "nin,head=fc", "--resize", "67"],
    ["--model", "cifar_nin,head=fc_dropout", "--dataset", "cifar10"],
], ids=" ".join)
def test_every_way_to_train(tmp_path, capsys, options):
    run = tmp_path / "run"
    assert train.main([*TINY, *options, "--out", str(run)]) == 0
    record, = parse_log(capsys.readouterr().out)
    assert read_config(run).settings.engine == "torch"
    assert (run / "model-0001.safetensors").exists()
    assert train.main(["--resume", str(run), "--no-progress"]) == 0  # there is no more to do
    assert parse_log(capsys.readouterr().out) == [record]


# The nets are slim, and the sample small.
WITHOUT_MXNET = """\
import importlib.machinery, os, sys
from importlib import import_module

find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, *rest: None if name.split(".")[0] == "mxnet" else find(name, *rest))
folder, root, commands = sys.argv[1:]
sys.path.insert(0, root)
from tests import slim_nin

slim_nin.slim("torch")
slim_nin.small_sample()
os.chdir(folder)
for line in commands.splitlines():
    verb, *options = line.split()
    status = import_module("nin_gluon." + verb).main(options)
    assert status == (2 if line.endswith("gluon") else 0), (line, status)
assert "mxnet" not in sys.modules
"""


def test_pytorch_needs_no_mxnet_for_anything(tmp_path):
    """But for Gluon's own files, which the export refuses in one line."""
    image = pytest.importorskip("PIL.Image")
    image.new("L", (28, 28), 90).save(tmp_path / "a.png")
    commands = f"""\
train {' '.join(TINY[2:])} --model cifar_nin --dataset sample --out a
train {' '.join(TINY)} --model cifar_nin,head=fc --dataset sample --out b
torch_edition --dataset sample --resize 67 --limit 32 --epochs 1 --out c
confidence a --first 1 --limit 8 --no-progress
evaluate a --limit 16
compare a b
predict --run a a.png
export a --to safetensors
export a --to torch
export a --to gluon"""
    done = subprocess.run([sys.executable, "-c", WITHOUT_MXNET, str(tmp_path),
                           str(Path(__file__).parents[2]), commands], capture_output=True,
                          text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    # The train command finds out by itself that it has to be PyTorch.
    assert done.stderr.count("MXNet is not installed: training with PyTorch") == 1
    assert (tmp_path / "a" / "predictions.png").exists()
    assert LAST_LINES.search(done.stdout)  # of the PyTorch edition
    assert "nin_gluon.export: error: MXNet is not installed; in a checkout" in done.stderr
