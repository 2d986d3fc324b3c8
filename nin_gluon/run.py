"""``python -m nin_gluon.run``: run any MXNet 1.x program, unchanged."""

import argparse
import functools
import sys
from pathlib import Path
from typing import List, Optional

from nin_gluon.cli import ArgumentParser, command, number, whole_path
from nin_gluon.errors import InputError
from nin_gluon.extras import require
from nin_gluon.programs.preparation import Options
from nin_gluon.settings import Range, positive

DESCRIPTION = """\
Run a script, a module or a notebook that was written for MXNet 1.x, unchanged: `import mxnet`,
`import d2lzh` and the MXNet edition of d2l work in it, and Gluon's data sets are found where
nin_gluon finds them.

  python -m nin_gluon.run train.py --lr 0.1         a script, with its own options
  python -m nin_gluon.run -m package.train          a module
  python -m nin_gluon.run nin.ipynb                 a notebook; writes nin.executed.ipynb
  python -m nin_gluon.run --fast nin.ipynb          the same log, sooner
  python -m nin_gluon.run --epochs 1 --images 500 nin.ipynb     a quick look
"""

# What NumPy takes.
SEEDS = Range(lambda value: 0 <= value < 2**32, "from 0 to 4294967295")

EPILOG = """\
Options stand before the program; what follows it is the program's own. The exit status is the
program's; for a notebook 0 if every cell ran, 1 if one failed.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.run", description=DESCRIPTION, epilog=EPILOG,
                            usage="%(prog)s [OPTIONS] SCRIPT.py|NOTEBOOK.ipynb|-m MODULE [ARGS]")
    add = parser.add_argument
    add("--fast", action="store_true",
        help="replace d2lzh's train_ch5, evaluate_accuracy and load_data_fashion_mnist in this "
             "process by nin_gluon's: the same log in less time")
    add("--epochs", type=number(int, positive), metavar="N",
        help="lower num_epochs to N wherever the program says more")
    add("--images", type=number(int, positive), metavar="N",
        help="only the first N training and N test images of Gluon's image sets")
    add("--seed", type=number(int, SEEDS), metavar="N",
        help="start Python's, NumPy's and MXNet's random numbers from N")
    add("--allow-errors", action="store_true", help="notebook: go on after a cell that fails")
    add("--output", type=whole_path, metavar="FILE",
        help="notebook: the copy with outputs (default: NAME.executed.ipynb, beside it)")
    add("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE [ARGS]",
        help="run a module, as python -m does")
    add("program", nargs=argparse.REMAINDER, metavar="PROGRAM [ARGS]", help="what to run")
    return parser


@functools.partial(command, escape=False)
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    options = Options(args.fast, args.epochs, args.images, args.seed)
    program = args.module or args.program
    if not program:
        raise InputError("no program is given; give a script, a notebook or -m MODULE.")
    notebook = not args.module and Path(program[0]).suffix == ".ipynb"
    if not notebook and (args.output or args.allow_errors):
        raise InputError("--output and --allow-errors are for notebooks; leave them out.")
    if notebook and program[1:]:
        raise InputError(f"a notebook takes no arguments ({' '.join(program[1:])}); options of "
                         "this command stand before it.")
    if notebook:
        require("notebooks", "nbclient", "ipykernel")
    for line in options.describe():
        print(line, file=sys.stderr)
    if args.module and args.epochs:
        print(f"but not in the text of {args.module[0]}: of a module, --epochs lowers what it "
              "gives to the book's functions", file=sys.stderr)
    if notebook:
        return run_notebook(Path(program[0]), args, options)

    from nin_gluon.programs import scripts

    if args.module:
        return scripts.run_module(program[0], program[1:], options)
    return scripts.run_script(Path(program[0]), program[1:], options)


def run_notebook(path: Path, args: argparse.Namespace, options: Options) -> int:
    """Run a notebook and say where its copy is."""
    # With this package, jsonschema, which nbformat imports, compiles a grammar of web addresses.
    # That takes a second, and the format of notebooks has no such addresses.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from nin_gluon.programs import notebooks

    copy = Path(args.output) if args.output else notebooks.copy_of(path)
    try:
        failed = notebooks.run_notebook(path, copy, options, args.allow_errors)
    except notebooks.CellFailed as error:
        print(f"{error}outputs so far: {copy}", file=sys.stderr)
        return 1
    if failed:
        print(f"{failed} cell(s) failed", file=sys.stderr)
    print(f"outputs: {copy}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
