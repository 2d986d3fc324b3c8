"""Exercise 3: what does the net take? The resources command's answer, recorded and drawn."""

import json
import re
from pathlib import Path

from nin_gluon import resources
from nin_gluon.atomic_files import write_ours
from nin_gluon.experiments.exercises.results import MARK
from nin_gluon.shapes import parse_size

__all__ = ["NAME", "QUESTION", "add_options", "answer"]

NAME = "resources"
QUESTION = "how many parameters, how much computation and memory, to train and to infer?"

METHOD = """\
Counted layer by layer, for one image of the chapter's and beside the published figures; with
--check MXNet runs the net, and what it allocates stands beside what was counted. The same table,
and more options, without a record: python -m nin_gluon.resources."""

USUAL = {"model": "nin", "size": "224", "batch": 1, "channels": 1, "check": False}


def add_options(parser):
    """The exercise's options."""
    resources.add_options(parser)
    parser.add_argument(
        "--results", metavar="DIR", default="results",
        help="folder in which exercises/resources.json is kept (default: %(default)s)")


def answer(args):
    """Count, print, record and draw; return what there is to tell of the files."""
    result = resources.measure(args.model, parse_size(args.size, args.batch, args.channels),
                               args.batch, args.channels, check=args.check)
    words, options = [NAME], ""
    for name, usual in USUAL.items():
        value = getattr(args, name)
        if value != usual:
            words += [name] if value is True else [name, str(value)]
            options += f" --{name}" if value is True else f" --{name} {value}"
    path = Path(args.results, "exercises", re.sub(r"[^\w.-]", "_", "-".join(words)) + ".json")
    record = {"about": MARK, "exercise": NAME, "question": QUESTION,
              "command": f"python -m nin_gluon.exercises {NAME}{options}", **result}
    if args.check:  # which is of this machine; all else is arithmetic
        from nin_gluon.runtime import describe_machine

        record["machine"] = describe_machine()
    write_ours(path, (json.dumps(record, indent=1) + "\n").encode(), MARK)
    print(resources.format_result(result))
    from nin_gluon import plots

    picture = path.with_suffix(".png")
    write_ours(picture, plots.png(plots.draw_resources(result), MARK), MARK)
    return f"record: {path}; picture: {picture}"
