"""``python -m nin_gluon.resources``: what a net costs, layer by layer."""

import argparse
import json
import sys
from math import prod
from pathlib import Path
from typing import Any, Dict, List, Optional

from nin_gluon.analysis.cost import BYTES
from nin_gluon.cli import ArgumentParser, command, new_picture
from nin_gluon.experiments.exercises import resources as exercise
from nin_gluon.experiments.exercises.resources import measure
from nin_gluon.shapes import parse_size
from nin_gluon.text_tables import columns, counted

__all__ = ["add_exercise", "answer_exercise", "format_result", "main", "measure"]

DESCRIPTION = """\
Count what a net costs: parameters, MACs (multiply-adds) and FLOPs (two a MAC), and memory for
inference and training, layer by layer. This is arithmetic and quick for any size; --check lets
MXNet run the net and puts beside it what MXNet allocates.

  python -m nin_gluon.resources                     the chapter's net, one image of 224x224, with
                                                    the published figures
  python -m nin_gluon.resources --batch 128 --check     a training batch, and what is allocated
  python -m nin_gluon.resources --model mlpconv_nin --size 112 --out costs.png
  python -m nin_gluon.resources --model cifar_nin --size 32 --channels 3    the paper's net for
                                                    CIFAR-10, of 966,986 parameters
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.resources", description=DESCRIPTION)
    add_options(parser)
    add = parser.add_argument
    add("--dtype", choices=BYTES, default="float32",
        help="arithmetic of the convolutions (default: %(default)s)")
    add("--out", metavar="PICTURE", help="draw the layers' costs too (png, pdf or svg)")
    add("--json", action="store_true", help="print JSON instead of tables")
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to count; the exercise has them too."""
    add = parser.add_argument
    add("--model", default="nin", metavar="NAME[,OPTION=VALUE...]",
        help="net, with options of its own (default: %(default)s)")
    add("--size", default="224", metavar="N|HxW",
        help="input height and width in pixels (default: %(default)s)")
    add("--batch", type=int, default=1, metavar="N",
        help="images in the batch (default: %(default)s)")
    add("--channels", type=int, default=1, metavar="N",
        help="channels of the images (default: %(default)s)")
    add("--check", action="store_true",
        help="run the net on the CPU, for inference and training, and count what MXNet allocates")


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    size = parse_size(args.size, args.batch, args.channels)
    out = args.out and new_picture(args.out)
    result = measure(args.model, size, args.batch, args.channels, args.dtype, args.check)
    print(json.dumps(result, indent=1) if args.json else format_result(result))
    if out:
        from nin_gluon import plots

        plots.save(plots.draw_resources(result), out)
        print(f"picture: {out}", file=sys.stderr)
    return 0


# ------------------------------------------------------------------ the exercise


def add_exercise(exercises: Any) -> None:
    """Add the exercise's subparser to those of ``python -m nin_gluon.exercises``."""
    parser = exercises.add_parser(
        exercise.NAME, help=exercise.QUESTION,
        description=f"{exercise.QUESTION.capitalize()}\n\n{exercise.METHOD}")
    add_options(parser)
    parser.add_argument(
        "--results", metavar="DIR", default="results",
        help="folder in which exercises/resources.json is kept (default: %(default)s)")


def answer_exercise(args: argparse.Namespace) -> int:
    """Count, record, print; the exit status."""
    size = parse_size(args.size, args.batch, args.channels)
    result = measure(args.model, size, args.batch, args.channels, check=args.check)
    record, picture = exercise.write_record(result, Path(args.results))
    print(format_result(result))
    print(f"record: {record}; picture: {picture}", file=sys.stderr)
    return 0


# ------------------------------------------------------------------ text

# What stands below the tables.
PUBLISHED = """\
parameters, compute and the parameters' memory are to the last digit those of this net made for
images of 3 channels, with M, G and MB for 2^20 and 2^30. The chapter's images have one channel:
without the 11 x 11 x 2 x 96 weights for two more, and in powers of 1000, the exact figures differ.
training's are twice inference's: parameters with their gradients, activations with theirs.
activations: nearest comes the sum of the images and of all outputs (each convolution's, its ReLU's,
poolings, dropout), each in float32 and twice. 0.05 MB or 0.2 % is missing, and is not explained:
other multiples of these outputs do give 25.40, but none that a known way of counting takes."""

ALLOCATED = """\
forward: taken by a forward pass and held when it ends. Layer by layer in training that is what the
backward pass needs, and the arithmetic above; hybridized, memory is planned, shared between
layers where it can be, and kept from step to step.
peak: with the gradients of the activations under way, and temporary space: maps and weights that
oneDNN takes in layouts of its own, and what its backward passes work in.
process: what the process grew by in all, with oneDNN's compiled kernels and what glibc keeps."""


def format_result(result: Dict[str, Any]) -> str:
    """Tables of what `measure` returns, as text."""
    batch, channels, height, width = result["input"]
    lines = [f"{result['model']}, {counted(batch, 'image')} of {channels} x {height} x "
             f"{width}, {result['dtype']}", "", *layer_lines(result), ""]
    lines += [f"compute: {result['flops'] / 1e9:,.4g} GFLOP forward, "
              f"{result['training_flops'] / 1e9:,.4g} a training step (two FLOPs a MAC; biases, "
              "ReLU and pooling not counted)", ""]
    inference, training = result["bytes"]["inference"], result["bytes"]["training"]
    lines += columns([("memory by arithmetic, MB", "inference", "training")] + [
        (name, mb(inference.get(name)), mb(part)) for name, part in training.items()])
    if result["allocated"]:
        parts = ("parameters", "images", "forward", "peak", "process")
        lines += ["", *columns([("allocated by MXNet, MB", *parts)] + [
            (way, *(mb(found[part]) for part in parts))
            for way, found in result["allocated"].items()]), ALLOCATED]
    if result["published"]:
        lines += ["", *columns([("published, for one image", "", "", "exactly",
                                 "3 channels, 2^20")] + [
            (row["figure"], f"{row['published']:.2f}", row["unit"], f"{row['exact']:.3f}",
             f"{row['three_channels']:.3f}") for row in result["published"]]), PUBLISHED]
    return "\n".join(lines)


def layer_lines(result: Dict[str, Any]) -> List[str]:
    """The table of the layers, with a total."""
    size = BYTES[result["dtype"]]
    cells = [(layer["name"], layer["kind"], "x".join(map(str, layer["output"])),
              f"{layer['parameters']:,}", f"{layer['macs']:,}", mb(size * prod(layer["output"])))
             for layer in result["layers"]]
    outputs = size * sum(prod(layer["output"]) for layer in result["layers"])
    total = ("total", "", "", f"{result['parameters']:,}", f"{result['macs']:,}", mb(outputs))
    text = columns([("layer", "", "output shape", "parameters", "MACs", "output, MB"), *cells,
                    total], 3)
    rule = "-" * max(map(len, text))
    return [text[0], rule, *text[1:-1], rule, text[-1]]


def mb(size: Optional[int]) -> str:
    """Bytes in MB (1,000,000 bytes), as text."""
    return "" if size is None else f"{size / 1e6:,.2f}"


if __name__ == "__main__":
    sys.exit(main())
