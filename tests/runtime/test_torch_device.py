"""Devices by their names."""

import pytest

from nin_gluon import InputError, torch_edition

torch = pytest.importorskip("torch")

from nin_gluon.runtime import torch_device as device  # noqa: E402


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(device, "gpu_problem", lambda index: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    names = ["auto", "cpu", "cpu(0)", " gpu", "gpu(1)", "cuda", "cuda:2"]
    assert [str(device.parse_device(name)) for name in names] == \
        ["cpu", "cpu", "cpu", "cuda:0", "cuda:1", "cuda:0", "cuda:2"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(device.parse_device("auto")) == str(torch_edition.try_gpu()) == "cuda:0"
    assert str(torch_edition.try_gpu(2)) == "cpu"
    for name in ("tpu", "gpu(", "gpu(0),gpu(1)", "cuda:-1", ""):
        with pytest.raises(InputError, match="is not a device"):
            device.parse_device(name)


@pytest.mark.parametrize("built, capabilities, count, index, words", [
    (False, None, 0, 0, r"gpu\(0\) cannot be used: this is a build of PyTorch for the CPU"),
    (True, None, 0, 0, "no NVIDIA driver"),
    (True, [], 0, 0, "finds no GPU"),
    (True, [(9, 0)], 1, 3, r"gpu\(3\) cannot be used: PyTorch finds 1 GPU\(s\)"),
    (True, [(9, 0)], 1, 0, "CUDA driver version is insufficient"),
])
def test_why_a_gpu_cannot_be_used(monkeypatch, built, capabilities, count, index, words):
    def refuse(*args, **options):
        raise RuntimeError("CUDA driver version is insufficient\nCompile with this and that")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(device, "device_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "ones", refuse)
    with pytest.raises(InputError, match=words) as error:
        device.parse_device(f"gpu({index})")
    assert "\n" not in str(error.value)
