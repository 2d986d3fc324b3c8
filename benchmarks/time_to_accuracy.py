"""``python -m benchmarks.time_to_accuracy``: seconds until a test accuracy was first reached.

  python -m benchmarks.time_to_accuracy results/textbook/bfloat16*.jsonl results/tuned/*seed-0.jsonl
  python -m benchmarks.time_to_accuracy runs/a runs/b --keep results/quick

Takes run folders and records of runs, and prints a Markdown table: a row for each recipe,
arithmetic and machine, with the median over its seeds and the fastest and slowest of them. The
seconds are those of whole epochs, with loading, augmentation and evaluation, from the start of the
run to the end of the first epoch that reached the accuracy. ``--keep DIR`` writes the records of
run folders.
"""

import sys
from pathlib import Path
from statistics import median

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.experiments.records import slug, train_command
from nin_gluon.experiments.run_records import record_of_run
from nin_gluon.experiments.stores import read_record, write_record
from nin_gluon.settings import PRESETS

# The published log's last, the highest published of the recipe, and what the tuned recipe passes.
LEVELS = (0.544, 0.885, 0.93)


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.time_to_accuracy", description=__doc__)
    add = parser.add_argument
    add("sources", nargs="+", metavar="RUN|RECORD", help="run folders and records (.jsonl)")
    add("--levels", nargs="+", type=float, default=LEVELS, metavar="ACC",
        help="test accuracies, fractions (default: 0.544 0.885 0.93)")
    add("--keep", metavar="DIR", help="write the records of the run folders here")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    records = [read(Path(source), args.keep) for source in args.sources]
    print(table(records, args.levels))
    return 0


def read(source, keep):
    """The record of a finished run, kept if asked for."""
    if source.is_file():
        return read_record(source)
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
    return record


def recipe_of(settings):
    """(name, settings) of the preset that a run follows but for arithmetic, data and seed."""
    for name, preset in PRESETS.items():
        recipe = preset.settings
        same = settings.but(seed=recipe.seed, dtype=recipe.dtype, dataset=recipe.dataset,
                            engine=recipe.engine)
        if same == recipe:
            return name, recipe
    return train_command(settings.but(seed=0)), settings


def seconds_to(record, level):
    """Seconds until the test accuracy first reached a level; None if it never did."""
    seconds = 0.0
    for epoch in record.history:
        seconds += epoch.seconds
        if epoch.test_acc >= level:
            return seconds
    return None


def table(records, levels):
    """The records as a Markdown table."""
    rows = {}
    for record in records:
        name, _ = recipe_of(record.settings)
        machine = record.machine
        where = f"{record.device}: {machine.get('cpu', '?')}, {machine.get('threads', '?')} threads"
        rows.setdefault((name, record.settings.dtype, where), []).append(record)
    lines = ["| recipe | arithmetic | on | seeds | "
             + " | ".join(f"to {level:g}, s" for level in levels) + " |",
             "| --- | --- | --- | --- |" + " ---: |" * len(levels)]
    for (name, dtype, where), members in rows.items():
        seeds = ", ".join(str(record.seed) for record in sorted(members, key=lambda r: r.seed))
        cells = [cell([seconds_to(record, level) for record in members]) for level in levels]
        lines.append(f"| {name} | {dtype} | {where} | {seeds} | {' | '.join(cells)} |")
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
