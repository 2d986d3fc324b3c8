"""MXNet, PyTorch and the extras, with their processes replaced."""

import pytest

from nin_gluon.diagnosis import frameworks
from tests.test_package import pins, setup_arguments


@pytest.fixture
def told(monkeypatch):
    """The answers that the processes give; change them."""
    answers = {
        "mxnet": {"version": "1.9.1", "features": ["CUDA", "OPENMP", "SSE"], "alias_needed": True,
                  "gpu_problems": [None]},
        "torch": {"version": "2.1", "cuda": "12.1", "gpu_problems": [None]},
    }
    monkeypatch.setattr(frameworks, "ask", lambda question: answers[question])
    monkeypatch.setattr(frameworks, "is_installed", lambda name: True)
    monkeypatch.setattr(frameworks, "mxnet_wheels", lambda: ["mxnet-cu112"])
    return answers


def test_engines_that_work(told):
    gluon, torch = frameworks.describe_gluon(), frameworks.describe_torch()
    assert gluon["works"] and torch["works"]
    assert (gluon["build"], torch["build"]) == ("cu112", "cu121")
    assert gluon["features"] == ["CUDA", "OPENMP"] and gluon["problem"] is None
    assert gluon["alias_needed"] is True
    assert set(torch) <= set(gluon)


def test_engines_that_are_missing(monkeypatch):
    monkeypatch.setattr(frameworks, "is_installed", lambda name: False)
    monkeypatch.setattr(frameworks, "ask", None)  # nobody is asked
    for engine in (frameworks.describe_gluon(), frameworks.describe_torch()):
        assert not engine["installed"] and not engine["works"]
        assert "pip install -e '.[" in engine["problem"] or "no wheel" in engine["problem"]


@pytest.mark.parametrize("error", ["libcudart.so.11.0: cannot open shared object file",
                                   "the process that loads it dies of SIGSEGV"])
def test_engines_that_are_broken(told, error):
    told["mxnet"] = told["torch"] = {"problem": error}
    for engine in (frameworks.describe_gluon(), frameworks.describe_torch()):
        assert engine["installed"] and not engine["works"]
        assert error in engine["problem"] and "Troubleshooting" in engine["problem"]


def test_what_the_runtime_says_stands_as_it_is(told):
    told["mxnet"] = {"problem": "MXNet needs libgomp; do this", "error": "MXNetUnavailable"}
    assert frameworks.describe_gluon()["problem"] == "MXNet needs libgomp; do this"


def test_two_builds_of_mxnet_are_a_problem_even_if_they_work(told, monkeypatch):
    monkeypatch.setattr(frameworks, "mxnet_wheels", lambda: ["mxnet", "mxnet-cu112"])
    gluon = frameworks.describe_gluon()
    assert gluon["works"] and gluon["build"] == "cpu and cu112"
    assert gluon["problem"].startswith("mxnet and mxnet-cu112 are installed together")


def test_extras_are_those_of_the_package():
    extras = setup_arguments()["extras_require"]
    for extra, packages in frameworks.EXTRAS.items():
        assert set(packages) <= set(pins(extras[extra]))
    assert set(frameworks.EXTRAS) == set(extras) - {"cpu", "gpu", "torch"}


def test_versions_of_packages():
    import numpy

    assert frameworks.version_of("numpy") == numpy.__version__
    assert frameworks.version_of("no-such-package") is None
    assert set(frameworks.extras()) == set(frameworks.EXTRAS)
