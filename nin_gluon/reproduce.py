"""``python -m nin_gluon.reproduce``: a published log against runs of several seeds."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import List, Optional

from nin_gluon import runtime
from nin_gluon.cli import (
    ArgumentParser,
    add_settings,
    command,
    given_settings,
    known_dataset,
    seed_list,
    this_python,
    whole_path,
)
from nin_gluon.errors import InputError
from nin_gluon.experiments.pages import format_group
from nin_gluon.experiments.published import EDITIONS, Edition
from nin_gluon.experiments.records import device_kind
from nin_gluon.experiments.reproduction import Reproduction, finished_record
from nin_gluon.experiments.seed_groups import Group
from nin_gluon.experiments.verdict import verdict_of
from nin_gluon.experiments.wording import seed_words
from nin_gluon.extras import require_torch
from nin_gluon.settings import ENGINES, setting_of

DESCRIPTION = """\
Does this reproduce the published log? Train the published recipe with several seeds, print where
the published values lie among theirs, and write a page with tables and pictures.

  python -m nin_gluon.reproduce --seeds 0-2           three seeds of the textbook's recipe
  python -m nin_gluon.reproduce --dtype bfloat16      ten seeds, where the CPU has bfloat16
  python -m nin_gluon.reproduce --report              the page from the records there are
  python -m nin_gluon.reproduce --add runs/...        take in a run of the train command
  python -m nin_gluon.reproduce --limit 256 --epochs 1 --seeds 0-2   how it works, in a minute
"""

EPILOG = """\
Each seed is a normal run of the train command, in runs/reproduce/. Ctrl-C saves it and the same
command goes on with it. The record of a finished seed is kept in results/textbook/ (or the
edition's own folder; other data sets and --limit have folders of their own) and the seed is not
run again; beside the records are report.html and its pictures. Runs of different settings are
never mixed. Exit status: 0 done, 2 wrong request or input, or seeds left to another process,
130 or 143 stopped.
"""

DEFAULT_SEEDS = range(10)


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.reproduce", description=DESCRIPTION,
                            epilog=EPILOG)
    group = parser.add_argument_group("what is run")
    add = group.add_argument
    add("--edition", choices=EDITIONS, default="d2l-mxnet",
        help="whose recipe and figures (default: %(default)s)")
    add("--seeds", type=seed_list, metavar="LIST", help="such as 0-9 or 0,3,7 (default: 0-9)")
    add_settings(group, ["dtype"], help={"dtype": "arithmetic (default: float32, as published)"})
    add("--engine", choices=("auto", *ENGINES), help=setting_of("engine").help)
    add("--ctx", metavar="DEVICE", help="auto, cpu, gpu, gpu(1), ... (default: auto)")
    add_settings(group, ["interpolation"], help={
        "interpolation": "how images are resized; MXNet 1.2.1: bicubic (default: bilinear)"})
    add_settings(group, ["epochs", "limit", "dataset"], types={"dataset": known_dataset}, help={
        "epochs": "default: as many as the recipe has",
        "dataset": "default: fashion-mnist; sample needs no download"})
    add("--data-dir", metavar="DIR", type=whole_path, help="folder with the data set's files")

    group = parser.add_argument_group("without running anything")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--report", action="store_true",
                        help="print and write what the records say")
    either.add_argument("--starts", action="store_true",
                        help="measure the net that each recorded seed starts from, where that is "
                             "missing, and report; minutes a seed")
    either.add_argument("--add", nargs="+", metavar="RUN",
                        help="take finished run folders of the train command in as records")

    add = parser.add_argument_group("where it goes").add_argument
    add("--results", metavar="DIR", default="results",
        help="folder of the editions' folders of records (default: %(default)s)")
    add("--markdown", metavar="FILE",
        help="the page as Markdown (default: REPRODUCTION.md; for other results than "
             "results/textbook, in their folder)")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(argv)
    edition = EDITIONS[args.edition]
    if args.report or args.starts or args.add:
        refuse_run_options(args)
    if args.add:
        reproduction = add_runs(list(map(Path, args.add)), edition, args)
        print_report(reproduction, reproduction.write_pages())
        return 0
    given = given_settings(args)
    if not (args.report or args.starts) and args.engine in (None, "auto"):
        given["engine"] = runtime.choose_engine(args.ctx or "auto")
    settings = edition.recipe.but(**given)
    if settings.engine == "torch":
        require_torch()
    reproduction = Reproduction(edition, settings, args.results, args.markdown)
    if args.starts:
        reproduction.measure_starts(args.data_dir)
    if args.report or args.starts:
        print_report(reproduction, reproduction.write_pages())
        return 0
    return run_seeds(reproduction, args, argv)


def refuse_run_options(args: argparse.Namespace) -> None:
    """Raise `InputError` if an option for runs is given where none is made."""
    which = "--add" if args.add else "--starts" if args.starts else "--report"
    names = ["seeds", "dtype", "engine", "interpolation", "ctx", "epochs"]
    names += [] if args.starts else ["data_dir"]
    names += ["limit", "dataset"] if args.add else []
    for name in names:
        if getattr(args, name) is not None:
            raise InputError(f"{which} trains nothing; leave out --{name.replace('_', '-')}.")


def add_runs(runs: List[Path], edition: Edition, args: argparse.Namespace) -> Reproduction:
    """Take finished runs in."""
    records = [finished_record(run, edition, this_python()) for run in runs]
    places = [Reproduction(edition, record.settings, args.results, args.markdown)
              for record in records]
    for run, place in zip(runs, places):
        if place.folder != places[0].folder:
            raise InputError(f"{run} belongs into another folder than {runs[0]}; take them in by "
                             "a call each.")
    for run, record, place in zip(runs, records, places):
        place.store.add(record, run)
    return places[0]


def run_seeds(reproduction: Reproduction, args: argparse.Namespace, argv: List[str]) -> int:
    """Train the seeds that have no record; print what all of them say; return the exit status."""
    device = device_kind(runtime.devices_of(reproduction.settings.engine, args.ctx or "auto"))
    runner = reproduction.runner(device, args.ctx, args.data_dir)
    jobs = reproduction.jobs(args.seeds or DEFAULT_SEEDS, device, args.data_dir)
    missing = runner.missing(jobs)
    recorded = [job.settings.seed for job in jobs if job not in missing]
    if recorded:
        print(f"recorded already: seed {seed_words(recorded)}", file=sys.stderr)
    status = runner.train(jobs)
    if status:
        if status > 128:
            again = shlex.join(argv)
            print(f"go on with: {this_python()} -m nin_gluon.reproduce {again}".rstrip(),
                  file=sys.stderr)
        return status
    asked = reproduction.settings, device
    print_report(reproduction, [group for group in reproduction.write_pages()
                                if (group.settings, group.device) == asked])
    return 2 if runner.left_out else 0


def print_report(reproduction: Reproduction, groups: List[Group]) -> None:
    """Print the tables. The group nearest to the recipe has the last word."""
    parts = [format_group(group) for group in reversed(groups)]
    verdict = verdict_of(reproduction.edition, reproduction.store.read().values())
    if verdict:
        parts.append("\n".join([*verdict.sentences(), verdict.answer()]))
    print("\n\n".join(parts))
    print(f"page: {reproduction.folder / 'report.html'}; {reproduction.markdown}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
