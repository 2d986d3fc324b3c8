"""The benchmark of the book's nets runs, and its table says what was measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import book
from nin_gluon.training.history import parse_log


@pytest.mark.skipif(not os.environ.get("NIN_GLUON_DATA"), reason="needs the real files")
def test_the_same_log_is_printed_either_way_and_both_are_timed(tmp_path, capsys):
    out = tmp_path / "book.json"
    assert book.main(["--nets", "LeNet", "--images", "64", "--rounds", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2].startswith("| LeNet | 28x28 | ")
    assert printed.err.count("LeNet, ") == 2
    assert [len(times) for times in json.loads(out.read_text())["seconds"]["LeNet"].values()] == [
        1, 1]
    logs = json.loads(out.read_text())["logs"]["LeNet"]
    assert [len(parse_log("\n".join(log))) for way in logs.values() for log in way] == [2, 2]
    assert book.main(["--out", str(out)]) == 2  # figures are not overwritten


def test_it_starts_from_nothing():
    """In a process of its own, in which nobody has made MXNet importable before."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-m", "benchmarks.book", "--help"], cwd=root,
                          capture_output=True, text=True)
    assert done.returncode == 0 and "GoogLeNet" in done.stdout, done.stderr


def test_the_table():
    report = {"images": 9, "machine": book.machine(),
              "seconds": {"NiN": {"d2lzh": [30, 20, 10], "--fast": [4, 6, 5]}}}
    assert book.table(report).splitlines()[2] == "| NiN | 224x224 | 20.0 | 5.0 | 4.00 x |"


def test_the_table_of_one_way():
    report = {"images": 9, "machine": book.machine(), "seconds": {"NiN": {"d2lzh": [30.0]}}}
    assert book.table(report).splitlines()[2] == "| NiN | 224x224 | 30.0 |  |  |"
