"""``python -m benchmarks.time_to_accuracy``: seconds until a test accuracy was first reached.

  python -m benchmarks.time_to_accuracy results/textbook/bfloat16*.jsonl results/tuned/*seed-0.jsonl
  python -m benchmarks.time_to_accuracy runs/a runs/b --keep results/quick

Takes run folders, records of runs (.jsonl) and figures of ``benchmarks.book`` (.json), and prints a
Markdown table: a row for each recipe, arithmetic and machine, with the median over its seeds and
the fastest and slowest of them. The seconds are those of whole epochs, with loading, augmentation
and evaluation, from the start of the run to the end of the first epoch that reached the accuracy.
``--keep DIR`` writes the records of run folders.
"""

import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple, Sequence

from nin_gluon.checked_files import parse_json, read_text
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.experiments.records import slug, train_command
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.experiments.stores import read_record, write_record
from nin_gluon.settings import PRESETS
from nin_gluon.training.history import EpochRecord, parse_log

# The published log's last, the highest published of the recipe, and what the tuned recipe passes.
LEVELS = (0.544, 0.885, 0.93)


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.time_to_accuracy", description=__doc__)
    add = parser.add_argument
    add("sources", nargs="+", metavar="RUN|RECORD", help="run folders, records, figures")
    add("--levels", nargs="+", type=float, default=LEVELS, metavar="ACC",
        help="test accuracies, fractions (default: 0.544 0.885 0.93)")
    add("--keep", metavar="DIR", help="write the records of the run folders here")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    runs = [run for source in args.sources for run in read(Path(source), args.keep)]
    print(table(runs, args.levels))
    return 0


class TimedRun(NamedTuple):
    """A finished run as the table sees it."""

    recipe: str
    dtype: str
    where: str
    seed: int
    history: Sequence[EpochRecord]


def read(source, keep):
    """The runs in a file, or the run in a folder, whose record is kept if asked for."""
    if source.suffix == ".json":
        return runs_of_book(source)
    if source.is_file():
        return [timed(read_record(source))]
    record = record_of_run(source)
    if not record.finished:
        raise InputError(f"{source} is not finished; go on with it first.")
    if keep:
        name, recipe = recipe_of(record.settings)
        words = slug(recipe.but(dataset=record.settings.dataset), record.settings, record.device)
        path = Path(keep, f"{words}-seed-{record.seed}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise InputError(f"{path} is there already; records are not overwritten.")
        write_record(path, record)
    return [timed(record)]


def timed(record):
    machine = record.machine
    where = f"{record.device}: {machine.get('cpu', '?')}, {machine.get('threads', '?')} threads"
    name, recipe = recipe_of(record.settings)
    usual = recipe.dataset or "fashion-mnist"
    others = [record.settings.dataset] if record.settings.dataset != usual else []
    others += ["PyTorch"] if record.settings.engine == "torch" else []
    others += [f"own files {record.own_data}"] if record.own_data else []
    return TimedRun(", ".join([name, *others]), record.settings.dtype, where, record.seed,
                    record.history)


def runs_of_book(path):
    """The runs in figures of ``benchmarks.book``; its turns have the seeds 0, 1, ..."""
    try:
        report = parse_json(read_text(path))
        where = "cpu: {cpu}, {threads} threads".format(**report["machine"])
        return [TimedRun(f"{net}, the book's code by {way}", "float32", where, seed,
                         parse_log("\n".join(lines)))
                for net, ways in report["logs"].items() for way, logs in ways.items()
                for seed, lines in enumerate(logs)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} does not hold figures of benchmarks.book with logs; give a run "
                         "folder, a record (.jsonl) or such figures (.json).") from None


def recipe_of(settings):
    """(name, settings) of the preset that a run follows but for arithmetic, data and seed."""
    for name, preset in PRESETS.items():
        recipe = preset.settings
        same = settings.but(seed=recipe.seed, dtype=recipe.dtype, dataset=recipe.dataset,
                            engine=recipe.engine)
        if same == recipe:
            return name, recipe
    return train_command(settings.but(seed=0)), settings


def seconds_to(history, level):
    """Seconds until the test accuracy first reached a level; None if it never did."""
    seconds = 0.0
    for epoch in history:
        seconds += epoch.seconds
        if epoch.test_acc >= level:
            return seconds
    return None


def table(runs, levels):
    """The runs as a Markdown table."""
    rows = {}
    for run in runs:
        rows.setdefault((run.recipe, run.dtype, run.where), []).append(run)
    lines = ["| recipe | arithmetic | on | seeds | "
             + " | ".join(f"to {level:g}, s" for level in levels) + " |",
             "| --- | --- | --- | --- |" + " ---: |" * len(levels)]
    for names, members in rows.items():
        seeds = ", ".join(str(seed) for seed in sorted(run.seed for run in members))
        cells = [cell([seconds_to(run.history, level) for run in members]) for level in levels]
        lines.append(f"| {' | '.join([*names, seeds, *cells])} |")
    return "\n".join(lines)


def cell(times):
    """The median with the fastest and the slowest; how many reached it, unless all did."""
    reached = sorted(time for time in times if time is not None)
    if not reached:
        return "never"
    text = f"{median(reached):,.0f}"
    if len(reached) > 1:
        text += f" ({reached[0]:,.0f} to {reached[-1]:,.0f})"
    return text if len(reached) == len(times) else f"{text}, {len(reached)} of {len(times)}"


if __name__ == "__main__":
    sys.exit(main())
