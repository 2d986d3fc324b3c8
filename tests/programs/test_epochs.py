"""Fewer epochs, without a change to the program's text."""

import ast
import types

from nin_gluon.programs.epochs import FewerEpochs, cap_functions

PROGRAM = """
num_epochs = 5
first = num_epochs
lr, num_epochs = 0.1, 9
second = num_epochs
num_epochs, [rate, batch] = 1, [2, 5]
third, rest = num_epochs, (rate, batch)
num_epochs = 3 * 4
fourth = num_epochs
num_epochs: int = 7
num_epochs: int
sixth = num_epochs

def train(net, num_epochs=6, *, other=7):
    return net, num_epochs, other

def later(*, num_epochs=8):
    return num_epochs

fifth = train("net", num_epochs=10), train("net"), later(), dict(epochs=11, max_epochs=5)
"""


def test_numbers_that_the_program_writes_for_num_epochs_are_lowered():
    names = {}
    tree = ast.fix_missing_locations(FewerEpochs(2).visit(ast.parse(PROGRAM)))
    exec(compile(tree, "program", "exec"), names)
    assert names["first"] == names["second"] == 2
    assert names["sixth"] == 2
    assert names["third"] == 1 and names["rest"] == (2, 5) and names["lr"] == 0.1
    assert names["fourth"] == 12  # no number, but an expression
    assert names["fifth"] == (("net", 2, 7), ("net", 2, 7), 2, {"epochs": 11, "max_epochs": 2})


def test_functions_of_the_book_are_capped():
    book = types.ModuleType("book")

    def train(net, num_epochs, lr=0.1):
        """Train."""
        return net, num_epochs, lr

    def also(num_epochs=5):
        return num_epochs

    def other(epochs):
        return epochs

    book.train, book.also, book.other = train, also, other
    cap_functions(book, 2)
    assert book.train("net", 7) == ("net", 2, 0.1)
    assert book.train(num_epochs=1, net="net") == ("net", 1, 0.1)
    assert book.also() == 2 and book.other(9) == 9
    assert book.train.__doc__ == "Train."
