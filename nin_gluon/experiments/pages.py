"""What the reproduce command prints and writes: a table, pictures, an HTML and a Markdown page.

All of it follows from the records alone, so writing it again changes no byte.
"""

import base64
import html
import os
import re
import shlex
from pathlib import Path

from nin_gluon.atomic_files import write_ours
from nin_gluon.errors import InputError
from nin_gluon.experiments import records as evidence
from nin_gluon.experiments.records import QUANTITIES, seed_words

__all__ = ["Place", "format_group", "write"]

# In every file written here. One without it is somebody else's and is left alone.
MARK = "Written by nin_gluon.reproduce"


class Place:
    """Where an edition's records and pages are, and the command that writes the pages.

    Other data than the recipe's (``--dataset``, ``--limit``) have a folder of their own, so that
    a quick look does not end up among the evidence.
    """

    def __init__(self, edition, settings, results, markdown=None):
        recipe = evidence.recipe_settings(edition)
        other = [(name, str(value)) for name, value in
                 evidence.departures(settings, recipe).items() if name not in ("dtype", "epochs")]
        name = "-".join([edition.folder, *("-".join(pair) for pair in other)])
        self.folder = Path(results, re.sub(r"[^\w.-]", "_", name))
        usual = self.folder == Path("results", "textbook")
        self.markdown = Path(markdown or (Path() if usual else self.folder) / "REPRODUCTION.md")
        options = [] if edition.name == "d2l-mxnet" else ["--edition", edition.name]
        for name, value in other:
            options += [f"--{name}", value]
        if Path(results) != Path("results"):
            options += ["--results", str(results)]
        self.options = [shlex.quote(option) for option in options]
        page = ["--markdown", shlex.quote(markdown)] if markdown else []
        self.command = " ".join(["python -m nin_gluon.reproduce --report", *self.options, *page])


# ------------------------------------------------------------------ text


def format_group(group):
    """The table of a group, an epoch a row, its notes, and last its verdict."""
    digits = group.edition.decimals
    widths = {name: digits[name] + 2 for name in QUANTITIES}  # of one value
    seeds = evidence.some(len(group.records), "seed")
    lines = [f"{group.edition.name}: {group.title}; {seeds}: {seed_words(group.seeds)}", ""]
    heads = [" ".join([f"{'publ.':>{w}}", f"{'min':>{w}}", f"{'med.':>{w}}", f"{'max':>{w}}",
                       "below "]) for w in widths.values()]
    titles = [f" {title} ".center(len(head), "-") for title, head in
              zip(QUANTITIES.values(), heads)]
    lines += ["  ".join(["     ", *titles]).rstrip(), "  ".join(["epoch", *heads]).rstrip()]
    for epoch, row in group.rows.items():
        cells = [f"{epoch:5}"]
        for name, s in row.items():
            w, known = widths[name], s.published is not None
            published = s.show(s.published) if known else "-"
            below = f"{s.below}/{s.seeds}" + ("*" if s.outside else "") if known else "-"
            cells.append(" ".join([f"{published:>{w}}", *(f"{s.show(v):>{w}}" for v in
                                                          (s.low, s.median, s.high)),
                                   f"{below:6}"]))
        lines.append("  ".join(cells).rstrip())
    lines += ["", "below: how many of the seeds lie below the published value; * it lies outside "
                  "their range", *group.notes(), group.verdict()]
    return "\n".join(lines)


# ------------------------------------------------------------------ files


def write(edition, place):
    """Write the pages and pictures of the records in a folder; return their groups.

    Raises
    ------
    InputError
        There are no records, one is damaged, or a file that is not ours is in the way.
    """
    import jinja2

    records = evidence.read_records(place.folder)
    if not records:
        raise InputError(f"{place.folder} holds no records yet; run some seeds first: "
                         + " ".join(["python -m nin_gluon.reproduce --seeds 0-2", *place.options]))
    groups = evidence.groups_of(edition, records)
    pictures = {group.slug: draw(group) for group in groups}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nin_gluon.experiments"), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    # Markdown passes HTML through, so text is escaped for both.
    environment.filters["e"] = lambda value: html.escape(str(value), quote=False)
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    facts = {
        "mark": MARK, "edition": edition, "place": place, "groups": groups, "pictures": pictures,
        "quantities": QUANTITIES, "pairs": evidence.side_by_side(groups),
        "machines": evidence.machines_of(groups), "seed_words": seed_words,
        "setting_names": list(dict.fromkeys(n for g in groups for n in g.settings)),
        "recipe": recipe_words(edition), "run_command": run_command,
        "records": Path(os.path.relpath(place.folder, place.markdown.parent)).as_posix(),
    }
    for group in groups:
        for name, data in pictures[group.slug].items():
            write_ours(place.folder / f"{group.slug}-{name}.png", data, MARK)
    for path, template in ((place.folder / "report.html", "reproduction.html"),
                           (place.markdown, "reproduction.md")):
        write_ours(path, environment.get_template(template).render(facts).encode(), MARK)
    return groups


def draw(group):
    """The pictures of a group as PNG files: {quantity: bytes}."""
    from nin_gluon import plots

    guesses = {"loss": plots.LN_10, "train_acc": 0.1, "test_acc": 0.1}
    return {name: plots.png(plots.draw_band(*evidence.series(group, name), title, guesses[name],
                                            f"{group.edition.name}, {group.title}"), MARK)
            for name, title in QUANTITIES.items() if group.rows}


def run_command(group, place):
    """The command that runs a group's seeds."""
    options = ["--seeds", seed_words(group.seeds), *place.options]
    for name in ("dtype", "epochs"):
        if name in group.departures:
            options += [f"--{name}", str(group.settings[name])]
    if group.device != "cpu":
        options += ["--ctx", shlex.quote(group.records[0].ctx)]
    return " ".join(["python -m nin_gluon.reproduce", *options])


def recipe_words(edition):
    """The recipe of an edition in a line."""
    return ("{model}, SGD with learning rate {lr}, {init}, batches of {batch_size}, {epochs} "
            "epochs of {dataset} at {resize}x{resize}").format(**evidence.recipe_settings(edition))
