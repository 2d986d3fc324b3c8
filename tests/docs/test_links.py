"""Links between the repository's Markdown files lead somewhere. (make docs checks the site's.)"""

import subprocess

import pytest

import nin_gluon
from tests.docs.pages import DOCS, LINK, ROOT, anchors, pages, without_fences

try:
    TRACKED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True,
                             stdout=subprocess.PIPE, text=True).stdout.split()
except (OSError, subprocess.CalledProcessError):  # not a checkout
    TRACKED = [str(path.relative_to(ROOT)) for folder in (".", "results", "notebooks")
               for path in (ROOT / folder).glob("*.md")]
FILES = sorted({*(ROOT / name for name in TRACKED if (ROOT / name).exists()), *pages()})


@pytest.mark.parametrize("page", FILES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    dead = []
    for link in LINK.findall(without_fences(page)):
        if link.startswith(("http:", "https:", "mailto:", "<")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md"
                                   and not has(target, anchor)):
            dead.append(link)
    assert not dead


def has(page, anchor):
    return anchor in anchors(page) or (anchor == "presets" and page.stem.startswith("settings"))


def test_every_public_name_is_in_the_reference():
    text = (DOCS / "reference" / "python.md").read_text("utf-8")
    missing = [name for name in nin_gluon.__all__
               if name not in ("__version__", "runtime") and f".{name}\n" not in text]
    assert not missing
