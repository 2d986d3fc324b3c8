"""The files around the package: changelog, citation, issue forms, troubleshooting, installing."""

import ast
import datetime
import json
import re
from pathlib import Path

import pytest
import yaml

import nin_gluon
from nin_gluon.cli import VERBS

ROOT = Path(__file__).parent.parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")

# ------------------------------------------------------------------ how to install

# The package is on no index: only a checkout (-e .), a wheel file or an address can be installed.
INSTALLERS = re.compile("pip3?|uv|conda|mamba", re.IGNORECASE)
FROM_AN_INDEX = re.compile(
    r"(?:" + INSTALLERS.pattern + r")\s+(?:pip\s+)?(?:install|add)(?:\s+-{1,2}[\w-]+)*"
    r"\s+[\"'\\]*nin[-_]gluon(?!-\d|(?:\[[\w,]*\])?\s*@)", re.IGNORECASE)


@pytest.mark.parametrize("text, wrong", [
    ("run: pip install nin_gluon", True), ("pip install 'nin-gluon[gpu]'", True),
    ("%pip install --quiet \"nin_gluon[cpu]\"", True), ("uv pip install -U nin_gluon.", True),
    ("conda install\n nin_gluon", True),
    ("pip install -e '.[gpu]'", False),
    ("pip install 'nin_gluon-0.2.0-py3-none-any.whl[cpu]'", False),
    ("pip install \"nin_gluon[cpu] @ git+https://host/OWNER/nin_gluon\"", False),
    ("pip uninstall nin_gluon", False),
])
def test_what_counts_as_an_index(text, wrong):
    assert bool(FROM_AN_INDEX.search(text)) == wrong


def strings(code):
    """The texts of a Python file, each as it is when its parts have been joined."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "X"
                          for part in node.values)


def texts(path):
    """What a person may read in a file."""
    text = path.read_text("utf-8")
    yield text
    if path.suffix == ".py" and INSTALLERS.search(text):  # to parse all files takes a second
        yield from strings(text)
    elif path.suffix == ".ipynb":
        for cell in json.loads(text)["cells"]:
            yield "".join(cell["source"])
            for output in cell.get("outputs", ()):
                yield "".join(output.get("text", ()))


READ = sorted(path for folder, pattern in [
    ("nin_gluon", "**/*"), ("docs", "**/*.md"), ("notebooks", "**/*.ipynb"), ("notebooks", "*.md"),
    ("benchmarks", "**/*.py"), (".github", "**/*.yml"), (".", "*.md"), (".", "Dockerfile*"),
    (".", "Makefile"), (".", "setup.py"), (".", "environment.yml")]
    for path in (ROOT / folder).glob(pattern)
    if path.suffix in (".py", ".md", ".ipynb", ".yml", ".html", ".js", ".gpu", "")
    and path.is_file())


def test_nobody_is_sent_to_an_index():
    assert len(READ) > 200 and {ROOT / "Dockerfile", ROOT / "Dockerfile.gpu"} <= set(READ)
    wrong = [path.relative_to(ROOT).as_posix() for path in READ
             if any(FROM_AN_INDEX.search(text) for text in texts(path))]
    assert not wrong


# ------------------------------------------------------------------ version, changelog, citation


def released():
    """[(version, date)] of the changelog, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", text, re.M)


def test_the_changelog():
    assert released()[0][0] == nin_gluon.__version__
    dates = [datetime.date.fromisoformat(date) for _, date in released()]
    assert dates == sorted(dates, reverse=True)
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    kinds = set(re.findall(r"^### (.+)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert "\n## [Unreleased]\n" in text


def test_the_citation():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)  # required by the format
    assert cited["cff-version"] == "1.2.0" and cited["license"] == "MIT"
    assert (cited["version"], cited["date-released"]) == released()[0]
    assert cited["authors"] == [{"name": "nin_gluon developers"}]
    paper, book = cited["references"]
    assert "1312.4400" in paper["url"] and book["title"] == "Dive into Deep Learning"
    for work in (paper, book):
        assert {"type", "title", "authors"} <= set(work)
        assert all({"family-names", "given-names"} == set(person) for person in work["authors"])


def test_what_the_changelog_and_the_contributors_page_name_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text("utf-8")
        for link in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (ROOT / link).exists(), f"{name}: {link}"
        for target in re.findall(r"`make ([\w-]+)`", text):
            assert f"\n{target}:" in makefile, f"{name}: make {target}"


# ------------------------------------------------------------------ issue forms


FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"


@pytest.mark.parametrize("name", ["bug.yml", "question.yml"])
def test_issue_forms(name):
    form = yaml.safe_load((FORMS / name).read_text("utf-8"))
    assert form["name"] and form["description"]
    parts = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["type"] == "textarea" and part["attributes"]["label"] for part in parts)
    ids = [part["id"] for part in parts]
    assert len(set(ids)) == len(ids) and "doctor" in ids
    labels = " ".join(part["attributes"]["label"] for part in parts)
    assert "nin-gluon doctor" in labels and CHINESE.search(labels)
    if name == "bug.yml":
        assert all(part["validations"]["required"] for part in parts if part["id"] != "more")


def test_the_chooser_of_issue_forms():
    chooser = yaml.safe_load((FORMS / "config.yml").read_text("utf-8"))
    assert set(chooser) == {"blank_issues_enabled", "contact_links"}
    assert all({"name", "url", "about"} == set(link) for link in chooser["contact_links"])


# ------------------------------------------------------------------ troubleshooting

# What people type into a search engine.
TYPED = [
    "module 'numpy' has no attribute 'bool'", "bool = onp.bool", "libcudart.so.11.0",
    "libcuda.so.1", "libgomp.so.1", "libquadmath.so.0", "GLIBCXX_3.4.29", "distutils",
    "No matching distribution found for mxnet==1.9.1", "No matching distribution found for numpy<2",
    "2.303", "0.100", "动手学深度学习 NiN 不收敛", "OMP_NUM_THREADS",
    "no kernel image is available for execution on the device",
    "GPU support is disabled. Compile MXNet with USE_CUDA=1", "content hash does not match",
    "Failed downloading url", "Compressed file ended before the end-of-stream marker was reached",
    "set_matplotlib_formats", "nin-gluon doctor",
]


def flat(name):
    """A page of docs/how-to with its line breaks taken away."""
    return re.sub(r"\s+", " ", (ROOT / "docs" / "how-to" / name).read_text("utf-8"))


@pytest.mark.parametrize("page", ["troubleshooting.md", "troubleshooting.zh.md"])
def test_troubleshooting_has_what_people_type(page):
    text = flat(page)
    assert not [words for words in TYPED if words not in text]
    for verb in re.findall(r"(?:nin-gluon|-m nin_gluon\.) ?(\w+)", text):
        assert verb in VERBS, verb


def test_both_languages_have_the_same_commands():
    blocks = [re.findall(r"```\w+ (.*?) ```", flat(f"troubleshooting{language}.md"))
              for language in ("", ".zh")]
    english, chinese = ([re.sub(r" *#.*?(?= python|$)", "", block) for block in each]
                        for each in blocks)
    assert len(english) == len(chinese) > 4
    headings = [re.findall(r"^#{2,3} ", (ROOT / "docs" / "how-to" / f"troubleshooting{language}.md")
                           .read_text("utf-8"), re.M) for language in ("", ".zh")]
    # The English page also has a paragraph in Chinese.
    assert len(headings[0]) == len(headings[1]) + 1
