"""The ``console`` blocks of the pages: commands after ``$``, and their output, run for real.

    python -m tests.docs.console            run all blocks, and say which outputs differ
    python -m tests.docs.console --write    put the outputs of today into the pages

The blocks of an English page run one after the other in one new folder, with a copy of results/ in
it, in this process. Its Chinese page must have the same blocks, so they are not run again. A line
``...`` stands for any lines. Times and rates are masked. What a run learns in a few steps differs a
little from processor to processor, so figures of `train` and `evaluate` may too.
"""

import contextlib
import io
import logging
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

from nin_gluon import cli
from tests.docs.pages import ROOT, blocks, pages

LEARNED = ("train", "evaluate")
MASKS = ((re.compile(r"time [\d.]+ sec"), "time # sec"),
         (re.compile(r"^about .* to go at .*\n", re.M), ""),
         (re.compile(r"nin_gluon \d+\.\d+\.\d+"), "nin_gluon #"),
         (re.compile(r"[ \t]+$", re.M), ""))
NUMBER = re.compile(r"\d+\.\d+")


def console_pages() -> List[Path]:
    """The English pages that have a console block."""
    return [page for page in pages() if not page.name.endswith(".zh.md") and console_blocks(page)]


def console_blocks(page: Path) -> List[str]:
    """The text of each console block of a page."""
    return [block.text for block in blocks(page) if block.language == "console"]


def in_chinese(page: Path) -> Path:
    """Where the Chinese page of an English one lies, if there is one."""
    return page.with_name(f"{page.stem}.zh.md")


def turns(text: str) -> List[Tuple[str, str]]:
    """(command, output) of each command in a block."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.M)
    return list(zip(parts[1::2], parts[2::2]))


def run_page(page: Path) -> Iterator[Tuple[str, str, str]]:
    """(command, output in the page, output now) of each command of a page."""
    with tempfile.TemporaryDirectory() as folder, inside(Path(folder)):
        shutil.copytree(ROOT / "results", "results")
        status = 0
        for block in console_blocks(page):
            for line, expected in turns(block):
                status, output = run(line, status)
                yield line, expected, output


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(line: str, status: int) -> Tuple[int, str]:
    """Exit status and output of a command line."""
    import mxnet as mx

    words = shlex.split(line)
    if line == "echo $?":
        return 0, f"{status}\n"
    if words[0] == "ls":
        return 0, subprocess.run(words, env={**os.environ, "LC_ALL": "C"}, check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
    assert words[0] == "nin-gluon", f"console blocks run nin-gluon, ls and echo $?, not {line}"
    output = io.StringIO()
    notices = logging.StreamHandler(output)
    logging.getLogger().addHandler(notices)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        with mx.name.NameManager():  # layers are numbered from 0, as in a new process
            try:
                status = cli.main(words[1:])
            except SystemExit as stopped:
                status = stopped.code or 0
    logging.getLogger().removeHandler(notices)
    return status, output.getvalue()


def differs(line: str, expected: str, output: str) -> bool:
    """Whether an output is not what the page says."""
    for pattern, instead in MASKS:
        expected, output = pattern.sub(instead, expected), pattern.sub(instead, output)
    learned = line.split()[1:2] and line.split()[1] in LEARNED
    return not has_parts(output.splitlines(), parts_of(expected.splitlines()),
                         alike if learned else operator.eq)


def parts_of(lines: Sequence[str]) -> List[List[str]]:
    """The lines between those that are ``...``."""
    parts: List[List[str]] = [[]]
    for line in lines:
        if line == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def has_parts(lines: List[str], parts: List[List[str]],
              same: Callable[[List[str], List[str]], bool]) -> bool:
    """Whether an output begins with the first part, ends with the last, and has all in order."""
    *others, last = parts
    for number, part in enumerate(others):
        starts = range(len(lines) - len(part) + 1) if number else [0]
        start = next((i for i in starts if same(part, lines[i:i + len(part)])), None)
        if start is None:
            return False
        lines = lines[start + len(part):]
    return len(lines) >= len(last) and same(last, lines[len(lines) - len(last):]) and (
        len(parts) > 1 or len(lines) == len(last))


def alike(kept: List[str], compared: List[str], tolerance: float = 0.1) -> bool:
    """Whether two texts differ in nothing but figures, and in these by little."""
    expected, output = "\n".join(kept), "\n".join(compared)
    if NUMBER.sub("#", expected) != NUMBER.sub("#", output):
        return False
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(output))
    return all(abs(float(a) - float(b)) <= tolerance for a, b in pairs)


def written(expected: str, output: str) -> str:
    """The output of today, with the parts that the page wants, each of as many lines as it had.

    The first is how the output begins, the last how it ends; the others begin with the line that
    they had, and if that has gone, ValueError says so.
    """
    if "...\n" not in expected:
        return output
    lines = output.splitlines()
    first, *others, last = parts_of(expected.splitlines())
    shown, lines = lines[:len(first)], lines[len(first):]
    for part in filter(None, others):
        if part[0] not in lines:
            raise ValueError(f"the line {part[0]!r} has gone; change the page by hand")
        start = lines.index(part[0])
        shown += ["...", *lines[start:start + len(part)]]
        lines = lines[start + len(part):]
    return "\n".join([*shown, "...", *lines[max(0, len(lines) - len(last)):]]) + "\n"


def main() -> int:
    status = 0
    for page in console_pages():
        changes: Dict[str, str] = {}
        for line, expected, output in run_page(page):
            if differs(line, expected, output):
                status = 1
                print(f"{page.relative_to(ROOT)}: {line}")
                try:
                    changes[f"$ {line}\n{expected}"] = f"$ {line}\n{written(expected, output)}"
                except ValueError as error:
                    print(f"    {error}")
        if "--write" in sys.argv[1:]:
            write(page, changes)
            if in_chinese(page).exists():
                write(in_chinese(page), changes)
    return status


def write(page: Path, changes: Dict[str, str]) -> None:
    """Put new outputs in place of old ones."""
    text = page.read_text("utf-8")
    for old, new in changes.items():
        text = text.replace(old, new, 1)
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
