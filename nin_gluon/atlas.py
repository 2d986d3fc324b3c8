"""``python -m nin_gluon.atlas``: every published run of the recipe, and how they ended."""

import json
import sys
from pathlib import Path
from typing import Any, List, Optional

from nin_gluon.atomic_files import write_ours
from nin_gluon.cli import ArgumentParser, command, number, utf8_path
from nin_gluon.errors import InputError
from nin_gluon.experiments.atlas.adding_logs import add_log, published_log
from nin_gluon.experiments.atlas.groups import Group, group_runs, published_runs, read_own_runs
from nin_gluon.experiments.atlas.log_parsers import ParsedLog, parse_file
from nin_gluon.experiments.atlas.published_logs import (
    FRAMEWORKS,
    LOSS_KINDS,
    RECIPES,
    PublishedLog,
    is_copy,
    read_atlas,
)
from nin_gluon.experiments.atlas.report import report, report_data
from nin_gluon.experiments.published import EDITIONS
from nin_gluon.settings import positive
from nin_gluon.text_tables import counted

DESCRIPTION = """\
How do runs of the book's recipe end? Print and draw the final test accuracy of every published run
by framework, our own seeds among them: how many classes must be alive, how many runs ended whole,
maimed or dead, and whether frameworks differ.

  python -m nin_gluon.atlas                     tables, and a picture in results/atlas.png
  python -m nin_gluon.atlas --json              the same for programs
  python -m nin_gluon.atlas add nin.ipynb       add the log in a notebook to results/atlas.json
"""

ADD = """\
Add a training log from a notebook, a Markdown page or a text file to an atlas file of your own. The
file's code tells the framework, the recipe and the epochs; it is read and never executed. What the
file does not tell has to be given. A log that is there already is not added again.
"""

# Kept in the picture; a file without it is somebody else's and is not overwritten.
SOFTWARE = "nin_gluon.atlas"


def build_parser() -> ArgumentParser:
    from argparse import SUPPRESS

    parser = ArgumentParser(prog="python -m nin_gluon.atlas", description=DESCRIPTION)
    add = parser.add_argument
    add("--results", metavar="DIR", default="results", type=utf8_path,
        help="our own records are in DIR/textbook and DIR/d2l-pytorch (default: %(default)s)")
    add("--atlas", metavar="FILE", type=utf8_path,
        help="your own atlas file (default: DIR/atlas.json)")
    add("--out", metavar="FILE", type=utf8_path, help="the picture (default: DIR/atlas.png)")
    add("--json", action="store_true", help="print JSON")
    verbs = parser.add_subparsers(dest="verb", metavar="[add FILE]", title="verbs")
    adding = verbs.add_parser("add", help="add a log to your own atlas file", description=ADD)
    add = adding.add_argument
    add("file", metavar="FILE", type=utf8_path, help="notebook (.ipynb), Markdown or text file")
    add("--framework", choices=FRAMEWORKS, metavar="NAME", help=", ".join(FRAMEWORKS))
    add("--recipe", choices=RECIPES, metavar="NAME",
        help="; ".join(f"{name}: {title}" for name, title in RECIPES.items()))
    add("--epochs", type=number(int, positive), metavar="N", help="epochs that the recipe asks for")
    add("--loss-is", choices=LOSS_KINDS, metavar="WHAT", default="mean",
        help="what is printed as the loss, which some PyTorch ports divide once more: "
             f"{', '.join(LOSS_KINDS)} (default: %(default)s)")
    add("--source", metavar="URL", help="where it was published (default: the file's name)")
    add("--log", type=number(int, positive), metavar="N",
        help="which log, where the file holds several")
    # Without a default here, so that the option may stand before `add` as well.
    add("--atlas", metavar="FILE", type=utf8_path, default=SUPPRESS,
        help="your own atlas file (default: results/atlas.json)")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    own_file = Path(args.atlas) if args.atlas else Path(args.results, "atlas.json")
    if args.verb == "add":
        return add_file(args, own_file)
    show(args, own_file)
    return 0


# ------------------------------------------------------------------ the atlas


def show(args: Any, own_file: Path) -> None:
    """Print the atlas and draw it."""
    logs = read_atlas()
    if args.atlas or own_file.exists():
        mine = read_atlas(own_file)
        new = [log for log in mine if not any(is_copy(log, known) for known in logs)]
        logs += new
        if len(new) < len(mine):
            tell(f"left out: {counted(len(mine) - len(new), 'log')} of {own_file} that the package "
                 "has, too")
    published = published_runs(logs)
    shortest = min(run.epochs for run in published)
    folders = sorted({edition.folder for edition in EDITIONS.values() if edition.atlas})
    every = [run for folder in folders for run in read_own_runs(Path(args.results, folder))]
    own = [run for run in every if run.epochs >= shortest]
    short = len(every) - len(own)
    groups = group_runs(published + own)
    if args.json:
        print(json.dumps(report_data(groups), indent=1))
    else:
        print(report(groups))
    if short:
        tell(f"left out: {short} of our runs with fewer than {shortest} epochs")
    picture = Path(args.out) if args.out else Path(args.results, "atlas.png")
    draw(groups, picture)
    tell(f"picture: {picture}")


def draw(groups: List[Group], path: Path) -> None:
    from nin_gluon import plots

    write_ours(path, plots.png(plots.draw_atlas(groups), SOFTWARE), SOFTWARE)


def tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)


# ------------------------------------------------------------------ add


def add_file(args: Any, own_file: Path) -> int:
    """Add the file's log to the user's own atlas file."""
    if own_file.is_dir():
        raise InputError(f"{own_file} is a folder, not a file; give --atlas a file's name.")
    parsed = chosen_log(parse_file(args.file), args)
    source = args.source or " ".join(Path(args.file).name.split())
    entry = published_log(parsed, source, args.framework, args.recipe, args.epochs, args.loss_is)
    known = add_log(own_file, entry)
    if known:
        print(f"already there, nothing added: {described(known)} (published in "
              f"{known.sources[0]})")
    else:
        print(f"added to {own_file}: {described(entry)}")
    return 0


def described(log: PublishedLog) -> str:
    return (f"{FRAMEWORKS[log.framework]}, {RECIPES[log.recipe]}, {counted(log.epochs, 'epoch')}, "
            f"final test accuracy {log.final:.3f}")


def chosen_log(logs: List[ParsedLog], args: Any) -> ParsedLog:
    """The one log, or the one that --log names."""
    if args.log is None and len(logs) > 1:
        ends = ", ".join(f"{number}: {final_words(parsed)}"
                         for number, parsed in enumerate(logs[:9], 1))
        raise InputError(f"{args.file} holds {len(logs)} logs (final test accuracy {ends}"
                         f"{', ...' if len(logs) > 9 else ''}); choose one by --log.")
    if args.log and args.log > len(logs):
        raise InputError(f"{args.file} holds {counted(len(logs), 'log')}; there is no "
                         f"--log {args.log}.")
    return logs[(args.log or 1) - 1]


def final_words(parsed: ParsedLog) -> str:
    last = parsed.values["test_acc"][-1]
    return "unknown" if last is None else f"{last:.3f}"


if __name__ == "__main__":
    sys.exit(main())
