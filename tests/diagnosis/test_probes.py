"""Questions that a process of its own answers, whatever becomes of it.

What it says of the real MXNet and PyTorch: `tests.commands.test_doctor.test_the_real_report`.
"""

import os

import pytest

from nin_gluon.diagnosis import probes
from tests.cuda_stub import ROOT, build_broken_driver, build_cuda_stub


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Function of (package, code): the package is this code, for the processes that are asked."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))

    def write(package, code):
        (tmp_path / f"{package}.py").write_text(code, "utf-8")

    return write


@pytest.mark.parametrize("code, said", [
    ("raise OSError('libquux.so.0: cannot open shared object file\\nand more')",
     "libquux.so.0: cannot open shared object file"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "dies of SIGILL"),
    ("import os; os._exit(3)", "ends early: exit status 3"),
    ("import sys; print('out of order', file=sys.stderr); sys.stderr.flush(); "
     "import os; os._exit(1)", "ends early: out of order"),
    ("print('{}'); raise ValueError", "ValueError"),
    ("__version__ = '9'", "has no attribute 'nd'"),
])
def test_a_broken_package_is_a_line(fake, code, said):
    fake("mxnet", code)
    problem = probes.ask("mxnet")["problem"]
    assert said in problem and "\n" not in problem


def test_a_package_that_hangs_is_given_up(fake):
    fake("torch", "import time; time.sleep(60)")
    assert probes.ask("torch", seconds=1) == {"problem": "no answer within 1 s"}


def test_what_a_package_prints_is_not_the_answer(fake):
    fake("mxnet", "import os; print('{}'); os.write(1, b'[]'); raise ImportError('x')")
    assert probes.ask("mxnet") == {"problem": "x", "error": "ImportError"}


def test_the_driver_names_its_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(build_cuda_stub(tmp_path)))
    monkeypatch.setenv("CUDA_STUB_CAPABILITIES", "9.0,8.6")
    assert probes.ask("driver") == {"cuda": "12.4", "devices": [
        {"name": "Stub GPU 0", "capability": "9.0"}, {"name": "Stub GPU 1", "capability": "8.6"}]}
    monkeypatch.setenv("CUDA_STUB_CAPABILITIES", "")
    assert probes.ask("driver") == {"cuda": "12.4", "devices": []}


def test_mxnet_says_what_it_cannot_use(monkeypatch):
    """In this process: MXNet is imported here."""
    from nin_gluon import runtime

    for module in (runtime, runtime.devices):
        monkeypatch.setattr(module, "device_capabilities", lambda: [(9, 0), (8, 6)])
    told = probes.describe_mxnet()["gpu_problems"]
    assert "compute capability is 9.0" in told[0]  # no build would help there
    assert "CPU build of MXNet" in told[1] or "gpu(1) cannot be used: " in told[1]


def test_no_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(build_broken_driver(tmp_path)))
    assert probes.ask("driver") == {"cuda": None, "devices": None}


def test_a_gpu_is_tried(monkeypatch):
    """The CPU build says so itself if it is asked to compute there."""
    import mxnet as mx

    import nin_gluon.runtime

    if mx.runtime.Features().is_enabled("CUDA"):
        pytest.skip("is about the CPU build of MXNet")
    monkeypatch.setattr(nin_gluon.runtime, "gpu_problem", lambda device_id: None)
    problem = probes.mxnet_gpu_problem(2)
    assert problem.startswith("gpu(2) cannot be used: ") and "GPU" in problem
    assert "\n" not in problem
