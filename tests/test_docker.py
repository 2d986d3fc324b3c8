"""The Dockerfiles, as far as reading can tell; no Docker is needed."""

import re
from pathlib import Path

import pytest

from tests.test_package import setup_arguments

ROOT = Path(__file__).parent.parent


def instructions(name):
    """(instruction, arguments) of a Dockerfile, its continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text("utf-8"), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line]


@pytest.mark.parametrize("name, build", [("Dockerfile", "cpu"), ("Dockerfile.gpu", "gpu")])
def test_dockerfile(name, build):
    found = instructions(name)
    bases = [words.split()[0] for what, words in found if what == "FROM"]
    assert len(set(bases)) == 1 and re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
    installed, = re.findall(r'"\.\[([\w,]+)\]"', " ".join(words for _, words in found))
    assert installed.split(",")[0] == build
    assert set(installed.split(",")) <= set(setup_arguments()["extras_require"])
    kinds = [what for what, _ in found]
    assert kinds.index("USER") < kinds.index("ENTRYPOINT")
    assert dict(found)["USER"] == "nin" and dict(found)["ENTRYPOINT"] == '["nin-gluon"]'


def test_the_two_differ_in_the_build_of_mxnet_only():
    ours, theirs = instructions("Dockerfile"), instructions("Dockerfile.gpu")
    swapped = [(what, words.replace(".[gpu,", ".[cpu,")) for what, words in theirs
               if not words.startswith("NVIDIA_")]
    assert swapped == ours


def test_what_is_copied_is_sent_to_the_builder():
    sent = (ROOT / ".dockerignore").read_text().split()
    for what, words in instructions("Dockerfile"):
        if what == "COPY" and not words.startswith("--from"):
            for source in words.split()[:-1]:
                assert (ROOT / source).exists() and f"!{source}" in sent
