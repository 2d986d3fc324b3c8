"""Nothing in the package reads a file in a way that could run what is in it."""

import ast
from pathlib import Path

import pytest

import nin_gluon

PACKAGE = Path(nin_gluon.__file__).parent

# Modules that unpickle, and so call what a file names.
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}

BUILTINS = {"__import__", "compile", "eval", "exec"}

# Methods that unpickle a file, or hand one to C++ that trusts the lengths in it.
METHODS = {
    "Unpickler", "full_load", "imports", "load_checkpoint", "load_dict", "load_frombuffer",
    "load_optimizer_states", "load_parameters", "load_params", "load_states", "save_states",
    "set_states", "unsafe_load",
}

# Whose `load` and `loads` run nothing: JSON's, safetensors' and functions of this package.
LOADERS = {"json", "checkpoint", "DATASETS[name]", "safetensors.torch", "safetensors.numpy"}


# The command `run` runs the program that the user names; that is what it is for.
ALLOWED = {("programs/scripts.py", "compile"), ("programs/scripts.py", "exec")}


def findings(source):
    """What in a module's source is forbidden, by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in MODULES:
                yield node.module
            elif not (node.module or "").startswith("nin_gluon"):
                yield from (a.name for a in node.names if a.name in METHODS | {"load", "loads"})
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr in METHODS | {"load", "loads"}:
            owner = ast.get_source_segment(source, node.value)
            if node.attr in METHODS or owner not in LOADERS:
                yield f"{owner}.{node.attr}"


def test_the_package_runs_nothing_from_files():
    found = {(path.relative_to(PACKAGE).as_posix(), name)
             for path in PACKAGE.rglob("*.py") for name in findings(path.read_text("utf-8"))}
    assert found == ALLOWED


@pytest.mark.parametrize("source, name", [
    ("import pickle", "pickle"), ("from pickle import loads", "pickle"),
    ("import pickle as p\np.loads(b'')", "pickle"), ("import _pickle", "_pickle"),
    ("eval('1')", "eval"), ("run = exec", "exec"), ("__import__(name)", "__import__"),
    ("mx.nd.load(path)", "mx.nd.load"), ("nd.load(path)", "nd.load"),
    ("net.load_parameters(path)", "net.load_parameters"),
    ("get(net).load_parameters(path)", "get(net).load_parameters"),
    ("trainer.load_states(path)", "trainer.load_states"),
    ("read = trainer.load_states", "trainer.load_states"),
    ("gluon.SymbolBlock.imports(a, b, c)", "gluon.SymbolBlock.imports"),
    ("torch.load(path)", "torch.load"), ("torch.load(path, weights_only=True)", "torch.load"),
    ("other.torch.load(path)", "other.torch.load"),
    ("np.load(path)", "np.load"), ("np.load(path, allow_pickle=True)", "np.load"),
    ("yaml.load(text)", "yaml.load"), ("joblib.load(path)", "joblib.load"),
    ("from mxnet.nd import load_frombuffer", "load_frombuffer"),
    ("from mxnet.nd import load", "load"),
])
def test_the_walk_finds_what_it_should(source, name):
    assert name in set(findings(source))


@pytest.mark.parametrize("source", [
    "json.load(file)", "json.loads(text)", "safetensors.torch.load(data)", "re.compile(x)",
    "checkpoint.load(path)", "net.eval()",
    "from nin_gluon.training.checkpoint import load"])
def test_the_walk_lets_others_pass(source):
    assert not set(findings(source))
