"""Processor and GPUs."""

import pytest

from nin_gluon.diagnosis import hardware

SMI = "NVIDIA Stub 3000, 535.129.03, 24564 MiB"


@pytest.mark.parametrize("flags, name, fastest", [
    ({"avx512f", "avx512_bf16", "amx_bf16"}, "Intel(R) Xeon(R) Processor", "bfloat16"),
    ({"avx512f", "avx512_bf16"}, "AMD EPYC", "bfloat16"),
    ({"avx512f", "avx512_bf16"}, "Intel(R) Xeon(R) Platinum", "float32 or bfloat16"),
    ({"avx512f"}, "Intel(R) Xeon(R)", "float32"),
    (set(), "arm", "float32"),
])
def test_the_fastest_arithmetic(flags, name, fastest):
    assert hardware.fastest_arithmetic(flags, name)[0] == fastest


def test_the_processor():
    found = hardware.describe_processor()
    assert 1 <= found["usable"] <= found["cpus"]
    assert found["arithmetic"]["fastest"] and found["name"]


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Function of a shell script: it is what `nvidia-smi` runs."""

    def write(script):
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(hardware, "ask", lambda question: {"cuda": "12.2", "devices": []})
    return write


def test_no_nvidia_smi(nvidia_smi):
    found = hardware.describe_gpus()
    assert found == {"driver": None, "cuda": "12.2", "devices": [], "nvidia_smi": None,
                     "problem": None}


def test_what_nvidia_smi_lists(nvidia_smi):
    nvidia_smi(f"echo '{SMI}'\necho '{SMI}'")
    found = hardware.describe_gpus()
    assert found["nvidia_smi"] == [SMI, SMI] and found["driver"] == "535.129.03"
    assert found["problem"] is None


@pytest.mark.parametrize("script, said", [
    ("echo 'NVIDIA-SMI has failed'; echo more; exit 9", "NVIDIA-SMI has failed"),
    ("exit 1", "nvidia-smi fails and says nothing"),
])
def test_nvidia_smi_that_fails(nvidia_smi, script, said):
    nvidia_smi(script)
    found = hardware.describe_gpus()
    assert found["problem"] == said and found["nvidia_smi"] is None


def test_nvidia_smi_that_hangs_or_is_no_program(nvidia_smi, monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "PATIENCE", 0.2)
    nvidia_smi("while :; do :; done")
    assert "no answer within" in hardware.describe_gpus()["problem"]
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF")
    assert "does not start" in hardware.describe_gpus()["problem"]


def test_a_driver_that_kills_whoever_asks(nvidia_smi, monkeypatch):
    monkeypatch.setattr(hardware, "ask", lambda question: {"problem": "dies of SIGSEGV"})
    found = hardware.describe_gpus()
    assert found["problem"] == "dies of SIGSEGV" and found["devices"] is None
