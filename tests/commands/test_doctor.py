"""``python -m nin_gluon.doctor`` as people call it."""

import json
import os
import re
from importlib.util import find_spec

import pytest

from nin_gluon import diagnosis, doctor
from tests.cuda_stub import build_broken_driver, build_cuda_stub, run_python
from tests.diagnosis.test_report import DATA, GLUON, GPU, MISSING, NO_GPU, TORCH, validate


@pytest.fixture
def found(monkeypatch):
    """A report for the command to print."""
    report = {
        "summary": "The chapter runs here.", "usable": True, "notes": [], "problems": [],
        "nin_gluon": {"version": "0.2.0", "path": "~/数据"}, "platform": "Linux",
        "python": {"version": "3.11", "path": "python"}, "variables": {"MXNET_HOME": "~/m"},
        "packages": {"numpy": "1.26.4", "matplotlib": None},
        "extras": {"demo": {"starlette": "1.0", "uvicorn": None}},
        "processor": {"name": "a processor", "cpus": 8, "usable": 4, "threads_given": None,
                      "features": [], "arithmetic": {"fastest": "float32", "why": "because"},
                      "memory_bytes": None},
        "engines": {"gluon": GLUON, "torch": {**TORCH, **MISSING}}, "gpu": NO_GPU, "data": [DATA],
        "places": [{"what": "runs", "path": None, "writable": False, "free_bytes": None,
                    "problem": "gone"}],
    }
    monkeypatch.setattr(diagnosis, "environment_report", lambda: report)
    return report


def lines(capsys, *options):
    assert doctor.main(list(options)) == 0
    return capsys.readouterr().out.splitlines()


def squeezed(line):
    return re.sub(" +", " ", line.strip())


def test_what_people_read(found, capsys):
    text = list(map(squeezed, lines(capsys)))
    assert text[0] == "The chapter runs here." and text[-1] == "No problems found."
    for line in ("MXNet 1.9.1 (cpu build): works; OPENMP", "PyTorch not installed",
                 "matplotlib not installed", "MXNET_HOME ~/m", "features none known",
                 "processors 4 of 8 usable, OMP_NUM_THREADS not set", "memory unknown",
                 "driver no NVIDIA driver (libcuda.so.1 does not load)",
                 "Fashion-MNIST complete, checksums right: /data", "runs unknown: not writable",
                 "demo starlette 1.0, uvicorn missing (in a checkout: pip install -e '.[demo]')"):
        assert line in text


def test_problems_and_gpus(found, capsys):
    found.update(problems=["First.", "Second."], notes=["Good to know."], gpu=GPU)
    found["engines"]["gluon"] = {**GLUON, "gpu_problems": ["gpu(0) cannot be used: why."]}
    text = list(map(squeezed, lines(capsys)))
    assert text[-3:] == ["Problems", "1. First.", "2. Second."]
    assert "1. Good to know." in text
    assert "gpu(0) A, compute capability 8.6" in text
    assert "MXNet: cannot use it, see below" in text
    assert "PyTorch: is not installed" in text


def test_what_programs_read(found, capsys):
    assert json.loads("\n".join(lines(capsys, "--json"))) == found


@pytest.mark.parametrize("usable", [True, False])
def test_the_status_says_that_the_report_was_made(found, usable):
    found["usable"] = usable
    assert doctor.main([]) == doctor.main(["--json"]) == 0


def test_a_wrong_option_is_status_2(capsys):
    with pytest.raises(SystemExit) as end:
        doctor.main(["--repair"])
    assert end.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


# Prints one report in both forms: a report takes seconds.
BOTH_FORMS = """
import sys
from nin_gluon import diagnosis, doctor
report = diagnosis.environment_report()
diagnosis.environment_report = lambda: report
print(doctor.main([]), flush=True)
sys.exit(doctor.main(["--json"]))
"""


def test_the_real_report(tmp_path):
    """Nothing is written and no name is told: in a home of unusual name, on a terminal that shows
    ASCII only. The JSON has the form that programs expect, and is true of MXNet and PyTorch."""
    home = tmp_path / "家 maison"
    for name in ("data", "study", "tmp"):
        (home / name).mkdir(parents=True)
    before = tree(tmp_path)
    done = run_python("-c", BOTH_FORMS, cwd=home / "study", HOME=str(home), USER="maison",
                      LOGNAME="maison", TMPDIR=str(home / "tmp"), NIN_GLUON_DATA=str(home / "data"),
                      MXNET_HOME=str(home / ".mxnet"), PYTHONDONTWRITEBYTECODE="1",
                      PYTHONIOENCODING="ascii", http_proxy="http://secret@localhost:1")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path) == before
    text, told = done.stdout.split("\n0\n")
    assert text.startswith("The chapter runs here") and done.stderr == ""
    assert "~/study/runs" in text and "Fashion-MNIST" in text
    for word in (str(tmp_path), "maison", "secret", os.uname().nodename):
        assert word not in done.stdout

    report = validate(json.loads(told))
    gluon, torch = (report["engines"][name] for name in ("gluon", "torch"))
    assert report["usable"] is True and gluon["works"]
    assert gluon["version"] == "1.9.1" and "OPENMP" in gluon["features"]
    if find_spec("torch"):
        assert torch["version"].startswith("2.")


def test_a_machine_with_neither_mxnet_nor_pytorch(tmp_path):
    """And with a GPU that only the driver knows."""
    code = ("import importlib.machinery as m, sys\n"
            "find = m.PathFinder.find_spec\n"
            "m.PathFinder.find_spec = lambda name, *rest: None "
            "if name in ('mxnet', 'torch') else find(name, *rest)\n"
            "from nin_gluon.doctor import main\nsys.exit(main(['--json']))")
    done = run_python("-c", code, LD_LIBRARY_PATH=str(build_cuda_stub(tmp_path)),
                      CUDA_STUB_CAPABILITIES="9.0", NIN_GLUON_DATA=None, MXNET_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["usable"] is False and "does not run here yet" in report["summary"]
    assert report["gpu"]["devices"] == [{"name": "Stub GPU 0", "capability": "9.0"}]
    assert "pip install -e '.[" in " ".join(report["problems"])


def test_a_broken_mxnet(tmp_path):
    (tmp_path / "mxnet.py").write_text(
        "raise OSError('libcudart.so.11.0: cannot open shared object file')")
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    done = run_python("-m", "nin_gluon.doctor", LD_LIBRARY_PATH=str(build_broken_driver(tmp_path)),
                      PYTHONPATH=os.pathsep.join([str(tmp_path), os.getcwd()]))
    assert done.returncode == 0, done.stderr
    assert "libcudart.so.11.0: cannot open shared object file" in done.stdout
    assert "dies of SIGSEGV" in done.stdout
