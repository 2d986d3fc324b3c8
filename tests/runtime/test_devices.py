"""``--ctx``, and which GPUs are used."""

import mxnet as mx
import pytest

from nin_gluon import InputError
from nin_gluon.runtime import devices, is_gpu_build, parse_ctx, try_all_gpus, try_gpu

cpu_build = pytest.mark.skipif(is_gpu_build(), reason="is about the CPU build of MXNet")


@pytest.mark.parametrize("text, expected", [
    ("cpu", [("cpu", 0)]),
    (" cpu ( 2 ) ", [("cpu", 2)]),
    ("cpu(0),cpu(1)", [("cpu", 0), ("cpu", 1)]),
    ("cpu(1), cpu", [("cpu", 1), ("cpu", 0)]),
])
def test_ctx_names_cpus(text, expected):
    assert [(c.device_type, c.device_id) for c in parse_ctx(text)] == expected


def test_ctx_names_gpus(monkeypatch):
    monkeypatch.setattr(devices, "gpu_problem", lambda device_id: None)
    assert parse_ctx("gpu") == [mx.gpu(0)]
    assert parse_ctx("gpu(1), gpu(0)") == [mx.gpu(1), mx.gpu(0)]


def test_ctx_auto_is_what_try_gpu_finds(monkeypatch):
    assert parse_ctx(" auto ") == [try_gpu()]
    monkeypatch.setattr(devices, "try_gpu", lambda: mx.gpu(3))
    assert parse_ctx("auto") == [mx.gpu(3)]


@pytest.mark.parametrize("text", [
    "", "tpu", "cpu(", "cpu()", "cpu(a)", "gpu(-1)", "gpu(1000)", "cpu,", "cpu cpu", "auto,cpu"])
def test_ctx_that_is_no_device(text):
    with pytest.raises(InputError, match="is not a device; use auto, cpu, gpu") as error:
        parse_ctx(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["cpu,cpu", "cpu,cpu(0)", "cpu(1),cpu(0),cpu(1)", "gpu(0),gpu"])
def test_ctx_that_names_a_device_twice(text):
    with pytest.raises(InputError, match="twice"):
        parse_ctx(text)


def test_ctx_that_mixes_cpu_and_gpu(monkeypatch):
    monkeypatch.setattr(devices, "gpu_problem", lambda device_id: None)
    with pytest.raises(InputError, match="mixes CPU and GPU"):
        parse_ctx("cpu,gpu")


def test_ctx_with_a_gpu_that_cannot_be_used_says_why(monkeypatch):
    problems = {0: None, 1: "gpu(1) cannot be used: it rains."}
    monkeypatch.setattr(devices, "gpu_problem", problems.get)
    with pytest.raises(InputError, match=r"^gpu\(1\) cannot be used: it rains\.$"):
        parse_ctx("gpu(0),gpu(1)")


@cpu_build
def test_a_gpu_in_the_cpu_build():
    with pytest.raises(InputError) as error:
        parse_ctx("gpu(1)")
    assert str(error.value).startswith("gpu(1) cannot be used: this is the CPU build of MXNet")
    assert "pip install -e '.[gpu]'" in str(error.value)


@cpu_build
def test_the_cpu_build_does_not_recommend_the_gpu_build_where_that_cannot_help(monkeypatch):
    monkeypatch.setattr(devices, "device_capabilities", lambda: [(8, 6), (9, 0)])
    assert "compute capability is 9.0" in devices.gpu_problem(1)
    assert "pip" not in devices.gpu_problem(1)
    assert "CPU build" in devices.gpu_problem(0) and "CPU build" in devices.gpu_problem(2)


@cpu_build
def test_auto_in_the_cpu_build_is_the_cpu(monkeypatch):
    monkeypatch.setattr(devices, "device_capabilities", lambda: [(8, 0)])
    assert parse_ctx("auto") == [mx.cpu()] == try_all_gpus()


@pytest.mark.parametrize("device_id, capabilities, said", [
    (0, None, "no NVIDIA driver (libcuda.so.1 does not load)"),
    (0, [], "the NVIDIA driver finds no GPU"),
    (2, [(8, 0), (8, 6)], "the NVIDIA driver finds 2 GPU(s), gpu(0) to gpu(1)"),
    (0, [(9, 0)], "its compute capability is 9.0"),
    (1, [(8, 0), (12, 0)], "its compute capability is 12.0"),
    (0, [(3, 5)], "its compute capability is 3.5"),
])
def test_a_gpu_that_cannot_be_used(device_id, capabilities, said):
    problem = devices.device_problem(device_id, capabilities)
    assert problem.startswith(f"gpu({device_id}) cannot be used: ") and said in problem
    assert "\n" not in problem and problem.endswith(".")


@pytest.mark.parametrize("capability", [
    (5, 0), (5, 2), (6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9)])
def test_a_gpu_that_can_be_used(capability):
    assert devices.device_problem(1, [(9, 0), capability]) is None


@pytest.fixture
def gpu_features(monkeypatch):
    """MXNet says of itself that it is a GPU build."""

    class Features:
        def is_enabled(self, name):
            return name == "CUDA"

    monkeypatch.setattr(mx.runtime, "Features", Features)


def test_gpus_that_cannot_be_used_are_passed_over(gpu_features, monkeypatch):
    monkeypatch.setattr(devices, "device_capabilities", lambda: [(9, 0), (8, 6), (3, 5), (5, 2)])
    assert try_all_gpus() == [mx.gpu(1), mx.gpu(3)]
    assert try_gpu() == mx.gpu(1)
    assert devices.gpu_problem(1) is None
    assert "9.0" in devices.gpu_problem(0)


@pytest.mark.parametrize("capabilities", [None, [], [(9, 0)]])
def test_without_a_gpu_of_use_it_is_the_cpu(gpu_features, monkeypatch, capabilities):
    monkeypatch.setattr(devices, "device_capabilities", lambda: capabilities)
    assert try_all_gpus() == [mx.cpu()]
    assert try_gpu() == mx.cpu()
    assert devices.gpu_problem()
