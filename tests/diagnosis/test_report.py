"""What the findings come to, and what is kept out of the report.

A report of the real machine: `tests.commands.test_doctor.test_the_real_report`.
"""

import copy
import getpass

import fastjsonschema
import pytest

from nin_gluon.diagnosis import report
from nin_gluon.diagnosis.frameworks import EXTRAS

text, flag, whole = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
maybe = {"type": ["string", "null"]}


def list_of(items):
    return {"type": "array", "items": items}


def record(**properties):
    return {"type": "object", "properties": properties, "required": list(properties),
            "additionalProperties": False}


def engine(**more):
    return record(installed=flag, works=flag, version=maybe, build=maybe, problem=maybe,
                  gpu_problems=list_of(maybe), **more)


LINE = {"type": "string", "pattern": r"^[^\n]+\.$"}

SCHEMA = record(
    format={"const": 1}, usable=flag, summary=LINE, notes=list_of(LINE), problems=list_of(LINE),
    nin_gluon=record(version=text, path=text), python=record(version=text, path=text),
    platform=text, variables={"type": "object", "additionalProperties": text},
    packages=record(numpy=maybe, matplotlib=maybe),
    extras=record(**{name: {"type": "object", "additionalProperties": maybe} for name in EXTRAS}),
    processor=record(name=text, cpus=whole, usable=whole, threads_given=maybe,
                     features=list_of(text), arithmetic=record(fastest=text, why=text),
                     memory_bytes={"type": ["integer", "null"]}),
    engines=record(gluon=engine(features=list_of(text), alias_needed=flag), torch=engine()),
    gpu=record(driver=maybe, cuda=maybe, problem=maybe,
               nvidia_smi={"anyOf": [{"type": "null"}, list_of(text)]},
               devices={"anyOf": [{"type": "null"}, list_of(record(name=text, capability=text))]}),
    data=list_of(record(name=text, title=text, state={"enum": [
        "official", "archive", "own", "damaged", "incomplete", "missing", "unreadable"]},
        folders=list_of(text), missing=list_of(text), problem=maybe)),
    places=list_of(record(what=text, path=maybe, writable=flag, problem=maybe,
                          free_bytes={"type": ["integer", "null"]})),
)

validate = fastjsonschema.compile(SCHEMA)

GLUON = {"installed": True, "works": True, "version": "1.9.1", "build": "cpu", "problem": None,
         "features": ["OPENMP"], "alias_needed": False, "gpu_problems": []}
TORCH = {"installed": True, "works": True, "version": "2.1", "build": "cpu", "problem": None,
         "gpu_problems": []}
NO_GPU = {"driver": None, "cuda": None, "devices": None, "nvidia_smi": None, "problem": None}
DATA = {"name": "fashion-mnist", "title": "Fashion-MNIST", "state": "official",
        "folders": ["/data"], "missing": [], "problem": None}
MISSING = {"installed": False, "works": False, "version": None, "build": None}
BROKEN = {"works": False}


@pytest.fixture
def machine(monkeypatch):
    """What is found; change it, then make the report."""
    found = {"gluon": copy.deepcopy(GLUON), "torch": copy.deepcopy(TORCH),
             "gpu": copy.deepcopy(NO_GPU), "data": [copy.deepcopy(DATA)], "places": []}
    for name in found:
        monkeypatch.setattr(report, {"gpu": "describe_gpus"}.get(name, f"describe_{name}"),
                            lambda name=name: found[name])
    monkeypatch.setattr(report.sys, "version_info", (3, 11))
    return found


def made():
    """The report, in the form that programs expect."""
    return validate(report.environment_report())


def test_all_is_well(machine):
    result = made()
    assert result["usable"] and result["problems"] == []
    assert result["summary"] == "The chapter runs here, with MXNet, on the CPU."


def test_neither_engine(machine):
    for name in ("gluon", "torch"):
        machine[name].update(MISSING, problem=f"install {name}")
    result = made()
    assert not result["usable"] and "does not run here yet" in result["summary"]
    assert result["problems"] == ["MXNet: install gluon.", "PyTorch: install torch."]


def test_pytorch_takes_mxnets_place(machine):
    machine["gluon"].update(MISSING, problem="install it")
    result = made()
    assert result["usable"] and "with PyTorch in place of MXNet, on the CPU" in result["summary"]
    assert result["problems"] == [] and "install it." in result["notes"]


def test_a_broken_engine_is_a_problem_even_if_the_other_works(machine):
    machine["gluon"].update(BROKEN, problem="libgomp.so.1 is missing; install libgomp1")
    assert made()["problems"] == ["MXNet: libgomp.so.1 is missing; install libgomp1."]


GPU = {"driver": "535.1", "cuda": "12.2", "devices": [{"name": "A", "capability": "8.6"}],
       "nvidia_smi": ["A, 535.1, 24564 MiB"], "problem": None}


def test_a_gpu_that_both_can_use(machine):
    machine["gpu"] = GPU
    machine["gluon"]["gpu_problems"] = machine["torch"]["gpu_problems"] = [None]
    result = made()
    assert result["summary"] == "The chapter runs here, with MXNet, on gpu(0)."
    assert result["problems"] == []


def test_a_gpu_that_only_pytorch_can_use(machine):
    machine["gpu"] = GPU
    machine["gluon"]["gpu_problems"] = ["gpu(0) cannot be used: its capability is 9.0"]
    machine["torch"]["gpu_problems"] = [None]
    result = made()
    assert "PyTorch can use gpu(0): --engine torch --ctx gpu." in result["summary"]
    assert result["problems"] == []
    assert "MXNet: gpu(0) cannot be used: its capability is 9.0." in result["notes"]


@pytest.mark.parametrize("torch_works", [True, False])
def test_a_gpu_that_nothing_can_use(machine, torch_works):
    machine["gpu"] = GPU
    machine["gluon"]["gpu_problems"] = ["gpu(0) cannot be used: this; do that"]
    if torch_works:
        machine["torch"]["gpu_problems"] = ["gpu(0) cannot be used: so; do this"]
    else:
        machine["torch"].update(MISSING, problem="install it")
    problems = made()["problems"]
    assert "MXNet: gpu(0) cannot be used: this; do that." in problems
    assert len(problems) == 1 + torch_works


@pytest.mark.parametrize("change, said", [
    ({"problem": "NVIDIA-SMI has failed"}, "load or reinstall the driver"),
    ({"nvidia_smi": ["A"], "devices": None}, "in a container, start it with --gpus all"),
    ({"nvidia_smi": ["A"], "devices": []}, "CUDA_VISIBLE_DEVICES"),
    ({"cuda": "10.2", "devices": [{"name": "A", "capability": "7.0"}]}, "450.80 or later"),
])
def test_problems_of_the_driver(machine, change, said):
    machine["gpu"].update(change)
    problem, = made()["problems"]
    assert said in problem


def test_data(machine):
    for state, listed in (("missing", "notes"), ("incomplete", "notes"), ("own", "notes"),
                          ("damaged", "problems"), ("unreadable", "problems")):
        problem = "it is so; do this" if listed == "problems" else None
        machine["data"] = [{**DATA, "state": state, "missing": ["a.gz"], "problem": problem}]
        assert any(line.startswith("Fashion-MNIST: ") for line in made()[listed]), state


def test_places_and_python(machine, monkeypatch):
    machine["places"] = [{"what": "runs", "path": "/x", "writable": False, "free_bytes": 1,
                          "problem": "/x cannot be written to; change it"}]
    assert made()["problems"] == ["The folder of runs: /x cannot be written to; change it."]
    monkeypatch.setattr(report.sys, "version_info", (3, 13))
    assert "use Python 3.8 to 3.12" in made()["problems"][0]


def test_idle_processors_and_numpy_are_noted(machine, monkeypatch):
    machine["gluon"]["alias_needed"] = True
    processor = {**report.describe_processor(), "usable": 8, "threads_given": "4"}
    monkeypatch.setattr(report, "describe_processor", lambda: processor)
    notes = made()["notes"]
    assert "has no numpy.bool" in notes[0] and "OMP_NUM_THREADS=4 leaves" in notes[1]
    processor["threads_given"] = "8"
    assert len(made()["notes"]) == 1


def test_no_names(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane doe")
    monkeypatch.setattr(getpass, "getuser", lambda: "jane doe")
    shortened = report.without_names({"a": ["/home/jane doe/x", "/home/jane doe", 3, None, True,
                                            "/home/jane doe2/x", "in /home/jane doe; move it",
                                            "/mnt/jane doe/data:/srv/jane doe"]})
    assert shortened == {"a": ["~/x", "~", 3, None, True, "/home/jane doe2/x", "in ~; move it",
                               "/mnt/USER/data:/srv/USER"]}
    assert report.without_names("/mnt/home/jane doe/x") == "/mnt/home/USER/x"
    for home in ("/", ""):
        monkeypatch.setenv("HOME", home)
        assert report.without_names("/a/b") == "/a/b"


def test_a_home_that_is_a_link(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    both = f"{tmp_path}/link/a {tmp_path}/real/b"
    assert report.without_names(both) == "~/a ~/b"


def test_names_that_are_not_text():
    assert report.without_names("/data/\udcff") == "/data/\ufffd"
    assert report.without_names("/数据/é") == "/数据/é"


def test_a_user_without_a_name(monkeypatch):
    def getuser():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", getuser)
    assert report.without_names("/a//b") == "/a//b"
