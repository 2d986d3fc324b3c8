"""``python -m benchmarks.compare``: this project beside d2lzh and PyTorch, on this machine, now."""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.variants import CEILINGS, VARIANTS
from nin_gluon.analysis.cost import count
from nin_gluon.atomic_files import write_text
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.runtime.processors import (
    FEATURES,
    available_cpus,
    cpu_flags,
    cpu_name,
    has_bfloat16,
)

DESCRIPTION = """\
Train and evaluate the chapter's net on Fashion-MNIST at 224x224 in batches of 128, loading of the
data included, with d2lzh, with PyTorch (where it is installed) and with this project: each in a
process of its own with the same threads, in turns, several times. ONNX Runtime and OpenVINO, where
they are installed, evaluate the net that `nin-gluon export` writes. Print medians with the smallest
and the largest value, and write all of it as JSON. Nothing else should run meanwhile.

  python -m benchmarks.compare               about a quarter of an hour on two cores
  python -m benchmarks.compare --quick       under five minutes: fewer images, turns and variants
  python -m benchmarks.compare --only ours ours-bf16
  python -m benchmarks.compare --images 128 --evaluate 1280 --only ours onnxruntime openvino
"""

EPILOG = "variants:\n" + "\n".join(f"  {name:22} {v.title}, {v.dtype}"
                                   for name, v in VARIANTS.items() if name != CEILINGS)


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.compare", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument
    add("--quick", action="store_true", help="2 turns of 256 images instead of 3 of 384, without "
                                             "the slowest variants")
    add("--rounds", type=int, metavar="N", help="turns of each variant")
    add("--images", type=int, metavar="N", help="training images a turn")
    add("--evaluate", type=int, metavar="N",
        help="test images a turn (default: as many as training images). With few of them "
             "the start of this project's evaluation, fusing the graph, counts for much")
    add("--only", nargs="+", choices=[name for name in VARIANTS if name != CEILINGS],
        metavar="VARIANT", help="only these of the variants below")
    add("--data-dir", metavar="DIR", help="folder with Fashion-MNIST's files (as for "
                                          "nin_gluon.train)")
    add("--out", metavar="FILE", default="speed.json",
        help="new file for the figures (default: %(default)s)")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    rounds, images = (2, 256) if args.quick else (3, 384)
    rounds = rounds if args.rounds is None else args.rounds
    images = images if args.images is None else args.images
    evaluated = images if args.evaluate is None else args.evaluate
    if rounds < 1 or min(images, evaluated) < 128:
        raise InputError("--rounds must be at least 1, --images and --evaluate at least 128, one "
                         "batch.")
    check_new(args.out)
    settings = {"batch_size": 128, "resize": 224,
                "data_dir": args.data_dir and os.path.abspath(args.data_dir)}

    from nin_gluon.data.sets import load_image_set

    # Found, verified and if need be downloaded now, not in a turn.
    for split, wanted in (("train", images), ("test", evaluated)):
        _, labels = load_image_set("fashion-mnist", split, args.data_dir)
        settings[split] = min(wanted, len(labels))
    chosen = choose(args)
    report = {"settings": settings, "rounds": rounds, "machine": machine(), "turns": {}}
    for turn in range(rounds):
        order = chosen[turn % len(chosen):] + chosen[:turn % len(chosen)]  # none is always last
        for i, name in enumerate(order, 1):
            figures = run(name, settings)
            report["turns"].setdefault(name, []).append(figures)
            write_text(args.out, json.dumps(report, indent=1) + "\n")
            print(f"turn {turn + 1} of {rounds}, {i} of {len(order)}: {name}: {brief(figures)}",
                  file=sys.stderr, flush=True)
    print(table(report))
    print(f"\nfigures: {args.out}", file=sys.stderr)
    return int(any("failed" in t for turns in report["turns"].values() for t in turns))


def check_new(path):
    """See that a file can be made, before the long work that is to go into it."""
    path = Path(path).absolute()
    if path.exists():
        raise InputError(f"--out {path} is there already; choose another name.")
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent} to write into.")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"--out {path}: the folder {path.parent} cannot be written into.")


def choose(args):
    """The variants that this machine can run, the ceilings first; the others are named."""
    chosen = [CEILINGS]
    bfloat16 = has_bfloat16()
    for name, variant in VARIANTS.items():
        if name == CEILINGS or (args.only and name not in args.only):
            continue
        if args.quick and variant.slow and not args.only:
            continue
        missing = [needed for needed in variant.needs if importlib.util.find_spec(needed) is None]
        if missing:
            print(f"{name}: left out, because {missing[0]} is not installed", file=sys.stderr)
        elif variant.dtype == "bfloat16" and not bfloat16:
            print(f"{name}: left out, because this CPU has no bfloat16 arithmetic", file=sys.stderr)
        else:
            chosen.append(name)
    return chosen


def machine():
    """What the figures hold for."""
    packages = {name: version(name) for name in ("mxnet", "d2lzh", "torch", "onnxruntime",
                                                     "openvino", "numpy")}
    wide = [feature for feature in FEATURES if feature in cpu_flags()]
    return {"cpu": cpu_name(), "cpu_features": wide, "threads": available_cpus(),
            "python": sys.version.split()[0], **packages, "date": time.strftime("%Y-%m-%d")}


def version(package):
    """The installed version of a package, or None."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def run(name, settings):
    """One turn of one variant, in a process of its own."""
    threads = available_cpus()
    if VARIANTS[name].half_threads:
        threads = max(1, threads // 2)  # MXNet takes every second processor for a hyper-thread
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    child = subprocess.run([sys.executable, "-m", "benchmarks.variants", name,
                            json.dumps(settings)], env=environment, text=True,
                           capture_output=True, check=False)
    if child.returncode:
        lines = child.stderr.strip().splitlines()
        return {"failed": lines[-1] if lines else f"status {child.returncode}"}
    return json.loads(child.stdout.splitlines()[-1])


def brief(figures):
    """A turn's figures in a few words."""
    if "failed" in figures:
        return f"failed: {figures['failed']}"
    if "train_images_per_s" not in figures:
        return ", ".join(f"{name} {value:.0f}" for name, value in figures.items())
    return (f"training {figures['train_images_per_s']:.1f} images/s, evaluation "
            f"{figures['eval_images_per_s']:.1f}, {figures['train_memory_mb']:.0f} MB")


def table(report):
    """The comparison as a Markdown table, with the ratios and the ceilings below it."""
    turns = {name: [t for t in all_turns if "failed" not in t]
             for name, all_turns in report["turns"].items()}
    edge = report["settings"]["resize"]
    flops = count("nin", (1, 1, edge, edge))["training_flops"] / 1e9
    ceilings = {dtype: max((t[f"{dtype}_gflops"] for t in turns.get(CEILINGS, ())), default=0)
                for dtype in ("float32", "bfloat16")}
    base = median(turns.get("d2lzh-threads"), "train_images_per_s")
    lines = ["| | arithmetic | training, images/s | x d2lzh, all threads | evaluation, images/s | "
             "memory, MB | GFLOP/s | of the ceiling |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, measured in turns.items():
        if name == CEILINGS:
            continue
        variant = VARIANTS[name]
        if not measured:
            lines.append(f"| {variant.title} | {variant.dtype} | failed |" + " |" * 5)
            continue
        if "train_images_per_s" not in measured[0]:  # it only evaluates
            rate = spread(measured, "eval_images_per_s")
            lines.append(f"| {variant.title} | {variant.dtype} |  |  | {rate} |  |  |  |")
            continue
        rate = median(measured, "train_images_per_s") * flops
        ceiling = ceilings[variant.dtype]
        lines.append(" | ".join([
            f"| {variant.title}", variant.dtype, spread(measured, "train_images_per_s"),
            f"{median(measured, 'train_images_per_s') / base:.2f}" if base else "",
            spread(measured, "eval_images_per_s"), f"{median(measured, 'train_memory_mb'):.0f}",
            f"{rate:.0f}", f"{rate / ceiling:.2f} |" if ceiling else " |"]))
    return "\n".join([*lines, "", *ratios(turns), *(
        f"Ceiling in {dtype}: {value:.0f} GFLOP/s, the fastest of matrix products of 1024 to 4096."
        for dtype, value in ceilings.items() if value),
        "On {cpu}, {threads} threads; MXNet {mxnet}, d2lzh {d2lzh}, PyTorch {torch}, ONNX Runtime "
        "{onnxruntime}, OpenVINO {openvino}, Python {python}; medians (smallest to largest) of "
        "{rounds} turns, {date}.".format(
            rounds=report["rounds"], **report["machine"])])


def ratios(turns):
    """Sentences about this project against its peers."""
    for dtype, name in (("float32", "ours"), ("float32", "ours-torch"), ("bfloat16", "ours-bf16"),
                        ("bfloat16", "ours-torch-bf16")):
        if not turns.get(name):
            continue
        what = f"In {dtype}" + (" with PyTorch" if "torch" in name else "")
        mine = median(turns[name], "train_images_per_s")
        peers = {other: median(measured, "train_images_per_s") for other, measured in turns.items()
                 if other.startswith("torch") and not other.startswith("torch-edition")
                 and VARIANTS[other].dtype == dtype and measured}
        if peers:
            best = max(peers, key=peers.get)
            least = min(median(turns[other], "train_memory_mb") for other in peers)
            memory = median(turns[name], "train_memory_mb")
            yield (f"{what}, training is {mine / peers[best]:.2f} x the fastest PyTorch "
                   f"({VARIANTS[best].title}), with {memory / least:.2f} x the memory of the "
                   "thriftiest.")
        for other in ("d2lzh", "d2lzh-threads"):
            if turns.get(other):
                yield (f"{what}, training is "
                       f"{mine / median(turns[other], 'train_images_per_s'):.2f} x and evaluation "
                       f"{ratio(turns, name, other, 'eval_images_per_s'):.2f} x "
                       f"{VARIANTS[other].title}.")
        for other, measured in turns.items():
            if measured and "train_images_per_s" not in measured[0] and (
                    other != CEILINGS and VARIANTS[other].dtype == dtype):
                yield (f"{what}, evaluation is "
                       f"{ratio(turns, name, other, 'eval_images_per_s'):.2f} x "
                       f"{VARIANTS[other].title}.")
        share = median(turns[name], "share_waiting_for_data")
        yield f"{what}, {share:.1%} of a training step goes into making the batch."


def ratio(turns, name, other, figure):
    return median(turns[name], figure) / median(turns[other], figure)


def median(measured, figure):
    """Median of a figure over the turns; None without turns."""
    return statistics.median(t[figure] for t in measured) if measured else None


def spread(measured, figure):
    """'58.2 (57.9-58.6)'."""
    values = [t[figure] for t in measured]
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    sys.exit(main())
