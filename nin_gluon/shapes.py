"""``python -m nin_gluon.shapes``: the output shape of each layer, as the chapter prints them."""

import re
import sys
from typing import TYPE_CHECKING, List, Optional, Tuple

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.text_tables import columns

if TYPE_CHECKING:
    from nin_gluon.models.geometry import LayerRow

__all__ = ["format_table", "format_textbook", "main", "parse_size"]

DESCRIPTION = """\
Print the output shape of each layer of a net, in the chapter's form. Only shapes are computed, so
any size is quick.

  python -m nin_gluon.shapes                       the chapter's (1, 1, 224, 224)
  python -m nin_gluon.shapes --size 96x128 --table with parameters and MACs (multiply-adds)
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.shapes", description=DESCRIPTION)
    parser.add_argument("--model", default="nin", metavar="NAME[,OPTION=VALUE...]",
                        help="net, with options of its own (default: %(default)s)")
    parser.add_argument("--size", default="224", metavar="N|HxW",
                        help="input height and width in pixels (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=1, metavar="N",
                        help="channels of the images (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, metavar="N",
                        help="images in the batch (default: %(default)s)")
    parser.add_argument("--table", action="store_true", help="a table with parameters and MACs")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    height, width = parse_size(args.size, args.batch, args.channels)

    from nin_gluon.models import get_model
    from nin_gluon.models.geometry import layer_table

    rows = layer_table(get_model(args.model), (args.batch, args.channels, height, width))
    print(format_table(rows) if args.table else format_textbook(rows))
    return 0


def parse_size(text: str, batch: int, channels: int) -> Tuple[int, int]:
    """(height, width) from ``--size``.

    Raises
    ------
    InputError
        The text is no size, or there would be too few or too many images or channels.
    """
    size = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if not size:
        raise InputError(f"--size {text!r} is not a size; use 224 or 96x128 (height x width).")
    if not (1 <= channels <= 10**6 and 1 <= batch <= 10**6):
        raise InputError("--channels and --batch must be at least 1 and at most a million.")
    return int(size[1]), int(size[2] or size[1])


def book_name(row: "LayerRow") -> str:
    """The layer's name as the book prints it: the book has Sequential for our hybrid ones."""
    return row.name.replace("hybridsequential", "sequential")


def format_textbook(rows: "List[LayerRow]") -> str:
    """One line a layer, as the chapter's loop over the net prints it."""
    return "\n".join(f"{book_name(row)} output shape:\t {row.output}" for row in rows)


def format_table(rows: "List[LayerRow]") -> str:
    """The same as a table with parameters and MACs, and their sums."""
    cells = [(book_name(r), str(r.output), f"{r.parameters:,}", f"{r.macs:,}") for r in rows]
    total = ("total", "", f"{sum(r.parameters for r in rows):,}", f"{sum(r.macs for r in rows):,}")
    text = columns([("layer", "output shape", "parameters", "MACs"), *cells, total], 2)
    rule = "-" * max(map(len, text))
    return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])


if __name__ == "__main__":
    sys.exit(main())
