"""``python -m benchmarks.unseeded``: the weights from which the chapter's own code starts."""

import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from nin_gluon.analysis.initial_state import measure_start
from nin_gluon.atomic_files import replacing
from nin_gluon.cli import ArgumentParser, command, seed_list
from nin_gluon.experiments.atlas.published_logs import read_atlas
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.experiments.stores import read_record, write_record
from nin_gluon.settings import TEXTBOOK

DESCRIPTION = """\
A program that sets no seed has MXNet's, which is 0, and Gluon draws weights on the CPU. So the
chapter's code starts from the same weights each time it runs from its first cell; only the order of
the images and the arithmetic differ. The first edition draws with mxnet.nd and later ones with
mxnet.np, so each of the two has weights of its own.

This trains the first epoch of the textbook's recipe from both starts, once for each seed, which
draws the order of the images and the dropout masks. It prints the results beside the published
first epochs and those of results/textbook, whose seeds draw the weights, too. An epoch takes six to
thirteen minutes on two cores with bfloat16. Ctrl-C saves, and the same command goes on.

  python -m benchmarks.unseeded              train what has no record, then print
  python -m benchmarks.unseeded --report     only print
"""

# Framework of the published logs, as in the atlas -> their epochs, and who wrote the code.
EDITIONS = {"mxnet": (5, "first edition"), "mxnet-np": (10, "later editions")}


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.unseeded", description=DESCRIPTION)
    add = parser.add_argument
    add("--seeds", type=seed_list, default=[0, 1, 2], metavar="LIST",
        help="such as 0-4 or 0,3 (default: 0-2)")
    add("--dtype", choices=("float32", "bfloat16"), default="bfloat16",
        help="arithmetic (default: %(default)s)")
    add("--data-dir", metavar="DIR", help="folder with Fashion-MNIST's files")
    add("--runs", metavar="DIR", default="runs/unseeded", type=Path,
        help="folder for the runs (default: %(default)s)")
    add("--results", metavar="DIR", default="results", type=Path,
        help="folder with unseeded and textbook (default: %(default)s)")
    add("--report", action="store_true", help="train nothing")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    if not args.report:
        args.runs.mkdir(parents=True, exist_ok=True)
        (args.results / "unseeded").mkdir(parents=True, exist_ok=True)
        for seed in args.seeds:
            for edition in EDITIONS:
                status = train(edition, seed, args)
                if status:
                    return status
    print(table(args.results))
    return 0


def train(edition, seed, args):
    """Make a run and its record if there is none; return the train command's exit status."""
    name = f"{edition}-{args.dtype}-cpu-seed-{seed}"
    record, run = args.results / "unseeded" / f"{name}.jsonl", args.runs / name
    if record.exists():
        return 0
    weights = args.runs / f"{edition}.params"
    write_start(edition, weights)
    options = ["--resume", str(run)]
    if not run.exists():
        options = ["--dataset", "fashion-mnist", "--epochs", "1", "--seed", str(seed), "--dtype",
                   args.dtype, "--engine", "gluon", "--ctx", "cpu", "--init-from", str(weights),
                   "--out", str(run)]
    if args.data_dir:
        options += ["--data-dir", args.data_dir]
    process = subprocess.Popen([sys.executable, "-m", "nin_gluon.train", *options])
    try:
        status = process.wait()
    except KeyboardInterrupt:  # the run gets Ctrl-C, too, and saves
        status = process.wait()
    if status == 0:
        made = record_of_run(run)
        start = measure_start(made.settings, args.data_dir, str(weights))
        write_record(record, replace(made, start=start))
    return status


def write_start(edition, path):
    """Write the parameters from which the chapter's code starts in a fresh process.

    What draws before the training does is drawn here as well: the image for the table of shapes,
    and the weights for it, which Gluon draws layer by layer when the image passes through.
    """
    import nin_gluon  # noqa: F401  # isort: skip  (it prepares MXNet)
    import mxnet as mx

    from nin_gluon.models import nin

    later, shape = edition == "mxnet-np", (1, 1, TEXTBOOK.resize, TEXTBOOK.resize)
    mx.random.seed(0)
    with mx.util.np_shape(later), mx.util.np_array(later):
        net = nin()
        X = mx.np.random.uniform(size=shape) if later else mx.nd.random.uniform(shape=shape)
        net.initialize()
        for layer in net:
            X = layer(X)
        net.initialize(mx.init.Xavier(), force_reinit=True)
        values = {name: parameter.data().asnumpy()
                  for name, parameter in net._collect_params_with_prefix().items()}
    with replacing(path) as temporary:  # another process may be reading it
        mx.nd.save(str(temporary), {name: mx.nd.array(value) for name, value in values.items()})


def table(results):
    """Markdown: a row for each kind of start, published or ours, with its first epochs."""
    rows = [line("", "runs", "loss", "train acc", "classes alive before it"),
            line("---", "---:", "---", "---", "---")]
    for edition, (epochs, name) in EDITIONS.items():
        logs = [log for log in read_atlas()
                if (log.framework, log.recipe, log.epochs) == (edition, "sgd-0.1", epochs)]
        ours, living = first_epochs(results / "unseeded", f"{edition}-[bf]*.jsonl")
        rows += row(f"{name}, published", [(log.mean_loss[0], log.train_acc[0]) for log in logs],
                    living)
        rows += row(f"{name}, our runs from their weights", ours, living)
    rows += row("our seeds, with weights of their own",
                *first_epochs(results / "textbook", "bfloat16*.jsonl"))
    return "\n".join(rows)


def row(name, epochs, living):
    """[the row], or [] without epochs."""
    if not epochs:
        return []
    loss, accuracy = zip(*epochs)
    alive = ", ".join(map(str, sorted(living))) or "not counted"
    return [line(name, str(len(epochs)), span(loss), span(accuracy), alive)]


def line(*cells):
    return f"| {' | '.join(cells)} |"


def first_epochs(folder, pattern):
    """Of the records in a folder: [(loss, train acc)] after the first epoch, {classes alive}."""
    records = [read_record(path) for path in sorted(folder.glob(pattern))]
    return ([(record.history[0].loss, record.history[0].train_acc) for record in records],
            {len(record.start.living) for record in records if record.start})


def span(values):
    """'2.142 to 2.272, median 2.245'; leaves out None."""
    known = [value for value in values if value is not None]
    return f"{min(known):.3f} to {max(known):.3f}, median {statistics.median(known):.3f}"


if __name__ == "__main__":
    sys.exit(main())
