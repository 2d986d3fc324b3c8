"""Every command in the pages exists and takes the options that it is given there."""

import argparse
import importlib
import re
import shlex

import pytest

from nin_gluon import cli
from tests.docs.pages import CODE, DOCS, ROOT, blocks, pages, without_fences

OURS = re.compile(r"nin-gluon|python -m (nin_gluon|benchmarks|tests)\b|torchrun|"
                  r"docker run .*nin_gluon|unshare\b.*nin_gluon|make\b")
# Beside the pages of the site. The changelog is left out: it names options of old versions, too.
PAGES = [*pages(), *(ROOT / name for name in (
    "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md", "notebooks/README.md", "results/README.md",
    "REPRODUCTION.md", "REPRODUCTION.zh-CN.md"))]
PLACEHOLDERS = {"N": "1", "NAME": "lottery"}  # for words that the reader replaces: what fits
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)


def command_lines(page):
    """(where, command) of each command of ours in a page's blocks and in its text."""
    for block in blocks(page):
        if block.language in ("sh", "text", ""):  # test_console.py runs those of console blocks
            for line in block.text.replace("\\\n", " ").splitlines():
                prompt = line.startswith("$ ")
                if OURS.match(line[2:] if prompt else line) and (prompt or block.language == "sh"):
                    yield (f"{page.relative_to(ROOT)}, block in line {block.line}",
                           line[2:] if prompt else line)
    for code in CODE.findall(without_fences(page)):
        code = code.replace("\\|", "|")
        if OURS.match(code) and "|" not in code and "VERB" not in code:
            yield f"{page.relative_to(ROOT)}, text", code


COMMANDS = [pytest.param(where, line, id=f"{where}: {line}"[:120])
            for page in PAGES for where, line in command_lines(page)]


@pytest.mark.parametrize("where, line", COMMANDS)
def test_the_command_is_one(where, line):
    words = shlex.split(line.replace("...", "x"), comments=True)
    check([PLACEHOLDERS.get(word, word) for word in words])


def check(words):
    """Fail unless these words are a command that its parser takes."""
    words = until_redirection(words)
    if words[0] == "make":
        check_make(words[1:])
    elif words[0] == "docker":
        image = next(i for i, word in enumerate(words) if re.match(r"nin_gluon(:\w+)?$", word))
        check_verb(words[image + 1:])
    elif words[0] == "unshare":
        check(words[words.index("python"):])
    elif words[0] == "torchrun":
        module = words.index("-m")
        assert words[module + 1] == "nin_gluon.train"
        parse("nin_gluon.train", words[module + 2:])
    elif words[0] == "nin-gluon":
        check_verb(words[1:])
    else:
        assert words[:2] == ["python", "-m"]
        check_module(words[2], words[3:])


def until_redirection(words):
    return words[:next((i for i, word in enumerate(words) if word in ("<", ">", "|", "&&")),
                       len(words))]


def check_make(words):
    for word in words:
        name, is_variable, value = word.partition("=")
        if name == "ARGS":
            parse("nin_gluon.train", shlex.split(value))
        elif not is_variable:
            assert name in TARGETS, f"make has no target {name}"


def check_verb(words):
    if words and not words[0].startswith("-"):
        assert words[0] in cli.VERBS, f"nin-gluon has no verb {words[0]}"
        parse(cli.VERBS[words[0]][0], words[1:])


def check_module(name, words):
    module = importlib.util.find_spec(name)
    assert module is not None, f"there is no module {name}"
    if name.startswith(("nin_gluon.", "benchmarks.")):
        parse(name, words)


def parse(name, words):
    """Let a command's own parser take its words."""
    if name == "nin_gluon.torch_edition":
        name += ".__main__"
    if name == "nin_gluon.launch" and "--" in words:
        inner = words.index("--")
        check(words[inner + 1:])
        words = words[:inner]
    if not words and name not in ("nin_gluon.train", "nin_gluon.shapes"):
        return  # the command's name alone, in a sentence
    parser = importlib.import_module(name).build_parser()
    try:
        parser.parse_args(words)
    except SystemExit as stopped:  # --help and --version end with 0
        assert stopped.code in (0, None), f"{name} does not take {words}"
    except argparse.ArgumentError as error:
        pytest.fail(str(error))


def test_commands_are_found():
    """The patterns above still match: the pages hold many commands of many kinds."""
    lines = [param.values[1] for param in COMMANDS]
    verbs = {line.split()[1] for line in lines if line.startswith("nin-gluon ")}
    assert len(lines) > 150 and {"train", "predict", "export", "run", "exercises"} <= verbs
    found = {param.values[0].split(",")[0] for param in COMMANDS}
    assert {str(page.relative_to(ROOT)) for page in PAGES if DOCS not in page.parents} <= found


@pytest.mark.parametrize("words", (["nin-gluon", "trian"], ["nin-gluon", "train", "--speed", "9"],
                                   ["make", "trian"], ["python", "-m", "nin_gluon.nothing"]))
def test_a_wrong_command_is_noticed(words):
    with pytest.raises(AssertionError):
        check(words)


def test_every_verb_has_a_guide():
    """No verb is without an example in the pages of the site, or in the README."""
    text = "\n".join([line for page in pages() for _, line in command_lines(page)]
                     + [block.text for page in pages() for block in blocks(page)])
    missing = [verb for verb, (module, _) in cli.VERBS.items()
               if f"nin-gluon {verb}" not in text and f"{module.split('.__')[0]} " not in text]
    assert not missing
