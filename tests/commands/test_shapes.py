"""The shapes command."""

import subprocess
import sys

import mxnet as mx
import pytest

from nin_gluon.cli import main as nin_gluon_command
from nin_gluon.experiments import published
from nin_gluon.shapes import main


def test_the_textbooks_lines_to_the_letter(capsys):
    with mx.name.NameManager():  # counts the layers from 0, as in the book and a new process
        assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name} output shape:\t {shape}"
                                                    for name, shape in published.SHAPES]


def test_it_is_a_program():
    command = [sys.executable, "-m", "nin_gluon.shapes", "--help"]
    assert subprocess.check_output(command, text=True).startswith("usage: ")


def test_table_sums_parameters_and_macs(capsys):
    assert main(["--table", "--size", "224"]) == 0
    total = capsys.readouterr().out.splitlines()[-1]
    assert total.split() == ["total", "1,992,166", "762,297,352"]


def test_sizes_and_the_console_script(capsys):
    assert nin_gluon_command(["shapes", "--size", "67x100", "--batch", "3", "--channels", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("(3, 96, 15, 23)")


@pytest.mark.parametrize("arguments, sentence", [
    (["--size", "66"], "66x66 pixels is too small"),
    (["--size", "big"], "'big' is not a size"),
    (["--size", "0"], "too small"),
    (["--model", "lenet"], "unknown model 'lenet'; the models are: cifar_nin, mlpconv_nin, nin"),
    (["--batch", "0"], "at least 1"),
    (["--model", "cifar_nin,head=mean"], "unknown head 'mean'; the heads are: gap, fc, fc_dropout"),
])
def test_bad_requests_get_one_line_and_status_2(arguments, sentence, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
