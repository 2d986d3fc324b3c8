"""What MkDocs calls while it builds the site: pages made from the code, links out of docs/.

In a page, a comment ``<!-- made: NAME -->`` is replaced. ``commands`` is what the parsers print,
``settings`` are tables of `Settings`, and ``verdict`` is the answer on top of REPRODUCTION.md.
Links to files outside docs/ work in the repository as they are; on the site they lead to the
repository's address, and pictures are copied. A link to page.zh.md leads to the Chinese part of
the site, from an English page too. A Chinese heading carries its id in an ``<a>``, since a
repository's own view of the page knows no other way; on the site the id is the heading's.
"""

import argparse
import contextlib
import importlib
import io
import logging
import os
import posixpath
import re
from dataclasses import fields
from pathlib import Path

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

from nin_gluon import cli
from nin_gluon.settings import PRESETS, TEXTBOOK, Settings, setting_of, settings_in

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LINK = re.compile(r"(!?\[[^\]]*\]\()((?:\.\./)+[^)\s#]+)(#[^)\s]*)?\)")
CHINESE = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)\.zh\.md(#[^)\s]*)?\)")
MADE = re.compile(r"<!-- made: (\w+) -->")
HEADING = re.compile(r'^(#+) <a id="([\w-]+)"></a>(.+)$', re.M)

log = logging.getLogger("mkdocs.hooks.docs")


# ------------------------------------------------------------------ called by MkDocs


@event_priority(-200)  # after the languages, which would look for these files in docs/
def on_files(files, config):
    for picture in pictures_elsewhere():
        if files.get_file_from_path(f"images/{picture}") is None:
            files.append(File.generated(config, f"images/{picture}",
                                        abs_src_path=str(ROOT / picture)))
    return files


def pictures_elsewhere():
    """The pictures that pages show and that lie outside docs/, by their path in the repository."""
    targets = {Path(os.path.normpath(page.parent / match[2]))
               for page in DOCS.rglob("*.md") for match in LINK.finditer(page.read_text("utf-8"))
               if match[1].startswith("!")}
    return sorted(target.relative_to(ROOT).as_posix() for target in targets
                  if DOCS not in target.parents and target.exists())


def on_page_markdown(markdown, page, config, files):
    folder = (DOCS / page.file.src_uri).parent
    markdown = MADE.sub(lambda match: PAGES[match[1]](page.file), markdown)
    if page.file.src_uri.endswith(".zh.md"):
        # Within its language a page goes by its English name, and MkDocs checks the anchor too.
        markdown = CHINESE.sub(r"[\1](\2.md\3)", markdown)
        markdown = HEADING.sub(r"\1 \3 {#\2}", markdown)
    else:
        markdown = CHINESE.sub(lambda match: to_chinese(match, folder, page.file), markdown)
    return LINK.sub(lambda match: outward(match, folder, config), markdown)


def on_post_template(output_content, template_name, config):
    """The page for addresses that are not there is the English one: nothing of it in Chinese."""
    again = template_name == "404.html" and config.theme["language"] == "zh"
    return "" if again else output_content


def to_chinese(match, folder, file):
    """A link to page.zh.md from an English page, whose build has no page of that name."""
    text, path, anchor = match[1], match[2], match[3] or ""
    if not (folder / f"{path}.zh.md").exists():
        log.warning("%s links to %s.zh.md, which is not there", file.src_uri, path)
    target = posixpath.join("zh", posixpath.dirname(file.src_uri), f"{path}.html")
    href = posixpath.relpath(target, posixpath.dirname(file.url))
    return f'<a href="{href}{anchor}">{text}</a>'


def outward(match, folder, config):
    """A link out of docs/ as the site has it; links within docs/ stay."""
    text, path, anchor = match[1], match[2], match[3] or ""
    target = Path(os.path.normpath(folder / path))
    if DOCS in target.parents:
        return match[0]
    if not target.exists():
        log.warning("%s links to %s, which is not there", folder, path)
    inside = target.relative_to(ROOT).as_posix()
    if text.startswith("!"):
        to_docs = posixpath.relpath(".", folder.relative_to(DOCS).as_posix())
        return f"{text}{to_docs}/images/{inside})"
    kind = "tree" if target.is_dir() else "blob"
    return f"{text}{config.extra['repository']}/{kind}/main/{inside}{anchor})"


# ------------------------------------------------------------------ pages made from the code


def commands(file):
    """The help of every command, as the parsers print it."""
    os.environ["COLUMNS"] = "92"
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        cli.main(["--help"])
    parts = [f"```text\n{text.getvalue()}```"]
    for verb, (module, about) in cli.VERBS.items():
        parser = importlib.import_module(module).build_parser()
        parts.append(f"## {verb}\n\n{about.capitalize()}.\n\n{help_of(parser)}")
        parts += [f"### {verb} {name}\n\n{help_of(inner)}" for name, inner in inner_parsers(parser)]
    return "\n\n".join(parts)


def help_of(parser):
    return f"```text\n{parser.format_help().rstrip()}\n```"


def inner_parsers(parser):
    """(name, parser) of the verbs within a command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def settings(file):
    """A table for each group of settings, and what each preset changes."""
    parts = []
    for group, title in (("recipe", "Recipe"), ("data", "Data"), ("run", "Run")):
        rows = [row_of(name) for name in settings_in(group)]
        parts.append(f"## {title}\n\n| setting | default | a value is | meaning |\n"
                     f"| --- | --- | --- | --- |\n" + "\n".join(rows))
    rows = [f"| `{name}` | {preset.about} | {changes(preset.settings)} |"
            for name, preset in PRESETS.items()]
    parts.append("## Presets\n\n| preset | what it is | differs from the textbook in |\n"
                 "| --- | --- | --- |\n" + "\n".join(rows))
    return "\n\n".join(parts)


def row_of(name):
    described = setting_of(name)
    default = {f.name: f.default for f in fields(Settings)}[name]
    words = ", ".join(f"`{choice}`" for choice in described.choices) or described.words
    if described.optional:
        words += "; or none"
    return f"| `{name}` | {shown(default)} | {words} | {described.help} |"


def changes(other):
    return ", ".join(f"{name} {shown(value)}"
                     for name, value in other.differences(TEXTBOOK).items()) or "nothing"


def shown(value):
    return "none" if value is None else f"`{value}`"


def verdict(file):
    """What stands above the picture in REPRODUCTION.md, or in the page of the file's language."""
    name = "REPRODUCTION.zh-CN.md" if file.src_uri.endswith(".zh.md") else "REPRODUCTION.md"
    text = (ROOT / name).read_text("utf-8")
    return text[text.index("**"):text.index("![")].strip()


PAGES = {"commands": commands, "settings": settings, "verdict": verdict}
