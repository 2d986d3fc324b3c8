"""``python -m benchmarks.book``: the chapter's nets with d2lzh as it is, and with ``--fast``."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import nin_gluon  # noqa: F401  # isort: skip  (makes MXNet importable, which the nets import)
from benchmarks.book_nets import NETS
from benchmarks.compare import check_new, machine
from nin_gluon.atomic_files import write_text
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.training.history import parse_log

DESCRIPTION = """\
Train the nets of the chapter on convolutional nets on a few images of Fashion-MNIST, by `nin-gluon
run` and by `nin-gluon run --fast`, in turns, each in a process of its own. Print the seconds of the
last epoch, which has no start-up in it, with its evaluation on as many test images; check that
both print the same log; and write all of it as JSON. Nothing else should run meanwhile.

  python -m benchmarks.book                   about an hour on two cores
  python -m benchmarks.book --nets LeNet NiN --images 512
  python -m benchmarks.book --nets NiN --images 60000 --epochs 5 --ways d2lzh --rounds 1
                                              the chapter's run as published: 100 minutes
"""

WAYS = {"d2lzh": [], "--fast": ["--fast"]}


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.book", description=DESCRIPTION)
    add = parser.add_argument
    add("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NET",
        help=f"only these of {', '.join(NETS)}")
    add("--images", type=int, default=512, metavar="N",
        help="training images; as many are evaluated (default: %(default)s)")
    add("--epochs", type=int, default=2, metavar="N",
        help="epochs of each run (default: %(default)s)")
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY",
        help="only these of d2lzh and --fast, which is written --ways=--fast")
    add("--rounds", type=int, default=3, metavar="N", help="turns (default: %(default)s)")
    add("--out", metavar="FILE", default="book.json",
        help="new file for the figures (default: %(default)s)")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    if min(args.rounds, args.images, args.epochs) < 1:
        raise InputError("--rounds, --images and --epochs must be at least 1.")
    check_new(args.out)
    report = {"images": args.images, "epochs": args.epochs, "machine": machine(),
              "seconds": {name: {way: [] for way in args.ways} for name in args.nets},
              "logs": {name: {way: [] for way in args.ways} for name in args.nets}}
    for turn in range(args.rounds):
        for name in args.nets:
            logs = {}
            for way in reversed(args.ways) if turn % 2 else args.ways:
                logs[way] = train(name, WAYS[way], args.images, args.epochs, turn)
                report["seconds"][name][way].append(logs[way][-1].seconds)
                report["logs"][name][way].append([str(epoch) for epoch in logs[way]])
                print(f"turn {turn + 1} of {args.rounds}: {name}, {way}: {logs[way][-1]}",
                      file=sys.stderr, flush=True)
            write_text(args.out, json.dumps(report, indent=1) + "\n")
            if len(set(map(without_times, logs.values()))) > 1:
                raise InputError(f"{name}: the logs of seed {turn} differ; {args.out} has them.")
    print(table(report))
    return 0


def train(name, options, images, epochs, seed):
    """The log, from a process of its own."""
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [sys.executable, "-m", "nin_gluon.run", *options, "--images", str(images), "--seed",
             str(seed), "-m", "benchmarks.book_nets", name, str(epochs)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, cwd=root, text=True,
                          capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"{name} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return parse_log(done.stdout)


def without_times(log):
    return re.sub(r", time .*", "", "\n".join(map(str, log)))


def table(report):
    """Median seconds of an epoch, and the gain, as a Markdown table."""
    lines = ["| net | images | d2lzh, s | `--fast`, s | gain |", "| --- | --- | --- | --- | --- |"]
    for name, ways in report["seconds"].items():
        slow, fast = (statistics.median(ways.get(way) or [0]) for way in WAYS)
        size = NETS[name].size
        cells = [f"{seconds:.1f}" if seconds else "" for seconds in (slow, fast)]
        gain = f"{slow / fast:.2f} x" if slow and fast else ""  # logs tell tenths of a second
        lines.append(f"| {name} | {size}x{size} | {' | '.join(cells)} | {gain} |")
    return "\n".join([
        *lines, "", "{images} images to train and to evaluate, on {cpu}, {threads} threads; MXNet "
        "{mxnet}, Python {python}, {date}.".format(images=report["images"], **report["machine"])])


if __name__ == "__main__":
    sys.exit(main())
