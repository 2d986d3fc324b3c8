"""The package's metadata, its public names, and how quickly its help comes."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import nin_gluon
from nin_gluon.cli import VERBS

ROOT = Path(__file__).parent.parent


def setup_arguments():
    """The keyword arguments of setup.py's call of setup(), evaluated."""
    text = (ROOT / "setup.py").read_text("utf-8")
    arguments = {}
    code = text.replace("from setuptools import find_packages, setup",
                        "find_packages = lambda **k: []\nsetup = lambda **k: arguments.update(k)")
    exec(compile(ast.parse(code), str(ROOT / "setup.py"), "exec"),
         {"arguments": arguments, "__file__": str(ROOT / "setup.py")})
    return arguments


def pins(requirements):
    """Name -> version part of each requirement, markers and extras of ourselves left out."""
    found = {}
    for line in requirements:
        if not line.startswith("-e"):
            name, version = re.match(r"([\w.-]+)\s*([^;]*)", line).groups()
            found[name.lower()] = version.strip()
    return found


def test_setup_and_environment_pin_alike():
    setup, conda = setup_arguments(), yaml.safe_load((ROOT / "environment.yml").read_text())
    ours = pins(setup["install_requires"])
    for extra in ("cpu", "gpu", "notebooks", "torch", "docs", "test"):
        assert setup["extras_require"][extra]
        ours.update(pins(setup["extras_require"][extra]))
    theirs = pins(d for d in conda["dependencies"] if isinstance(d, str))
    theirs.update(pins(next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict))))
    assert theirs.pop("pip") == ""
    assert theirs.pop("python") == setup["python_requires"]
    assert {name: ours[name] for name in theirs} == theirs
    needed = {**pins(setup["install_requires"]), **pins(setup["extras_require"]["test"]),
              **pins(setup["extras_require"]["cpu"])}
    assert set(needed) - set(theirs) <= {"setuptools"}


def test_the_pins_that_the_chapter_needs():
    extras = setup_arguments()["extras_require"]
    assert extras["cpu"] == ["mxnet==1.9.1"]
    assert extras["gpu"][0] == "mxnet-cu112==1.9.1"
    assert "d2lzh==1.0.0" in extras["notebooks"]
    assert pins(setup_arguments()["install_requires"])["numpy"].endswith("<2")


def test_python_versions_agree_between_setup_and_the_style_checker():
    text = (ROOT / "pyproject.toml").read_text()
    lowest = re.search(r'target-version = "py3(\d+)"', text)[1]
    assert setup_arguments()["python_requires"].startswith(f">=3.{lowest},")


def test_every_gpu_library_has_its_wheel():
    from nin_gluon.runtime import CUDA_LIBRARIES

    wheels = pins(setup_arguments()["extras_require"]["gpu"])
    for folder, _ in CUDA_LIBRARIES:
        assert f"nvidia-{folder.replace('_', '-')}-cu11" in wheels


@pytest.mark.parametrize("name", nin_gluon.__all__)
def test_public_names_exist(name):
    assert getattr(nin_gluon, name) is not None
    assert name in dir(nin_gluon)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        nin_gluon.nonsense  # noqa: B018


# Prints {verb: [exit status, help, what should not have been imported by then]}.
ASK_ALL = """
import contextlib, importlib, io, json, sys
from nin_gluon.cli import VERBS
found = {}
for verb, (module, _) in VERBS.items():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            status = importlib.import_module(module).main(["--help"])
        except SystemExit as end:
            status = end.code
    found[verb] = status, out.getvalue(), sorted({"matplotlib", "mxnet"} & set(sys.modules))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def helps():
    """One process asks all: nothing has been imported at the end if nobody has imported it."""
    run = subprocess.run([sys.executable, "-c", ASK_ALL], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("verb", VERBS)
def test_help_does_not_import_mxnet(verb, helps):
    status, text, imported = helps[verb]
    assert (status, imported) == (0, [])
    # It shows how it is called, beside its usage line.
    assert text.count(f"python -m nin_gluon.{verb} ") > 1


def test_trained_nets_go_into_the_package():
    from nin_gluon.pretrained import weights

    assert Path(weights.__file__).parent == ROOT / "nin_gluon" / "pretrained"
    assert "pretrained/*.safetensors" in setup_arguments()["package_data"]["nin_gluon"]
