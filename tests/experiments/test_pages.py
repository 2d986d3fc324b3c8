"""The pages of a reproduction: what they rest on, and that no text from a record breaks them."""

import base64
import html.parser
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nin_gluon import InputError, reproduce
from nin_gluon.experiments import pages
from nin_gluon.experiments.pages import code_span, markdown_text, write_pages
from nin_gluon.experiments.published import EDITIONS
from nin_gluon.experiments.seed_groups import QUANTITIES
from tests.experiments.made_runs import BOOK, MACHINE, book_records

NASTY = '<script>alert(1)</script> | `x` *b* [a](http://x) "q" \\ ``y`` <!-- --> _i_ $\\frac$ &lt;'


SIGNED = pages.SIGNATURE.encode()  # in place of a picture


class Tags(html.parser.HTMLParser):
    """Which elements there are, and the text that a browser would show."""

    def __init__(self):
        super().__init__()
        self.names, self.text, self.attributes = [], "", []

    def handle_starttag(self, name, attributes):
        self.names.append(name)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


def parsed(text):
    parser = Tags()
    parser.feed(text)
    return parser


def written(tmp_path, records, **details):
    """The HTML and the Markdown page of these records."""
    details = {"command": "a command", "options": [], **details}
    write_pages(BOOK, {tmp_path / path: record for path, record in records.items()}, tmp_path,
                tmp_path / "PAGE.md", **details)
    return (tmp_path / "report.html").read_text(), (tmp_path / "PAGE.md").read_text()


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(pages, "draw", lambda group: {})


def test_the_pages_say_what_they_rest_on(tmp_path):
    records = book_records(-0.1, 0.05, 0.1)
    for path in records:
        (tmp_path / path).touch()
    page, markdown = written(tmp_path, records)
    for text in (page, markdown):
        assert "All 15 published values lie within the range of 3 seeds (float32 on cpu)." in text
        assert "a &lt;fast&gt; one" in text and "mxnet 1.9.1" in text and "batch_size" in text
        assert "2.2627" in text and "2.1627" in text and "a command" in text
    assert page.count("data:image/png;base64,") == 4 and "http" not in page
    for name in (*(f"float32-cpu-{name}" for name in QUANTITIES), "all-runs"):
        data = (tmp_path / f"{name}.png").read_bytes()
        assert base64.b64encode(data).decode() in page
    links = [part.split(")")[0] for part in markdown.split("](")[1:]]
    assert len(links) >= 8
    assert all((tmp_path / link).exists() for link in links)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert written(tmp_path, records) == (page, markdown)  # and nothing is written again
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_text_from_a_record_does_not_break_the_pages(tmp_path, no_pictures):
    plain = book_records(-0.1, 0.05, 0.1)
    pages_of_plain = written(tmp_path, plain)
    nasty = {path: replace(record, command=NASTY, ctx=NASTY, diverged=NASTY, own_data=NASTY,
                           machine={**MACHINE, "cpu": NASTY, NASTY: [NASTY, 1]},
                           settings=record.settings.but(model=NASTY))
             for path, record in plain.items()}
    nasty = {path.with_name(f'{path.stem}") [x](y) <b>.jsonl'): r for path, r in nasty.items()}
    plain = {path: replace(record, diverged="so", own_data="so", machine={**MACHINE, "so": 1},
                           settings=record.settings.but(model="so"))
             for path, record in plain.items()}
    plain_page, plain_markdown = map(parsed, written(tmp_path, plain))
    page, markdown = written(tmp_path, nasty, command=NASTY, options=[NASTY])
    found = parsed(page)
    assert found.names == plain_page.names  # not one element more
    assert "script" not in found.names
    assert " ".join(found.text.split()).count(NASTY) >= 12  # as it is
    assert parsed(markdown_without_code(markdown)).names == plain_markdown.names == []
    assert pages_of_plain != (page, markdown)
    # Every row of a table has as many cells as its head.
    for table in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        cells = {len(re.findall(r"(?<!\\)\|", without_escapes(row)))
                 for row in table.splitlines()}
        assert len(cells) == 1, table


def without_escapes(row):
    """A backslash escapes another one too, but not within code."""
    return row.replace("\\\\", "")


def markdown_without_code(text):
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"```.*?```", "", text, flags=re.S))


@pytest.mark.parametrize("edition, written", [
    ("d2l-mxnet", [".", "results/textbook"]), ("d2l-pytorch", ["results/d2l-pytorch"])])
def test_the_pages_in_the_repository_follow_from_its_records(tmp_path, monkeypatch, capsys,
                                                              edition, written):
    """But for the pictures, which another Matplotlib may draw otherwise."""
    root = Path(__file__).parents[2]
    shutil.copytree(root / "results" / EDITIONS[edition].folder,
                    tmp_path / "results" / EDITIONS[edition].folder,
                    ignore=shutil.ignore_patterns("*.png", "*.md", "*.html"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pages, "draw", lambda group: dict.fromkeys(QUANTITIES, SIGNED))
    monkeypatch.setattr(pages, "draw_all", lambda verdict: SIGNED)
    assert reproduce.main(["--edition", edition, "--report"]) == 0
    pictures = re.compile(rb"base64,[\w+/=]*")
    made = [path.relative_to(tmp_path) for folder in written
            for path in Path(tmp_path, folder).iterdir() if path.suffix in (".md", ".html")]
    assert len(made) == 3
    for page in made:
        ours, theirs = ((place / page).read_bytes() for place in (tmp_path, root))
        assert pictures.sub(b"", ours) == pictures.sub(b"", theirs), page


def test_pictures_of_runs_with_strange_names(tmp_path):
    record, = book_records(0.0).values()
    group, = pages.groups_of(BOOK, {tmp_path: replace(
        record, settings=record.settings.but(model="$\\frac{$"), own_data="$^$")})
    assert set(pages.draw(group)) == set(QUANTITIES)


def test_text_in_markdown():
    assert markdown_text("x86_64 and avx512_bf16") == "x86_64 and avx512_bf16"
    assert markdown_text("_a_ *b* `c` [d](e) f|g <h>\nh\\") == (
        "\\_a\\_ \\*b\\* \\`c\\` \\[d\\](e) f\\|g &lt;h&gt; h\\\\")


def test_code_in_markdown():
    assert code_span("a <b> | c") == "`a <b> | c`"
    assert code_span("a | b", in_table=True) == "`a \\| b`"
    assert code_span("`a` ``b``") == "``` `a` ``b`` ```"
    assert code_span("a\n\n# b") == "`a # b`"


def test_the_table_of_a_group():
    group, = pages.groups_of(BOOK, book_records(-0.02, 0.03))
    lines = pages.format_group(group).splitlines()
    assert lines[0] == "d2l-mxnet: float32 on cpu; 2 seeds: 0-1"
    row = next(line for line in lines if line.startswith("    1"))
    assert row.split() == ["1", "2.2627", "2.2427", "2.2677", "2.2927", "1/2", "0.154", "0.134",
                           "0.159", "0.184", "1/2", "0.362", "0.342", "0.367", "0.392", "1/2"]
    assert lines[-1] == group.verdict()


def test_files_of_others_are_left_alone(tmp_path, no_pictures):
    (tmp_path / "PAGE.md").write_text("mine")
    with pytest.raises(InputError, match="was not written by this command"):
        written(tmp_path, book_records(0.0))
    assert (tmp_path / "PAGE.md").read_text() == "mine"


def test_the_command_that_runs_a_group():
    records = book_records(0.0, 0.1, dtype="bfloat16", epochs=2, engine="torch")
    records = {path: replace(r, device="gpu", ctx="gpu(1)") for path, r in records.items()}
    group, = pages.groups_of(BOOK, records)
    assert pages.run_command(group, ["--limit", "9"]) == (
        "python -m nin_gluon.reproduce --seeds 0-1 --limit 9 --dtype bfloat16 "
        "--engine torch --epochs 2 --ctx 'gpu(1)'")
