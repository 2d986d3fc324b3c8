"""README's commands with ``--engine torch``, in tiny sizes, and where MXNet is not installed.

What stopping and resuming, ``reproduce`` and ``confidence`` make of such runs is in
``test_train_torch.py``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from nin_gluon import train
from nin_gluon.experiments.stores import ExerciseFile
from nin_gluon.pretrained import write_weights
from nin_gluon.training.history import parse_log
from nin_gluon.training.run_folder import read_config
from tests.pretrained.made_weights import made_weights

pytest.importorskip("torch")

from tests.torch_edition.small import LAST_LINES

ROOT = Path(__file__).parents[2]

TINY = ["--engine", "torch", "--limit", "20", "--epochs", "1", "--batch-size", "10", "--ctx",
        "cpu", "--no-progress"]


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


# Runs commands where MXNet is not installed: one process for all of them, because to import
# PyTorch takes long. The sample is small, and the nets are slim from the line "slim" on. What each
# command prints stands below a line with its verb.
WITHOUT_MXNET = """\
import importlib.machinery, os, sys, types
from importlib import import_module

find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, *rest: None if name.split(".")[0] == "mxnet" else find(name, *rest))
folder, root, commands = sys.argv[1:]
sys.path.insert(0, root)
from nin_gluon import exercises
from nin_gluon.experiments import jobs
from tests import slim_nin
from tests.experiments.small_exercise import TrainHere, small_exercise

slim_nin.small_sample()
jobs.subprocess = types.SimpleNamespace(Popen=TrainHere)  # the run of the exercise
exercises.EXERCISES["x"] = small_exercise("sample", odds=True, signals=("he",))
os.chdir(folder)
for line in commands.splitlines():
    if line == "slim":
        slim_nin.slim("torch")
        continue
    verb, *options = line.split()
    for stream in sys.stdout, sys.stderr:
        print("\\n#", verb, file=stream)
    status = import_module("nin_gluon." + verb).main(options)
    assert status == (2 if line.endswith("gluon") else 0), (line, status)
assert "mxnet" not in sys.modules
"""


@pytest.fixture(scope="module")
def without_mxnet(slim, tmp_path_factory):
    """The folder of these commands, and {verb: [what it printed]}, on stdout and on stderr.

    The package's net, never trained, is as slim as theirs.
    """
    folder = tmp_path_factory.mktemp("commands")
    Image.new("L", (28, 28), 90).save(folder / "a.png")
    write_weights(folder / "nin.safetensors", made_weights())
    commands = f"""\
exercises x --limit 16 --epochs 1 --seeds 3 --dtype float32 --ctx cpu
slim
predict --pretrained --json a.png
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
    done = subprocess.run([sys.executable, "-c", WITHOUT_MXNET, str(folder), str(ROOT), commands],
                          capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1",
                                                              "NIN_GLUON_PRETRAINED": str(folder)})
    assert done.returncode == 0, done.stderr
    said = []
    for text in (done.stdout, done.stderr):
        said.append({})
        for part in text.split("\n# ")[1:]:
            verb, _, lines = part.partition("\n")
            said[-1].setdefault(verb, []).append(lines)
    return folder, *said


def test_pytorch_needs_no_mxnet_for_anything(without_mxnet):
    """But for Gluon's own files, which the export refuses in one line."""
    folder, out, error = without_mxnet
    # The train command finds out by itself that it has to be PyTorch.
    assert [said.count("MXNet is not installed: training with PyTorch")
            for said in error["train"]] == [1, 0]
    assert (folder / "a" / "predictions.png").exists()
    assert LAST_LINES.search(out["torch_edition"][0])
    assert "nin_gluon.export: error: MXNet is not installed; in a checkout" in error["export"][2]


def test_an_exercise_needs_no_mxnet(without_mxnet):
    """And says what it has to leave out."""
    folder, out, error = without_mxnet
    assert "MXNet is not installed: training with PyTorch (--engine torch)" in error["exercises"][0]
    assert "is measured in MXNet, which is not installed: left out" in error["exercises"][0]
    assert "Classes alive" in out["exercises"][0]
    (record,), _ = ExerciseFile(folder / "results/exercises/x-epochs-1-limit-16.json").read()
    assert (record.settings.engine, record.device, record.steps) == ("torch", "cpu", 2)
    assert "torch" in record.machine and "mxnet" not in record.machine
    assert record.parameters == 1_992_166 - 2 * sum(c * c + c for c in (96, 256, 384, 10))
    assert 1 <= record.living_classes <= 10 and "--engine torch" in record.command
    assert record.start.living


def test_the_packages_net_needs_no_mxnet(without_mxnet):
    """That it needs no PyTorch either is in ``test_predict.py``."""
    _, out, error = without_mxnet
    assert error["predict"][0].strip() == "MXNet is not installed: using PyTorch"
    assert len(json.loads(out["predict"][0])["images"][0]["predictions"]) == 3
