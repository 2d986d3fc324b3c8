"""Every reader takes a damaged file or refuses it in one line; 100 cases each.

300 where fewer do not reach every refusal: files of version 0.1, mostly pickles, and two others.
FUZZ_CASES in the environment gives another number than 100, and three times as many for those:
``FUZZ_CASES=1000 python -m pytest tests/fuzz``. `tests.fuzz` (``make fuzz``) does far more.
"""

import logging
import os

import pytest

from tests.fuzz import __main__ as fuzzer
from tests.fuzz.cases import run_case
from tests.fuzz.readers import READERS

MORE = ("of 0.1", "checkpoint: optimizer.safetensors", "PyTorch: config.json")
CASES = int(os.environ.get("FUZZ_CASES", 100))  # of each reader


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, tmp_path):
    logging.disable()
    try:
        sample = READERS[name](tmp_path)
        sample.file.write_bytes(sample.contents[0])
        sample.read()
        cases = 3 * CASES if any(part in name for part in MORE) else CASES
        outcomes = {seed: run_case(sample, seed) for seed in range(cases)}
    finally:
        logging.disable(logging.NOTSET)
    escapes = {seed: outcome.words for seed, outcome in outcomes.items()
               if outcome.kind == "escape"}
    assert not escapes
    assert sum(outcome.kind == "refused" for outcome in outcomes.values()) > cases / 10


def fuzz(capsys, *options):
    """(exit status, what is printed)"""
    status = fuzzer.main(["--table", "tests.fuzz.bad_readers", "--cases", "6", *options])
    return status, capsys.readouterr().out


def test_the_fuzzer_notices_whatever_goes_wrong(capsys):
    status, out = fuzz(capsys, "--seconds", "1")
    assert status == 1
    rows = {row.split(" | ")[0]: row.split(" | ")[1:5] for row in out.splitlines()
            if row.startswith("| ")}
    assert rows["| raises"] == ["6", "0", "5", "1"]
    assert rows["| crashes"] == ["6", "0", "4", "2"]
    assert rows["| fills_the_memory"] == ["6", "0", "4", "2"]
    assert rows["| hangs"] == ["6", "0", "5", "1"]
    assert rows["| talks"] == ["6", "2", "1", "3"]
    for words in ("--reader 'raises' --seed 3: IndexError('beyond the end')",
                  "--reader 'crashes' --seed 2: ended the process (status -6)",
                  "--reader 'crashes' --seed 4: ended the process (status -6)",
                  "--reader 'fills_the_memory' --seed 1: took 3,1",
                  "--reader 'fills_the_memory' --seed 2: MemoryError()",
                  "--reader 'hangs' --seed 1: took more than 1 seconds",
                  "--reader 'talks' --seed 1: the message is a programmer's",
                  "--reader 'talks' --seed 2: the message does not name the file",
                  "--reader 'talks' --seed 3: the message is not one line of text"):
        assert words in out


def test_one_case_can_be_repeated(capsys):
    status, out = fuzz(capsys, "--reader", "raises", "--seed", "3")
    assert status == 1 and out.startswith("raises: escape, ") and "beyond the end" in out
    status, out = fuzz(capsys, "--reader", "talks", "--seed", "4")
    assert status == 0 and out.startswith("talks: refused, ")
