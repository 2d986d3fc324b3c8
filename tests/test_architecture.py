"""The package is built as docs/explanation/architecture.md says: imports point down."""

import ast
from functools import lru_cache
from pathlib import Path

import pytest

import nin_gluon
from nin_gluon.cli import VERBS

PACKAGE = Path(nin_gluon.__file__).parent

# Top floor first. A file may import from its own floor and from those below.
FLOORS = [
    ("commands", {"cli", *(module.split(".", 1)[1] for module, _ in VERBS.values())}),
    ("experiments, other people's programs, the PyTorch edition and the demo's page",
     {"experiments", "programs", "torch_edition", "playground"}),
    ("analysis, exports and diagnosis", {"analysis", "exports", "diagnosis"}),
    ("training", {"training"}),
    ("models, data and plots", {"models", "torch_models", "data", "plots", "pretrained"}),
    ("runtime", {"runtime"}),
    ("foundations", {"settings", "model_options", "checked_files", "array_files", "atomic_files",
                     "text_tables", "errors", "extras"}),
]


def modules():
    """{dotted name without the package: path} of every file; a package has its own name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@lru_cache(maxsize=None)
def statements(name):
    """Every import and every call in a module."""
    return [node for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8")))
            if isinstance(node, (ast.Import, ast.ImportFrom, ast.Call))]


@lru_cache(maxsize=None)
def imports(name):
    """The package's modules that a module imports, at its top or inside functions."""
    found = set()
    for node in statements(name):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from package import name`: the name may be a module of it.
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            if not target.startswith("nin_gluon."):
                continue
            parts = target.split(".")[1:]
            while parts and ".".join(parts) not in MODULES:
                parts.pop()
            found.add(".".join(parts))
    return found - {"", name}  # "" is the package itself: its version, its public names


def floor_of(name):
    for number, (_, members) in enumerate(FLOORS):
        if name in members or name.split(".")[0] in members - {"torch_edition"}:
            return number
    return 1 if name.startswith("torch_edition") else None


def test_imports_name_their_module_in_full():
    """The other tests here would not see a relative import."""
    relative = {name for name in MODULES for node in statements(name)
                if isinstance(node, ast.ImportFrom) and node.level}
    assert not relative


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_point_down(name):
    floor = floor_of(name)
    assert floor is not None, (
        f"{name} is in no room: add it to FLOORS and docs/explanation/architecture.md")
    upward = {other for other in imports(name) if floor_of(other) < floor}
    assert not upward, f"{name} imports from above: {upward}"


def test_no_two_files_import_each_other():
    graph = {name: imports(name) for name in MODULES if name}
    finished, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name):], name])
        if name in finished:
            return
        path.append(name)
        for other in graph[name]:
            visit(other)
        finished.add(path.pop())

    for name in graph:
        visit(name)


def test_no_command_is_an_init_file():
    for module, _ in VERBS.values():
        assert MODULES[module.split(".", 1)[1]].name != "__init__.py"


def called(function):
    """What is called, such as `exit` or `sys.exit`; "" if it is more than a name in a module."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return f"{function.value.id}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else ""


def test_nothing_below_the_commands_parses_options_or_exits():
    for name in MODULES:
        if name and floor_of(name):
            for node in statements(name):
                if isinstance(node, ast.Call):
                    assert called(node.func) not in ("sys.exit", "exit", "quit"), name
                else:
                    named = [alias.name for alias in node.names]
                    named.append(getattr(node, "module", None) or "")
                    assert "argparse" not in " ".join(named), name


def test_exits_are_told_by_their_calls():
    calls = [node.func for node in ast.walk(ast.parse("sys.exit(2)\nexit()\nnet.exits[0]()"))
             if isinstance(node, ast.Call)]
    assert [called(function) for function in calls] == ["sys.exit", "exit", ""]


def test_every_room_is_described():
    page = (PACKAGE.parent / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    rooms = {path.name for path in PACKAGE.iterdir()
             if path.is_dir() and (path / "__init__.py").exists()}
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    missing = [name for name in rooms if f"`{name}/`" not in page]
    missing += [name for name in files if f"`{name}`" not in page]
    assert not missing
