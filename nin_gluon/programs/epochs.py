"""Fewer epochs than a program says, without a change to its text.

The book's programs call the number ``num_epochs``, and ``max_epochs`` in its last edition. It is
lowered in two places: where a program writes a number for it, and where a function of the book's
package is given it.
"""

import ast
import functools
import inspect
from types import ModuleType
from typing import Any, Callable

__all__ = ["FewerEpochs", "cap_functions"]

NAMES = ("num_epochs", "max_epochs")


class FewerEpochs(ast.NodeTransformer):
    """Lowers the numbers that a program, once parsed, writes for one of `NAMES`.

    These are assignments (``lr, num_epochs = 0.1, 5`` and ``num_epochs: int = 5`` too), keyword
    arguments and default values.
    Other expressions stay as they are.

    Parameters
    ----------
    most : int
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        for target in node.targets:
            self.lower(target, node.value)
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            self.lower(node.target, node.value)
        self.generic_visit(node)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg in NAMES:
            self.lower(ast.Name(node.arg), node.value)
        self.generic_visit(node)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        positional = [*getattr(node, "posonlyargs", ()), *node.args]
        defaults = list(zip(reversed(positional), reversed(node.defaults)))
        for argument, value in [*defaults, *zip(node.kwonlyargs, node.kw_defaults)]:
            if value is not None:
                self.lower(ast.Name(argument.arg), value)
        self.generic_visit(node)
        return node

    def lower(self, target: ast.AST, value: ast.AST) -> None:
        """Lower the value if the target is one of the names; go into tuples."""
        if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
            for part, its_value in zip(target.elts, value.elts):
                self.lower(part, its_value)
        elif (isinstance(target, ast.Name) and target.id in NAMES
              and isinstance(value, ast.Constant) and type(value.value) is int):
            value.value = min(value.value, self.most)


def cap_functions(module: ModuleType, most: int) -> None:
    """Cap the argument ``num_epochs`` (or ``max_epochs``) of every function of a module.

    Parameters
    ----------
    module : module
        Such as ``d2lzh.utils``.
    most : int
    """
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if not set(NAMES).isdisjoint(inspect.signature(function).parameters):
            setattr(module, name, capped(function, most))


def capped(function: Callable[..., Any], most: int) -> Callable[..., Any]:
    """The function, called with at most so many epochs."""
    signature = inspect.signature(function)
    name = next(name for name in NAMES if name in signature.parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        if isinstance(given.arguments[name], int):
            given.arguments[name] = min(given.arguments[name], most)
        return function(*given.args, **given.kwargs)

    return call
