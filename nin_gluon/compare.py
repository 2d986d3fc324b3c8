"""``python -m nin_gluon.compare``: runs side by side."""

import json
import sys
from pathlib import Path
from typing import List, Optional

from nin_gluon.atomic_files import write_ours
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError

DESCRIPTION = """\
Compare runs: which settings differ, what came out, and the curves of training loss and test
accuracy over one another. Only the run folders are read, so neither MXNet nor PyTorch is needed,
and runs that are still going on can be compared, too.

  python -m nin_gluon.compare runs/a runs/b                       tables
  python -m nin_gluon.compare runs/* --picture curves.png         and the curves
  python -m nin_gluon.compare runs/* --html runs.html             all of it as a page for a browser
  python -m nin_gluon.compare runs/* --json                       for programs
"""

EPILOG = """\
Files that this command has written before are replaced, others are not.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.compare", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="run folders of the train command, two or more")
    add("--picture", metavar="FILE.png", help="draw the curves into this file")
    add("--html", metavar="FILE.html", help="write a page with curves and tables, in one file")
    add("--json", action="store_true", help="print JSON instead of tables")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    if len(args.runs) < 2:
        raise InputError("one run cannot be compared; name two or more.")
    picture = named("--picture", args.picture, (".png",))
    page = named("--html", args.html, (".html", ".htm"))

    from nin_gluon.experiments import run_comparison

    runs = run_comparison.read_runs([Path(run) for run in args.runs])
    if args.json:
        print(json.dumps(run_comparison.as_json(runs), indent=1))
    else:
        print(run_comparison.format_comparison(runs))
    if picture:
        write_ours(picture, run_comparison.draw(runs), run_comparison.SIGNATURE)
        print(f"picture: {picture}", file=sys.stderr)
    if page:
        write_ours(page, run_comparison.comparison_page(runs).encode(), run_comparison.SIGNATURE)
        print(f"page: {page}", file=sys.stderr)
    return 0


def named(option: str, name: Optional[str], suffixes: tuple) -> Optional[Path]:
    """The path that an option names; `InputError` unless it has one of these suffixes."""
    if name is None:
        return None
    path = Path(name)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {name} should end in {' or '.join(suffixes)}.")
    return path


if __name__ == "__main__":
    sys.exit(main())
