"""``python -m benchmarks.scaling``: how the cost grows with size, batch, devices and workers."""

import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.compare import check_new, machine, median, run
from nin_gluon.atomic_files import write_text
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.runtime.processors import has_bfloat16

DESCRIPTION = """\
Measure this project alone, in one process after another: training and evaluation for several sizes
of images, numbers of images and sizes of batches, for a batch split over two devices of the CPU,
and for two workers and a server on this machine. Print Markdown tables, and write the figures as
JSON. docs/explanation/scaling.md holds the tables of one such run. Takes about eight minutes
on two cores.
"""

SIZES = (67, 96, 112, 160, 224)
IMAGES = (256, 1024, 2048)
BATCHES = (16, 32, 64, 128, 256)


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.scaling", description=DESCRIPTION)
    parser.add_argument("--rounds", type=int, default=2, metavar="N",
                        help="turns of each (default: %(default)s)")
    parser.add_argument("--out", metavar="FILE", default="scaling.json",
                        help="new file for the figures (default: %(default)s)")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    if args.rounds < 1:
        raise InputError("--rounds must be at least 1.")
    check_new(args.out)
    dtypes = ["float32", *(["bfloat16"] if has_bfloat16() else [])]
    cases = {}
    for dtype in dtypes:
        for size in SIZES:
            cases[f"size {size}", dtype] = {"resize": size}
        for images in IMAGES:
            cases[f"images {images}", dtype] = {"resize": 112, "train": images, "test": images}
        for batch in BATCHES:
            cases[f"batch {batch}", dtype] = {"resize": 112, "batch_size": batch}
        cases["devices 2", dtype] = {"resize": 112, "devices": 2}
    turns = {key: [] for key in cases}
    jobs = {1: [], 2: []}
    for turn in range(args.rounds):
        for key, changes in cases.items():
            # Of smaller images more, for each to take about as long.
            images = 256 * max(1, 224 // changes["resize"]) ** 2
            settings = {"train": images, "test": images, "batch_size": 128, "data_dir": None,
                        **changes}
            turns[key].append(run("ours" if key[1] == "float32" else "ours-bf16", settings))
            if "failed" in turns[key][-1]:
                raise InputError(f"{' in '.join(key)}: {turns[key][-1]['failed']}")
            print(f"turn {turn + 1} of {args.rounds}: {' in '.join(key)}", file=sys.stderr)
        for workers in jobs:
            jobs[workers].append(job(workers))
            print(f"turn {turn + 1} of {args.rounds}: {workers} workers", file=sys.stderr)
        report = {"machine": machine(), "jobs": jobs,
                  "turns": [{"case": key[0], "dtype": key[1], "measured": measured}
                            for key, measured in turns.items()]}
        write_text(args.out, json.dumps(report, indent=1) + "\n")  # after every turn
    print(tables(turns, jobs, dtypes))
    return 0


def job(workers):
    """Seconds of the second epoch of a job of so many workers, the last of which shares a server.

    1,280 images at 112x112 in steps of 128 images, those of all workers together.
    """
    with tempfile.TemporaryDirectory() as folder:
        train = [sys.executable, "-m", "nin_gluon.train", "--epochs", "2", "--limit", "1280",
                 "--resize", "112", "--batch-size", str(128 // workers), "--no-progress",
                 "--dataset", "fashion-mnist", "--out", str(Path(folder, "run"))]
        if workers > 1:
            train = [sys.executable, "-m", "nin_gluon.launch", "-n", str(workers), "-s", "1", "--",
                     *train, "--kvstore", "dist_sync"]
        done = subprocess.run(train, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise InputError(f"the job of {workers} workers failed ({said[-1]}).")
    return float(re.search(r"epoch 2, .* time (\S+) sec", done.stdout)[1])


def tables(turns, jobs, dtypes):
    """The Markdown tables of docs/explanation/scaling.md."""
    lines = []
    for kind in ("size", "images", "batch", "devices"):
        lines += [f"| {kind} |" + "".join(f" {d}: training | evaluation | MB |" for d in dtypes),
                  "| --- |" + " --- | --- | --- |" * len(dtypes)]
        for name in dict.fromkeys(case for case, _ in turns if case.startswith(kind)):
            lines.append(f"| {name.split()[1]} |" + "".join(
                f" {median(turns[name, d], 'train_images_per_s'):.0f} |"
                f" {median(turns[name, d], 'eval_images_per_s'):.0f} |"
                f" {median(turns[name, d], 'train_memory_mb'):.0f} |" for d in dtypes))
        lines.append("")
    lines += [f"{workers} worker{'s' if workers > 1 else ''}: {statistics.median(seconds):.1f} s "
              "an epoch of 1,280 images at 112x112, float32, with its evaluation"
              for workers, seconds in jobs.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
