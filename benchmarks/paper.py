"""``python -m benchmarks.paper``: the paper's run on CIFAR-10, as long as there is time for."""

import math
import sys
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from nin_gluon import runtime
from nin_gluon.atomic_files import write_ours
from nin_gluon.cli import ArgumentParser, command, seed_list
from nin_gluon.data.sets import own_data
from nin_gluon.errors import InputError
from nin_gluon.experiments.jobs import Job, Runner
from nin_gluon.experiments.published import HEADS
from nin_gluon.experiments.records import device_kind, slug
from nin_gluon.experiments.stores import RecordFolder
from nin_gluon.plots.style import PUBLISHED, TEST, open_axes, png
from nin_gluon.settings import PRESETS

DESCRIPTION = """\
The paper trains its net on CIFAR-10 for 120,000 steps, 307 epochs. This trains the same net on the
same whitened, shifted and mirrored images for fewer epochs, with a cosine schedule of that length.
It keeps the record, draws the test error by epoch, and prints it beside the published ones, with
the time that all 307 epochs would take. An epoch takes seven minutes on one core with bfloat16.
Ctrl-C saves, and the same command goes on.

  python -m benchmarks.paper              train what has no record, then print and draw
  python -m benchmarks.paper --head fc    the same with a dense layer in place of the average
  python -m benchmarks.paper --report     only print and draw
"""

PAPER = PRESETS["paper"].settings.but(resize=32)
EPOCHS = 60
SIGNATURE = "benchmarks.paper"  # in the picture

# The paper's head and its alternatives, as the published errors name them.
MODELS = {head: PAPER.model if head == "gap" else f"{PAPER.model},head={head}" for head in HEADS}

# Who, epochs or None, test error in percent. Nets of this size without batch normalization.
PUBLISHED_ERRORS = (
    ("the paper, without augmentation", None, HEADS["gap"]),
    ("the paper, with augmentation", None, 8.81),
    ("github.com/BIGBALLON/cifar-10-cnn, with augmentation", 200, 8.37),
    ("github.com/osmr/imgclsmob, Gluon, with augmentation", None, 7.43),
)


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.paper", description=DESCRIPTION)
    add = parser.add_argument
    add("--head", choices=HEADS, default="gap",
        help="what turns the maps into scores: gap, their average; fc, a dense layer; fc_dropout, "
             "one after dropout (default: %(default)s)")
    add("--epochs", type=int, default=EPOCHS, metavar="N", help="default: %(default)s")
    add("--seeds", type=seed_list, default=[0], metavar="LIST",
        help="such as 0-2 or 0,3 (default: 0)")
    add("--dtype", choices=("float32", "bfloat16"), default="bfloat16",
        help="arithmetic (default: %(default)s)")
    add("--ctx", metavar="DEVICE", help="auto, cpu, gpu, gpu(1), ... (default: auto)")
    add("--data-dir", metavar="DIR", help="folder with CIFAR-10's files")
    add("--runs", metavar="DIR", default="runs/paper", type=Path,
        help="folder for the runs (default: %(default)s)")
    add("--results", metavar="DIR", default="results/cifar10", type=Path,
        help="folder of the records and the picture (default: %(default)s)")
    add("--report", action="store_true", help="train nothing")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    store = RecordFolder(args.results, PAPER)
    if not args.report:
        status = train(store, args)
        if status:
            return status
    records = [record for record in store.read().values()
               if is_papers(record.settings) and not record.diverged]
    if not records:
        raise InputError(f"{args.results} holds no record of the paper's recipe; make one by: "
                         "python -m benchmarks.paper")
    write_ours(args.results / "paper.png", png(draw(records), SIGNATURE), SIGNATURE)
    print(table(records))
    return 0


def train(store, args):
    """Train the seeds that have no record; return the exit status."""
    engine = runtime.choose_engine(args.ctx or "auto")
    settings = PAPER.but(model=MODELS[args.head], epochs=args.epochs, schedule="cosine",
                         dtype=args.dtype, engine=engine)
    device = device_kind(runtime.devices_of(engine, args.ctx or "auto"))
    own = own_data(settings.dataset, args.data_dir)
    name = slug(PAPER, settings, device, own)
    jobs = [Job(f"seed {seed}", settings.but(seed=seed), args.runs / f"{name}-seed-{seed}", own)
            for seed in args.seeds]
    runner = Runner(store, device, args.ctx, args.data_dir)
    return runner.train(jobs) or (2 if runner.left_out else 0)


def is_papers(settings):
    """Whether a run follows the paper's recipe but for its head, length, schedule, arithmetic."""
    same = settings.but(model=PAPER.model, epochs=PAPER.epochs, schedule=PAPER.schedule,
                        dtype=PAPER.dtype, engine=PAPER.engine, seed=PAPER.seed)
    return same == PAPER and settings.model in MODELS.values()


def name_of(record):
    """'seed 0', or 'head fc, seed 0'."""
    head, = (name for name, model in MODELS.items() if model == record.settings.model)
    return f"head {head}, " * (head != "gap") + f"seed {record.seed}"


def errors_of(record):
    """The test error after each epoch, in percent."""
    return [100 * (1 - epoch.test_acc) for epoch in record.history]


def table(records):
    """Markdown: the published test errors and ours, and what the whole run would take."""
    rows = ["| | epochs | test error | hours |", "| --- | ---: | ---: | ---: |"]
    rows += [f"| {who} | {epochs or ''} | {error:.2f} % | |"
             for who, epochs, error in PUBLISHED_ERRORS]
    words = []
    for record in records:
        seconds = [epoch.seconds for epoch in record.history]
        error = errors_of(record)[-1]
        own = f", own files {record.own_data}" if record.own_data else ""
        rows.append(f"| ours, {record.settings.dtype} on {record.device}{own}, {name_of(record)} "
                    f"| {len(seconds)} | {error:.2f} % | {sum(seconds) / 3600:.1f} |")
        whole = mean(seconds) * PAPER.epochs / 3600
        words.append(f"{name_of(record).capitalize()}: all {PAPER.epochs} epochs would take "
                     f"{whole:.1f} hours on the same machine "
                     f"({record.machine.get('cpu', 'unknown')}, "
                     f"{record.machine.get('threads', '?')} threads).")
    rate = max(errors_of(record)[-1] for record in records) / 100
    words.append("A test error on 10,000 images is good to "
                 f"{100 * math.sqrt(rate * (1 - rate) / 10000):.2f} % (one standard error).")
    return "\n".join([*rows, "", *words])


def draw(records):
    """Test error by epoch, with the published errors as lines."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for record in records:
        errors = errors_of(record)
        axes.plot(range(1, len(errors) + 1), errors, color=TEST, lw=1.5)
        head = name_of(record).rpartition(", ")[0]  # "" for the paper's own
        axes.annotate(f"{head} {errors[-1]:.2f} %".strip(), (len(errors), errors[-1]), (5, 0),
                      color=TEST, textcoords="offset points", va="center")
    for who, _, error in PUBLISHED_ERRORS[:2]:
        axes.axhline(error, color=PUBLISHED, lw=0.8, ls="--")
        axes.annotate(f"{who}: {error} %", (0, error), (3, 3), fontsize=8, color=PUBLISHED,
                      xycoords=("axes fraction", "data"), textcoords="offset points")
    axes.set(xlabel="epoch", ylabel="test error, %", yscale="log",
             title="The paper's net on CIFAR-10")
    ticks = [8, 10, 15, 20, 30, 50, 90]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(7, 95)
    axes.set_xlim(0, 1.1 * max(len(record.history) for record in records))
    open_axes(axes)
    return figure


if __name__ == "__main__":
    sys.exit(main())
