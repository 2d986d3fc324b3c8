"""A reproduction as text: a table for the terminal, an HTML and a Markdown page, pictures.

All of it follows from the records alone, so writing it again changes no byte. Records may come
from anybody, so their text is escaped wherever it is printed.
"""

import base64
import functools
import html
import math
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence, Tuple
from urllib.parse import quote

from nin_gluon.atomic_files import write_ours
from nin_gluon.experiments.atlas.groups import group_runs, published_runs
from nin_gluon.experiments.atlas.published_logs import read_atlas
from nin_gluon.experiments.published import Edition
from nin_gluon.experiments.records import Record, named_settings
from nin_gluon.experiments.seed_groups import (
    QUANTITIES,
    Group,
    groups_of,
    machines_of,
    same_seeds,
    series,
)
from nin_gluon.experiments.verdict import Values, Verdict, verdict_of
from nin_gluon.experiments.verdict_chinese import ChineseVerdict, chinese_row
from nin_gluon.experiments.wording import seed_words
from nin_gluon.settings import Settings
from nin_gluon.text_tables import counted

if TYPE_CHECKING:
    import jinja2

__all__ = ["code_span", "draw", "format_group", "markdown_text", "write_pages"]

# In every file written here. One without it is somebody else's and is left alone.
SIGNATURE = "Written by nin_gluon.reproduce"


# ------------------------------------------------------------------ the table


def format_group(group: Group) -> str:
    """The table of a group, an epoch a row, its notes, and last its verdict."""
    digits = group.edition.decimals
    widths = {name: digits[name] + 2 for name in QUANTITIES}  # of one value
    seeds = counted(len(group.records), "seed")
    lines = [f"{group.edition.name}: {group.title}; {seeds}: {seed_words(group.seeds)}", ""]
    heads = [" ".join([f"{'publ.':>{w}}", f"{'min':>{w}}", f"{'med.':>{w}}", f"{'max':>{w}}",
                       "below "]) for w in widths.values()]
    titles = [f" {title} ".center(len(head), "-") for title, head in
              zip(QUANTITIES.values(), heads)]
    lines += ["  ".join(["     ", *titles]).rstrip(), "  ".join(["epoch", *heads]).rstrip()]
    for epoch, row in group.rows.items():
        cells = [f"{epoch:5}"]
        for name, s in row.items():
            w = widths[name]
            published = "-" if s.published is None else s.show(s.published)
            below = ("-" if s.published is None else
                     f"{s.below}/{s.seeds}" + ("*" if s.outside else ""))
            cells.append(" ".join([f"{published:>{w}}", *(f"{s.show(v):>{w}}" for v in
                                                          (s.low, s.median, s.high)),
                                   f"{below:6}"]))
        lines.append("  ".join(cells).rstrip())
    lines += ["", "below: how many of the seeds lie below the published value; * it lies outside "
                  "their range", *group.notes(), group.verdict()]
    return "\n".join(lines)


# ------------------------------------------------------------------ escaping


def markdown_text(value: object) -> str:
    """Text that Markdown, with or without tables, shows as it is.

    Markdown passes HTML through, so it is escaped for both.
    """
    text = html.escape(" ".join(str(value).split()), quote=False)
    # Underscores within a word mean nothing.
    return re.sub(r"[\\`*\[\]|]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)


def code_span(value: object, in_table: bool = False) -> str:
    """Text as code in Markdown. Only in a table does a bar have to be escaped within code."""
    text = " ".join(str(value).split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""  # a backtick at the end would belong to the fence
    code = f"{fence}{space}{text}{space}{fence}"
    return code.replace("|", r"\|") if in_table else code


def link_target(value: object) -> str:
    """A relative path as the target of a link."""
    return quote(str(value))


def comment(value: object) -> str:
    """Text within an HTML comment, which it must not end."""
    return html.escape(" ".join(str(value).split()), quote=False)


# ------------------------------------------------------------------ files


def write_pages(edition: Edition, records: Mapping[Path, Record], folder: Path, markdown: Path,
                command: str, options: Sequence[str]) -> List[Group]:
    """Write the pages and pictures of records; return the records' groups.

    Where there is a verdict, its page is written in Chinese, too.

    Parameters
    ----------
    edition : Edition
    records : mapping of Path to Record
        By the files that they are kept in. At least one, or the edition has a verdict without.
    folder : pathlib.Path
        Of the records, for ``report.html`` and the pictures.
    markdown : pathlib.Path
        The page as Markdown.
    command : str
        What writes these pages.
    options : sequence of str
        Of the reproduce command, quoted, for these records.

    Raises
    ------
    InputError
        A file that is not ours is in the way.
    """
    groups = groups_of(edition, records)
    atlas = read_atlas()
    published = group_runs(published_runs(atlas))
    verdict = verdict_of(edition, records.values(), atlas)
    all_runs = draw_all(verdict) if verdict else None
    pictures = {group.slug: draw(group) for group in groups}
    facts = {
        "signature": SIGNATURE, "edition": edition, "command": command, "groups": groups,
        "pictures": pictures, "quantities": QUANTITIES, "pairs": same_seeds(groups),
        "machines": machines_of(groups), "setting_names": list(named_settings(edition.recipe)),
        "recipe": recipe_words(edition.recipe),
        "starts_command": " ".join(["python -m nin_gluon.reproduce --starts", *options]),
        "run_commands": {group.slug: run_command(group, options) for group in groups},
        "records": Path(os.path.relpath(folder, markdown.parent)).as_posix(),
        "verdict": verdict, "all_runs": all_runs,
        "chinese": ChineseVerdict(verdict) if verdict else None,
        "atlas_rows": [[group.title, len(group.runs), *group.cells()] for group in published],
        "chinese_atlas_rows": [chinese_row(group) for group in published],
        "chinese_page": chinese_page(markdown).name, "english": markdown.name,
    }
    if all_runs:
        write_ours(folder / "all-runs.png", all_runs, SIGNATURE)
    for group in groups:
        for name, data in pictures[group.slug].items():
            write_ours(folder / f"{group.slug}-{name}.png", data, SIGNATURE)
    pages = {folder / "report.html": "reproduction.html", markdown: "reproduction.md"}
    if verdict:
        pages[chinese_page(markdown)] = "reproduction.zh-CN.md"
    for path, template in pages.items():
        write_ours(path, render(template, facts).encode(), SIGNATURE)
    return groups


def chinese_page(markdown: Path) -> Path:
    """Where the page in Chinese goes, beside the one in English."""
    return markdown.with_name(f"{markdown.stem}.zh-CN{markdown.suffix}")


def render(template: str, facts: Dict[str, Any]) -> str:
    """A page. In HTML every value is escaped; Markdown has filters for its different places."""
    return compiled(template).render(facts)


@functools.lru_cache(maxsize=None)  # the pages are written again after every seed
def compiled(template: str) -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nin_gluon.experiments"), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=template.endswith(".html"))
    environment.filters.update(
        text=markdown_text, code=code_span, link=link_target, comment=comment,
        base64=lambda data: base64.b64encode(data).decode("ascii"))
    return environment.get_template(template)


def draw(group: Group) -> Dict[str, bytes]:
    """The pictures of a group as PNG files: {quantity: bytes}."""
    from nin_gluon import plots

    guesses = {"loss": plots.LN_10, "train_acc": 0.1, "test_acc": 0.1}
    # A dollar sign would begin a formula.
    title = f"{group.edition.name}, {group.title}".replace("$", r"\$")
    return {name: plots.png(plots.draw_band(*series(group, name), words, guesses[name], title),
                            SIGNATURE)
            for name, words in QUANTITIES.items() if group.rows}


def draw_all(verdict: Verdict) -> bytes:
    """The picture of all runs of the recipe, the published log over them, as a PNG file."""
    from nin_gluon import plots

    def curve(run: Values, made: float = math.inf) -> List[Tuple[int, float]]:
        return [(epoch, value) for (epoch, name), value in sorted(run.items())
                if name == "test_acc" and epoch <= made]

    made = verdict.made or [math.inf] * len(verdict.others)
    return plots.png(plots.draw_runs([curve(*run) for run in zip(verdict.others, made)],
                                     [curve(run) for run in verdict.ours],
                                     curve(verdict.published)), SIGNATURE)


def run_command(group: Group, options: Sequence[str]) -> str:
    """The command that runs a group's seeds."""
    words = ["--seeds", seed_words(group.seeds), *options]
    for name in ("dtype", "engine", "interpolation", "epochs"):
        if name in group.differences:
            words += [f"--{name}", str(group.differences[name])]
    if group.device != "cpu":
        words += ["--ctx", shlex.quote(group.records[0].ctx)]
    return " ".join(["python -m nin_gluon.reproduce", *words])


def recipe_words(recipe: Settings) -> str:
    """A recipe in a line."""
    return (f"{recipe.model}, SGD with learning rate {recipe.lr}, {recipe.init}, batches of "
            f"{recipe.batch_size}, {recipe.epochs} epochs of {recipe.dataset} at "
            f"{recipe.resize}x{recipe.resize}")
