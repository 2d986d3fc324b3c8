"""What a notebook's code tells of a run: the framework, the epochs and the recipe.

The code is read as a syntax tree and never run. A notebook goes on after the chapter: readers train
again with another rate, leave a layer out, or build the next chapter's net. So the settings are
those of the call that trains, and a recipe is told only of a net that is built as in the book.
"""

import ast
import re
import warnings
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Set, Tuple, Union

from nin_gluon.experiments.atlas.published_logs import RECIPES

__all__ = ["NotebookCode", "Told"]

Number = Union[int, float]

IMPORTS = {
    "mxnet": r"^[ \t]*(?:import d2lzh|import gluonbook|import mxnet|from mxnet)\b",
    "mxnet-np": r"\bfrom d2l import mxnet\b|\bfrom mxnet import .{0,80}\bnpx?\b",
    "pytorch": r"^[ \t]*(?:import torch|from torch|from d2l import torch|import d2lzh_pytorch)\b",
    "tensorflow": r"^[ \t]*(?:import tensorflow|from d2l import tensorflow)\b",
    "paddle": r"^[ \t]*(?:import paddle|from d2l import paddle)\b",
    "jax": r"^[ \t]*(?:import jax|from jax|from flax|from d2l import jax)\b",
}

# What a number is, by its name: `lr1`, `max_epochs`.
ROLES = {"lr": re.compile(r"(lr|learning_rate)(?![a-z])"), "epochs": re.compile(r".*epochs"),
         "batch_size": re.compile(r"batch_?size"), "resize": re.compile(r"resize$")}

UNKNOWN = 0  # a setting that is no plain number; no recipe has it

# The same of plain numbers, by their place in a call.
PLACES = {"train_ch5": {3: "batch_size", 6: "epochs"}, "train_ch6": {3: "epochs", 4: "lr"},
          "load_data_fashion_mnist": {0: "batch_size", 1: "resize"}, "SGD": {1: "lr"},
          "Adam": {1: "lr"}, "Resize": {0: "resize"}, "DataLoader": {1: "batch_size"}}

TRAINS = re.compile(r"train|fit$")
LOADS = re.compile(r"load_(state_dict|parameters|params|weights)$")
OPTIMIZER = re.compile(r"(?:SGD|Adam\w*|RMSprop|Adagrad|Adadelta|Nadam|LBFGS)$", re.I)
THE_NET = re.compile(r"NiN|(?<![A-Za-z])(?:[Nn]in|NIN)(?!_gluon)(?![a-z])")
BLOCK = re.compile(r"nin_?block", re.I)
CONVOLUTION = re.compile(r"(?:Lazy)?Conv(?:2d)?$", re.I)
FOREIGN = re.compile(r"Norm(\dd|alization)?$|Linear$|Dense$|.ReLU$|Sigmoid$|Tanh$|ELU$|SiLU$")
BLOCKS = [(96, 11, 4), (256, 5, 1), (384, 3, 1), (10, 3, 1)]  # channels, window, stride

# Longer ones are read by the line: the depth of a syntax tree is limited by the length of its text,
# and Python does not survive a very deep one.
MAX_CELL = 10_000  # characters
MAX_LINE = 500
MAX_CODE = 500_000  # of all cells; a chapter of the book has a hundredth


@dataclass(frozen=True)
class Told:
    """What the code tells; None where it does not."""

    framework: Optional[str] = None
    recipe: Optional[str] = None
    epochs: Optional[int] = None


@dataclass
class NotebookCode:
    """The code of a notebook's cells so far; nothing is told of more than `MAX_CODE` characters."""

    cells: List[str] = field(default_factory=list)
    size: int = 0  # characters
    numbers: Dict[str, Number] = field(default_factory=dict)  # by variable
    latest: Dict[str, Number] = field(default_factory=dict)  # by role
    optimizer: str = "sgd"  # or "" for one with momentum or weight decay
    # What variables, functions and classes were made of.
    made: Dict[str, List[ast.AST]] = field(default_factory=dict)
    trained: Set[str] = field(default_factory=set)  # nets that are not new any more
    call: Optional[ast.Call] = None  # what trains in the last cell
    goes_on: bool = False  # whether that trains a net that is not new

    def read(self, source: str) -> None:
        """Take in the next cell."""
        self.call, self.goes_on = None, False
        self.size += len(source)
        if self.size > MAX_CODE:
            return
        self.cells.append(source)
        for statement in statements(source):
            calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
            for call in calls:
                self.note_optimizer(call)
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                self.made[statement.name] = [statement]  # its own variables are of no concern
                continue
            for node in ast.walk(statement):
                self.note(node)
            for call in calls:
                self.note_training(call)

    def told(self) -> Told:
        """What the code so far tells of the runs in the last cell."""
        if self.size > MAX_CODE:
            return Told()
        settings = {**self.latest, **(self.settings_of(self.call) if self.call else {})}
        epochs = settings.get("epochs")
        recipe = None if self.goes_on else self.recipe(settings)
        return Told(self.framework(), recipe, int(epochs) if epochs else None)

    def note(self, node: ast.AST) -> None:
        """Remember what later code may refer to."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name, value in pairs(target, node.value):
                    self.assign(name, value)
        elif isinstance(node, ast.AnnAssign) and node.value:
            for name, value in pairs(node.target, node.value):
                self.assign(name, value)
        elif isinstance(node, ast.For):
            for name in identifiers(node.target):
                self.assign(name, node)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.assign(node.target.id, node)
        elif isinstance(node, ast.Call):
            settings, owner = self.settings_of(node), owner_of(node)
            if owner and name_of(node) == "load_data_fashion_mnist":  # the book's: 28 by default
                settings.setdefault("resize", 28)
            self.latest.update(settings)
            if owner and name_of(node) == "add":
                self.made.setdefault(owner, []).append(node)

    def assign(self, name: str, value: ast.AST) -> None:
        number = self.number(value)
        if number is not None:
            self.numbers[name] = number
        else:
            self.numbers.pop(name, None)
            if name not in identifiers(value):  # `net = net.to(device)` is the net from before
                self.trained.discard(name)
                self.made[name] = []
            self.made.setdefault(name, []).append(value)
        self.latest.update({role: number or UNKNOWN for role in roles(name)})

    def note_optimizer(self, call: ast.Call) -> None:
        """Which optimizer it makes: ``optim.SGD(...)`` or ``gluon.Trainer(..., 'sgd', ...)``."""
        words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        named = [word for word in [name_of(call), *words]
                 if isinstance(word, str) and OPTIMIZER.match(word)]
        if named:
            more = [self.number(value) for key, value in named_values(call)
                    if key in ("momentum", "weight_decay", "wd")]
            self.optimizer = "" if any(value != 0 for value in more) else named[0].lower()

    def note_training(self, call: ast.Call) -> None:
        """Remember what trains, and which nets are trained."""
        if call.args and TRAINS.match(name_of(call)):
            net = call.args[0]
            self.call, self.goes_on = call, False
            if isinstance(net, ast.Name) and not self.makes_all_anew():
                self.goes_on = net.id in self.trained
                self.trained.add(net.id)
        elif name_of(call) in ("apply", "initialize"):
            self.trained.discard(owner_of(call))
        elif LOADS.match(name_of(call)):
            self.trained.add(owner_of(call))

    def makes_all_anew(self) -> bool:
        """Whether the later editions' train_ch6 trains, which makes the optimizer and initializes
        the net."""
        return (self.call is not None and name_of(self.call) == "train_ch6"
                and "train_ch6" not in self.made)

    def number(self, node: ast.AST) -> Optional[Number]:
        """The number that an expression is; of several, such as (224, 224), the first."""
        if isinstance(node, (ast.Tuple, ast.List)) and node.elts:
            return self.number(node.elts[0])
        if isinstance(node, ast.Name):
            return self.numbers.get(node.id)
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 1e9:
            return value
        return None

    def settings_of(self, call: ast.Call) -> Dict[str, Number]:
        """The settings among a call's arguments, by role."""
        found: Dict[str, Number] = {}
        places = PLACES.get(name_of(call), {})
        given = [(value.id if isinstance(value, ast.Name) and roles(value.id)
                  else places.get(place, ""), value)
                 for place, value in enumerate(call.args)]
        for name, value in [*given, *named_values(call)]:
            number = self.number(value)
            if number is not None or not isinstance(value, ast.Name):
                found.update({role: number or UNKNOWN for role in roles(name)})
        return found

    # ------------------------------------------------------------------ what it tells

    def framework(self) -> Optional[str]:
        """The one framework that the code imports; None if there is none or several."""
        text = "\n".join(self.cells)
        found = [name for name, pattern in IMPORTS.items() if re.search(pattern, text, re.M)]
        if set(found) == {"mxnet", "mxnet-np"}:  # the later editions use parts of the first one
            return "mxnet-np"
        return found[0] if len(found) == 1 else None

    def recipe(self, settings: Dict[str, Number]) -> Optional[str]:
        """The key of the recipe that the code follows, or None if it is unknown."""
        lr, size = settings.get("lr"), settings.get("resize")
        optimizer = "sgd" if self.makes_all_anew() else self.optimizer
        names = self.names_in_net()
        if lr is None or settings.get("batch_size", 128) != 128 or names is None:
            return None
        if any("mlpconv" in name for name in names):
            return "mlpconv" if (lr, size) == (0.2, 112) else None
        if size not in (None, 224):
            return None
        name = f"{optimizer}-{lr:g}"
        if any(re.match(r"AdaptiveMaxPool2d$|GlobalMaxPool", name, re.I) for name in names):
            name += "-max-pooling"
        return name if name in RECIPES else None

    def names_in_net(self) -> Optional[List[str]]:
        """The names in the code of the net that is trained; None if it is not the book's."""
        parts = self.parts_of(self.call.args[0]) if self.call else []
        if len(parts) < 2:  # nothing says what is trained
            text = re.sub(r"#.*", "", "\n".join(self.cells))
            return re.findall(r"\w+", text) if THE_NET.search(text) else None
        names = [name for part in parts for name in identifiers(part)]
        calls = [node for part in parts for node in ast.walk(part) if isinstance(node, ast.Call)]
        blocks = [node for node in calls if BLOCK.match(name_of(node))]
        sizes = [self.block_sizes(block) for block in blocks]
        dropout = [self.number(value) for node in calls if name_of(node).startswith("Dropout")
                   for value in [*node.args, *(value for _, value in named_values(node))][:1]]
        if not any(THE_NET.search(name) for name in names) or any(
                FOREIGN.search(name_of(node)) for node in calls):
            return None
        if sizes and all(None not in size for size in sizes) and (
                (sizes, dropout) != (BLOCKS, [0.5])):
            return None
        for name in {name_of(block) for block in blocks} & set(self.made):
            layers = [node for part in self.made[name] for node in ast.walk(part)
                      if isinstance(node, ast.Call) and CONVOLUTION.match(name_of(node))]
            if len(layers) != 3:
                return None
        return names

    def parts_of(self, node: ast.AST) -> List[ast.AST]:
        """An expression, and what all that it refers to was made of."""
        parts, names, seen = [node], list(identifiers(node)), set()
        for name in names:  # which grows
            if name not in seen:
                seen.add(name)
                for part in self.made.get(name, []):
                    parts.append(part)
                    names += identifiers(part)
        return parts

    def block_sizes(self, call: ast.Call) -> Tuple[Optional[Number], ...]:
        """(channels, window, stride) of a call that makes a block, None where it does not tell."""
        named = dict(named_values(call))
        given = [self.number(value) for value in call.args]
        # PyTorch's blocks take the number of input channels first.
        first = len(given) + len(named) - 4
        given = given[first if first in (0, 1) else 0:]
        for names in (("kernel_size",), ("strides", "stride")):
            given += [self.number(named[name]) for name in names if name in named]
        return tuple([*given, None, None, None][:3])


# ------------------------------------------------------------------ syntax trees


def statements(source: str) -> List[ast.stmt]:
    """The statements of a cell; of one that is no Python, those that fill a line."""
    plain = re.sub(r"^([ \t]*)[%!].*", r"\1pass", source, flags=re.M)  # IPython's commands
    found = parsed(plain, MAX_CELL)
    if found is not None:
        return found
    lines = [parsed(line.strip(), MAX_LINE) for line in plain.splitlines()]
    return [statement for body in lines if body for statement in body]


def parsed(text: str, longest: int) -> Optional[List[ast.stmt]]:
    """The statements; None if it is no Python, or longer."""
    try:
        with warnings.catch_warnings():  # "invalid escape sequence" is not our user's concern
            warnings.simplefilter("ignore")
            return ast.parse(text).body if len(text) <= longest else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def name_of(call: ast.Call) -> str:
    """``train_ch6`` of ``d2l.train_ch6(...)``."""
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def owner_of(call: ast.Call) -> str:
    """``d2l`` of ``d2l.train_ch6(...)``; '' of any other call."""
    func = call.func
    return getattr(func.value, "id", "") if isinstance(func, ast.Attribute) else ""


def roles(name: str) -> List[str]:
    return [role for role, pattern in ROLES.items() if pattern.match(name.lower())]


def pairs(target: ast.AST, value: ast.AST) -> Iterator[Tuple[str, ast.AST]]:
    """The names and values of an assignment, also of ``lr, num_epochs = 0.1, 10``."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, its in zip(target.elts, value.elts):
            yield from pairs(each, its)


def named_values(call: ast.Call) -> Iterator[Tuple[str, ast.AST]]:
    """Its arguments by name, also those in a dictionary: ``{'learning_rate': lr}``."""
    for keyword in call.keywords:
        if keyword.arg:
            yield keyword.arg, keyword.value
    for arg in call.args:
        if isinstance(arg, ast.Dict):
            for key, value in zip(arg.keys, arg.values):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value


def identifiers(node: ast.AST) -> Iterator[str]:
    """The names in a piece of code."""
    for each in ast.walk(node):
        for attribute in ("id", "attr", "name"):
            name = getattr(each, attribute, None)
            if isinstance(name, str):
                yield name
