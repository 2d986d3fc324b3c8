"""``python -m nin_gluon.demo``: a page on which a trained net can be played with."""

import logging
import sys
import threading
import webbrowser
from pathlib import Path
from typing import List, Optional

from nin_gluon.cli import ArgumentParser, command, number, whole_path
from nin_gluon.errors import InputError
from nin_gluon.extras import require, require_torch
from nin_gluon.runtime import choose_engine, devices_of
from nin_gluon.settings import ENGINES, Range
from nin_gluon.training.run_folder import read_config

log = logging.getLogger(__name__)

PORTS = Range(lambda value: 1 <= value <= 65535, "from 1 to 65535")

DESCRIPTION = """\
Open a page in the browser that shows a trained net at work: draw a garment, drop a picture or take
a test image, and see the map of each class light up, its average become the score, and the scores
become probabilities. The page is in English and Chinese and needs no network.

  python -m nin_gluon.demo                      the package's trained net, and the runs in runs/
  python -m nin_gluon.demo elsewhere/my-run     this run, too
  python -m nin_gluon.demo --no-browser         only print the address
"""

EPILOG = """\
Only this machine can reach the page: it is served on 127.0.0.1. Pictures stay on this machine.
Ctrl-C ends it. It needs the extra demo: pip install -e '.[demo]'.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.demo", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help="run folders to choose from, besides those in runs/")
    add("--port", type=number(int, PORTS), metavar="N",
        help="port of the page's address (default: a free one)")
    add("--no-browser", action="store_true", help="do not open the browser")
    add("--ctx", metavar="DEVICE", default="auto",
        help="auto, cpu, gpu or gpu(1) (default: auto)")
    add("--engine", choices=ENGINES,
        help="what computes: MXNet Gluon, or PyTorch (default: what trained the net, or the other "
             "where that cannot compute here)")
    add("--data-dir", metavar="DIR", type=whole_path,
        help="folder with the data set's files (default: the run's)")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    require("demo", "starlette", "uvicorn")
    if args.engine == "torch":
        require_torch()
    # Or say now why it cannot compute.
    devices_of(args.engine or choose_engine(args.ctx, "using PyTorch"), args.ctx)
    for run in args.runs:
        read_config(Path(run))

    from nin_gluon.playground.nets import Nets
    from nin_gluon.playground.server import LOOPBACK, make_app, open_socket, serve

    nets = Nets(args.runs, Path("runs"), args.ctx, args.engine, args.data_dir)
    if not nets.ids():
        raise InputError(f"there is no net to show: no run in runs/ here, and {nets.missing}")
    if nets.missing:
        log.warning("%s", nets.missing)
    listening, port = open_socket(args.port or 0)
    address = f"http://{LOOPBACK}:{port}/"
    print(f"{address} (Ctrl-C ends it)", flush=True)
    if not args.no_browser:
        # In a thread, because a browser in the terminal would hold up the server.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    serve(make_app(nets, port), listening)
    print("the demo has ended", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
