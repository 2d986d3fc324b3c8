"""``python -m nin_gluon.export``: a trained net in a format that other programs read."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import List, Optional

from nin_gluon.cli import ArgumentParser, command, utf8_path
from nin_gluon.errors import InputError
from nin_gluon.exports.files import (
    FORMATS,
    targets,
    write_gluon,
    write_onnx,
    write_parameters,
    write_torch,
)
from nin_gluon.exports.preparation import Preparation, preparation_of
from nin_gluon.exports.trained import Trained, read_pretrained, read_run
from nin_gluon.extras import require, require_torch
from nin_gluon.training.run_folder import read_config

DESCRIPTION = """\
Write the net of a run, with its newest parameters, or the trained net of the package for other
programs. Runs of both engines can be exported to all formats.

  python -m nin_gluon.export runs/... --to onnx           one file that ONNX Runtime, OpenVINO and
                                                          others run; it takes raw pixels
  python -m nin_gluon.export runs/... --to onnx --resize-inside     it resizes them, too
  python -m nin_gluon.export runs/... --to safetensors    the parameters and what they are
  python -m nin_gluon.export runs/... --to gluon          symbol and parameters, for SymbolBlock
  python -m nin_gluon.export runs/... --to torch          a state_dict for nin_gluon.torch_models
  python -m nin_gluon.export --pretrained --to onnx       the package's net, into this folder
"""

EPILOG = """\
onnx: the input is images, uint8 (batch, height, width, channels) of 0 to 255; what the run does to
its images before the net sees them is in the graph. The batch may have any number of images, of any
size that the net takes. With a head of dense layers or with whitening, only the run's size works.
The outputs are scores and probabilities. The file's metadata has the class names and the settings.

The file goes into the run folder, that of the package's net into the working folder, unless --out
names another. Nothing is overwritten without --force.
docs/how-to/export.md shows how each format is read.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.export", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN", help="run folder of the train command")
    add("--pretrained", action="store_true", help="the trained net of the package")
    add("--to", required=True, choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    add("--out", metavar="FILE", type=utf8_path,
        help="the file to write (default: exported.* in the run folder, or in the working folder "
             "with --pretrained); of Gluon's pair what both names begin with")
    add("--force", action="store_true", help="replace the file if it is there")
    add("--resize-inside", action="store_true",
        help="onnx: resize within the graph, from the data set's own size to the run's and to the "
             "same pixels; the graph then takes images of that size only")
    add("--data-dir", metavar="DIR",
        help="folder with the data set's files, which onnx needs where the run standardized or "
             "whitened its images (default: the run's)")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    check_options(args)
    run = Path(args.run or "")
    path = Path(args.out) if args.out else run / FORMATS[args.to]
    if not path.name:
        raise InputError(f"--out {args.out} is a folder; give the name of a file.")
    check_targets(targets(args.to, path), args.force)
    if args.to == "torch" or args.run and read_config(run).settings.engine == "torch":
        require_torch()
    export(read_pretrained() if args.pretrained else read_run(run), args, path)
    for written in targets(args.to, path):
        print(written)
    return 0


def check_options(args: argparse.Namespace) -> None:
    """Raise `InputError` if the options do not go together, or onnx is missing."""
    if bool(args.run) == args.pretrained:
        raise InputError("name a run folder, or give --pretrained: one of the two.")
    if args.pretrained and args.data_dir:
        raise InputError("--data-dir is for runs; the package's net needs no images.")
    for name in ("resize_inside", "data_dir"):
        if getattr(args, name) and args.to != "onnx":
            raise InputError(f"--{name.replace('_', '-')} is for --to onnx; leave it out.")
    if args.to == "onnx":
        require("onnx", "onnx", title="the package onnx")


def check_targets(paths: List[Path], force: bool) -> None:
    """Raise `InputError` unless these files can be written."""
    for path in paths:
        if path.is_dir() or (path.exists() and not force):
            raise InputError(f"{path} is there already; choose another name for --out, or give "
                             "--force to replace it.")
        if not path.parent.is_dir():
            raise InputError(f"there is no folder {path.parent} to write into; make it first.")


def export(trained: Trained, args: argparse.Namespace, path: Path) -> None:
    """Write the file or files."""
    if args.to == "onnx":
        write_onnx(trained, path, prepared(trained, args))
    else:
        write = {"safetensors": write_parameters, "gluon": write_gluon, "torch": write_torch}
        write[args.to](trained, path)


def prepared(trained: Trained, args: argparse.Namespace) -> Preparation:
    """How the run prepares its images."""
    config = trained.config
    if args.resize_inside and config.settings.interpolation != "bilinear":
        raise InputError("--resize-inside is for bilinear resizing, and this run's is "
                         f"{config.settings.interpolation}; leave it out and resize the images "
                         "first.")
    environment = replace(config.environment,
                          data_dir=args.data_dir or config.environment.data_dir)
    return preparation_of(replace(config, environment=environment), args.resize_inside,
                          trained.line)


if __name__ == "__main__":
    sys.exit(main())
