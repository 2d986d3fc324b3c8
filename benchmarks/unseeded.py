"""``python -m benchmarks.unseeded``: the weights from which the chapter's own code starts."""

import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

from nin_gluon.analysis.initial_state import measure_start
from nin_gluon.atomic_files import replacing
from nin_gluon.cli import ArgumentParser, command, seed_list
from nin_gluon.experiments.atlas.published_logs import read_atlas
from nin_gluon.experiments.exercises.lottery import SMALL
from nin_gluon.experiments.jobs import Job, Runner
from nin_gluon.experiments.records import slug
from nin_gluon.experiments.statistics import permutation_p, wilson_interval
from nin_gluon.experiments.stores import ExerciseFile, RecordFolder
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.initial_parameters import digest_of

DESCRIPTION = """\
A program that sets no seed has MXNet's, which is 0, and Gluon draws weights on the CPU. So the
chapter's code starts from the same weights each time it runs from its first cell; only the order of
the images and the arithmetic differ. The first edition draws with mxnet.nd and later ones with
mxnet.np, so each of the two has weights of its own.

This trains the textbook's recipe from both starts, once for each seed, which draws the order of the
images and the dropout masks. It prints the first epochs beside the published ones and those of
results/textbook, whose seeds draw the weights, too; then how the runs end. An epoch takes six to
thirteen minutes on two cores with bfloat16. Ctrl-C saves, and the same command goes on.

  python -m benchmarks.unseeded              one epoch of what has no record, then print
  python -m benchmarks.unseeded --epochs 5   the whole recipe
  python -m benchmarks.unseeded --short      the lottery's runs: 6,000 images of 67x67, ten epochs
  python -m benchmarks.unseeded --report     only print
"""

# Framework of the published logs, as in the atlas -> their epochs, and who wrote the code.
EDITIONS = {"mxnet": (5, "first edition"), "mxnet-np": (10, "later editions")}

RECIPE = TEXTBOOK.but(dataset="fashion-mnist")
SHORT = RECIPE.but(**SMALL)


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.unseeded", description=DESCRIPTION)
    add = parser.add_argument
    add("--seeds", type=seed_list, default=[0, 1, 2], metavar="LIST",
        help="such as 0-4 or 0,3 (default: 0-2)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, default=1, metavar="N", help="default: %(default)s")
    length.add_argument("--short", action="store_true", help="the lottery's runs: minutes each")
    add("--dtype", choices=("float32", "bfloat16"), default="bfloat16",
        help="arithmetic (default: %(default)s)")
    add("--data-dir", metavar="DIR", help="folder with Fashion-MNIST's files")
    add("--runs", metavar="DIR", default="runs/unseeded", type=Path,
        help="folder for the runs (default: %(default)s)")
    add("--results", metavar="DIR", default="results", type=Path,
        help="folder with unseeded, textbook and exercises (default: %(default)s)")
    add("--report", action="store_true", help="train nothing")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    if not args.report:
        status = train(args)
        if status:
            return status
    print(first_epochs(args.results))
    for title, recipe in (("Whole runs", RECIPE), ("Short runs", SHORT)):
        rows = ends(args.results, recipe)
        if rows:
            print(f"\n{title}\n\n{rows}")
    return 0


# ------------------------------------------------------------------ runs


def train(args):
    """Train what has no record, from both starts in turn; return the exit status."""
    args.runs.mkdir(parents=True, exist_ok=True)
    recipe = SHORT if args.short else RECIPE.but(epochs=args.epochs)
    starts = {edition: args.runs / f"{edition}.params" for edition in EDITIONS}
    for edition, path in starts.items():
        write_start(edition, path)
    left_out = 0
    for seed in args.seeds:
        for edition, path in starts.items():
            settings = recipe.but(seed=seed, dtype=args.dtype, init_from=digest_of(path))
            store = store_of(args.results, edition, settings.init_from)
            name = slug(store.recipe, settings, "cpu")
            job = Job(f"{EDITIONS[edition][1]}, seed {seed}", settings,
                      args.runs / f"{edition}-{name}-seed-{seed}", init_file=path)
            runner = Runner(store, "cpu", "cpu", args.data_dir, complete=completed(args, path))
            status = runner.train([job]) or (128 + runner.stop if runner.stop else 0)
            if status:
                return status
            left_out += len(runner.left_out)
    return 2 if left_out else 0


def store_of(results, edition, init_from=None):
    """The records of the runs from one edition's start."""
    return RecordFolder(results / "unseeded" / edition, RECIPE.but(init_from=init_from))


def completed(args, weights):
    """A function of (record, run folder): the record with its start and the command that makes it.

    The train command by itself would need the file of weights, which is not kept.
    """
    def complete(record, folder):
        words = ["python -m benchmarks.unseeded --seeds", str(record.seed)]
        words += ["--short"] if args.short else ["--epochs", str(args.epochs)]
        words += ["--dtype", args.dtype]
        return replace(record, command=" ".join(words),
                       start=measure_start(record.settings, args.data_dir, str(weights)))

    return complete


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


# ------------------------------------------------------------------ tables


def first_epochs(results):
    """Markdown: a row for each kind of start, published or ours, with its first epochs."""
    rows = [line("", "runs", "loss", "train acc", "test acc", "classes alive before it"),
            line("---", "---:", "---", "---", "---", "---")]
    for edition, (epochs, name) in EDITIONS.items():
        logs = [log for log in read_atlas()
                if (log.framework, log.recipe, log.epochs) == (edition, "sgd-0.1", epochs)]
        ours = a_run_each(record for record in store_of(results, edition).read().values()
                          if is_run_of(record, RECIPE))
        alive = alive_before(ours)
        rows += row(f"{name}, published",
                    [(log.mean_loss[0], log.train_acc[0], log.test_acc[0]) for log in logs], alive)
        rows += row(f"{name}, our runs from their weights", figures(ours), alive)
    drawn = a_run_each(seeds_of_ours(results, RECIPE))
    rows += row("our seeds, with weights of their own", figures(drawn), alive_before(drawn))
    return "\n".join(rows)


def a_run_each(records):
    """One record with an epoch for each seed and arithmetic: runs of any length begin alike."""
    found = {(record.seed, record.settings.dtype): record for record in records if record.history}
    return list(found.values())


def is_run_of(record, recipe):
    """Whether a run follows the recipe but for its start, length and arithmetic."""
    return record.settings.but(seed=recipe.seed, dtype=recipe.dtype, epochs=recipe.epochs,
                               init_from=None) == recipe


def seeds_of_ours(results, recipe):
    """The records of runs of the recipe in bfloat16 that drew their weights, too."""
    if recipe == RECIPE:
        records = RecordFolder(results / "textbook", RECIPE).read().values()
    else:
        records, _ = ExerciseFile(results / "exercises" / "lottery.json").read()
    return [record for record in records
            if is_run_of(record, recipe) and record.settings.dtype == "bfloat16"]


def figures(records):
    first = [record.history[0] for record in records]
    return [(epoch.loss, epoch.train_acc, epoch.test_acc) for epoch in first]


def alive_before(records):
    """How many classes were alive before the first step, in words."""
    counts = {len(record.start.living) for record in records if record.start}
    return ", ".join(map(str, sorted(counts))) or "not counted"


def row(name, epochs, alive):
    """[the row], or [] without epochs."""
    if not epochs:
        return []
    return [line(name, str(len(epochs)), *map(span, zip(*epochs)), alive)]


def line(*cells):
    return f"| {' | '.join(cells)} |"


def span(values):
    """'2.142 to 2.272, median 2.245'; leaves out None."""
    known = [value for value in values if value is not None]
    return f"{min(known):.3f} to {max(known):.3f}, median {median(known):.3f}"


def ends(results, recipe):
    """Markdown: how whole runs of the recipe end, by start; '' without runs from both starts."""
    groups = {name: whole_runs(store_of(results, edition).read().values(), recipe)
              for edition, (_, name) in EDITIONS.items()}
    if not all(groups.values()):
        return ""
    _, p = permutation_p([[r.test_acc for r in runs] for runs in groups.values()])
    groups["weights of their own"] = whole_runs(seeds_of_ours(results, recipe), recipe)
    rows = [line("", "runs", "test acc at the end", "classes alive", "9 or 10 alive"),
            line("---", "---:", "---", "---", "---")]
    for name, runs in groups.items():
        counts = [r.living_classes for r in runs if r.living_classes is not None]
        if counts:
            many = sum(count >= 9 for count in counts)
            low, high = wilson_interval(many, len(counts))
            rows.append(line(name, str(len(runs)), span([r.test_acc for r in runs]),
                             f"{min(counts)} to {max(counts)}, median {median(counts):g}",
                             f"{many} of {len(counts)} ({low:.0%} to {high:.0%})"))
    return "\n".join([*rows, "", "Test accuracy at the end from the two editions' weights: a "
                      f"permutation test gives p = {p:.2f}."])


def whole_runs(records, recipe):
    return [record for record in records if is_run_of(record, recipe)
            and record.settings.epochs == recipe.epochs and not record.diverged]


if __name__ == "__main__":
    sys.exit(main())
