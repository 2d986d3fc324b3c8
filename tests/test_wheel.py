"""The package as users get it: a wheel, in an environment and a folder of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from nin_gluon.data.sets import load_image_set
from nin_gluon.pretrained import write_weights
from tests.pretrained.made_weights import made_weights

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow  # it installs MXNet and ONNX Runtime anew

# Runs an exported net where neither this package nor MXNet is installed.
SERVING = """
import importlib.util, json, sys
import numpy, onnxruntime
from PIL import Image

assert importlib.util.find_spec("mxnet") is None and importlib.util.find_spec("nin_gluon") is None
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
images = numpy.stack([numpy.asarray(Image.open(name))[..., None] for name in sys.argv[2:]])
print(json.dumps(session.run(None, {"images": images})[1].tolist()))
"""


def environment(folder, *packages):
    """The Python of a new virtual environment with these packages."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    *packages], check=True)
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the checkout, with a trained net in it whether the checkout has one or not."""
    folder = tmp_path_factory.mktemp("wheel")
    probe = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                            "setuptools", "-d", folder / "probe"], capture_output=True)
    if probe.returncode:
        pytest.skip("no package index can be reached")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(
        ".*", "build", "runs", "*.egg-info", "__pycache__", "results", "tests"))
    write_weights(source / "nin_gluon" / "pretrained" / "nin.safetensors", made_weights())
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w",
                    folder / "wheels", source], check=True)
    path, = (folder / "wheels").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def user(wheel, tmp_path_factory):
    """Function that calls nin-gluon as a user would, in a folder with five pictures."""
    place = tmp_path_factory.mktemp("user")
    python = environment(place / "venv", f"{wheel}[cpu,onnx,demo]")
    folder = place / "empty"
    (folder / "pictures").mkdir(parents=True)
    images, _ = load_image_set("sample", "test")
    for i in range(5):
        Image.fromarray(images[i, ..., 0]).save(folder / "pictures" / f"{i}.png")
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("PYTHON", "NIN_GLUON", "VIRTUAL_ENV"))}

    def call(*arguments, **options):
        command = [python.with_name("nin-gluon"), *arguments]
        return subprocess.run(command, cwd=folder, env=clean, check=True, text=True,
                              stdout=subprocess.PIPE, **options).stdout

    call.folder, call.command, call.clean = folder, python.with_name("nin-gluon"), clean
    for name, lr in (("one", "0.05"), ("two", "0.1")):
        call("train", "--preset", "quick", "--dataset", "sample", "--resize", "67", "--limit",
             "128", "--epochs", "1", "--lr", lr, "--no-progress", "--out", f"runs/{name}")
    return call


def test_what_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "nin_gluon").rglob("*")
             if path.is_file() and "__pycache__" not in path.parts]
    assert not set(files) - names
    assert "nin_gluon/pretrained/nin.safetensors" in names
    assert not [name for name in names if not re.match(r"nin_gluon[/-]", name)]
    print(f"\n{wheel.name}: {wheel.stat().st_size:,} bytes")


def test_commands(user):
    assert "demo" in user("--help")
    found = json.loads(user("predict", "--run", "runs/one", "pictures", "--json"))
    assert len(found["images"]) == 5
    found = json.loads(user("evaluate", "runs/one", "--json"))
    assert found["images"] == 128
    assert "lr" in user("compare", "runs/one", "runs/two", "--html", "both.html")
    assert "<table>" in (user.folder / "both.html").read_text("utf-8")
    assert "mxnet" in user("atlas").lower()


def test_the_trained_net(user):
    found = json.loads(user("predict", "--pretrained", "pictures", "--json"))
    assert found["net"] == "the trained nin of the package" and len(found["images"]) == 5


def test_an_export_runs_without_mxnet(user, tmp_path):
    user("export", "runs/one", "--to", "onnx", "--resize-inside", "--out", "net.onnx")
    python = environment(tmp_path / "venv", "onnxruntime", "pillow")
    pictures = sorted((user.folder / "pictures").iterdir())
    served = subprocess.run([python, "-c", SERVING, user.folder / "net.onnx", *pictures],
                            check=True, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
                            env=user.clean).stdout
    own = json.loads(user("predict", "--run", "runs/one", "pictures", "--invert", "no", "--top",
                          "10", "--json"))
    for row, image in zip(json.loads(served), own["images"]):
        chances = {each["class"]: each["probability"] for each in image["predictions"]}
        np.testing.assert_allclose(row, [chances[name] for name in own["classes"]], atol=1e-5)


def test_the_demo(user):
    process = subprocess.Popen([user.command, "demo", "--no-browser"], cwd=user.folder,
                               env=user.clean, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        address = process.stdout.readline().split()[0]
        for name in ("", "page/app.js", "page/words.js", "page/style.css"):
            assert urlopen(address + name, timeout=10).status == 200
        ids = json.load(urlopen(address + "api/nets", timeout=10))
        assert ids[0] == ":pretrained" and set(ids[1:]) == {"runs/one", "runs/two"}
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
        assert (process.returncode, said) == (0, "the demo has ended\n")
    finally:
        process.kill()
