"""``python -m nin_gluon.kernel``: a Jupyter kernel in which MXNet works from the first cell."""

import sys
from typing import List, Optional

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.programs import kernel_spec
from nin_gluon.programs.preparation import Options

DESCRIPTION = """\
Add the kernel "MXNet 1.9 (nin_gluon)" to Jupyter, or take it away. In it `import mxnet`, `import
d2lzh` and the MXNet edition of d2l work from the first cell of any notebook.

  python -m nin_gluon.kernel install         for this user, with this Python
  python -m nin_gluon.kernel install --fast  a second one, with d2lzh's slow functions replaced
  python -m nin_gluon.kernel remove          take away both

Only the user's own Jupyter folder is touched (JUPYTER_DATA_DIR, if that is set).
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.kernel", description=DESCRIPTION)
    parser.add_argument("action", choices=("install", "remove"))
    parser.add_argument("--fast", action="store_true",
                        help="install: replace d2lzh's train_ch5, evaluate_accuracy and "
                             "load_data_fashion_mnist by nin_gluon's")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    if args.action == "install":
        options = Options(fast=args.fast)
        folder = kernel_spec.install(options)
        print(f"kernel: {kernel_spec.kernel_spec(options)['display_name']}")
        print(f"folder: {folder}")
        return 0
    if args.fast:
        raise InputError("remove takes away both kernels; leave out --fast.")
    removed = kernel_spec.remove()
    for folder in removed:
        print(f"removed: {folder}")
    if not removed:
        print("there was nothing to remove", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
