"""What the pages of documentation hold: fenced blocks, command lines, links, headings."""

import re
from pathlib import Path
from typing import Iterator, List, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.M | re.S)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
HEADING = re.compile(r'^#{1,6} +(?:<a id="([\w-]+)"></a>)?(.+)$', re.M)  # in Chinese with an id


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int  # of the opening fence, from 1
    language: str
    text: str


def pages() -> List[Path]:
    """The pages of the site, and the README."""
    return [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text("utf-8")
    for match in FENCE.finditer(text):
        indent = len(match[1])
        content = "".join(line[indent:] for line in match[3].splitlines(keepends=True))
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[2], content)


def without_fences(page: Path) -> str:
    """A page's text without its fenced blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> List[str]:
    """What a link to a heading of the page may name after #."""
    found: List[str] = []
    for given, heading in HEADING.findall(without_fences(page)):
        if given:
            found.append(given)
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower().strip()).replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return found
