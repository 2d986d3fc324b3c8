"""``python -m nin_gluon.reproduce``: a published log against runs of several seeds."""

import re
import shlex
import sys
from pathlib import Path

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.experiments import pages as report
from nin_gluon.experiments import records as evidence
from nin_gluon.experiments.jobs import Job, Runs, tell
from nin_gluon.experiments.published import EDITIONS
from nin_gluon.experiments.records import seed_words, some
from nin_gluon.train import dataset_name, positive, this_python, whole_path

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

RUNS = Path("runs", "reproduce")
DEFAULT_SEEDS = range(10)


def build_parser():
    parser = ArgumentParser(prog="python -m nin_gluon.reproduce", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument_group("what is run").add_argument
    add("--edition", choices=EDITIONS, default="d2l-mxnet",
        help="whose recipe and figures (default: %(default)s)")
    add("--seeds", type=seed_list, metavar="LIST", help="such as 0-9 or 0,3,7 (default: 0-9)")
    add("--dtype", choices=["float32", "bfloat16", "float16"],
        help="arithmetic (default: float32, as published)")
    add("--ctx", metavar="DEVICE", help="auto, cpu, gpu, gpu(1), ... (default: auto)")
    add("--epochs", type=positive(int), metavar="N", help="default: as many as the recipe has")
    add("--limit", type=positive(int), metavar="N",
        help="use only the first N training images and the first N test images")
    add("--dataset", type=known_dataset, metavar="NAME",
        help="default: fashion-mnist; sample needs no download")
    add("--data-dir", metavar="DIR", type=whole_path, help="folder with the data set's files")

    group = parser.add_argument_group("without running anything")
    add = group.add_mutually_exclusive_group().add_argument
    add("--report", action="store_true", help="print and write what the records say")
    add("--add", nargs="+", metavar="RUN",
        help="take finished run folders of the train command in as records")

    add = parser.add_argument_group("where it goes").add_argument
    add("--results", metavar="DIR", default="results",
        help="folder of the editions' folders of records (default: %(default)s)")
    add("--markdown", metavar="FILE",
        help="the page as Markdown (default: REPRODUCTION.md; for other results than "
             "results/textbook, in their folder)")
    return parser


def seed_list(text):
    """An argparse type: '0-2,5' -> [0, 1, 2, 5], each seed once and in order."""
    import argparse

    seeds = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,18})(?:-([0-9]{1,18}))?\s*", part)
        if not match:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of seeds such as 0-9 or "
                                             "0,3,7")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + 10000:
            raise argparse.ArgumentTypeError(f"{part.strip()!r} is not a range of 1 to 10000 seeds")
        seeds.update(range(first, last + 1))
    return sorted(seeds)


def known_dataset(text):
    """An argparse type: the usual name of a data set that there is."""
    import argparse

    from nin_gluon.data.sets import DATASETS

    name = dataset_name(text)
    if name not in DATASETS:
        raise argparse.ArgumentTypeError(f"unknown data set {text!r}; the data sets are: "
                                         f"{', '.join(DATASETS)}")
    return name


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    edition = EDITIONS[args.edition]
    if args.report or args.add:
        refuse_run_options(args)
    if args.add:
        records = [finished_record(run, edition) for run in args.add]
        settings = records[0].settings
    else:
        settings = asked_settings(args, edition)
    place = report.Place(edition, settings, args.results, args.markdown)
    device, left_out = None, []
    if args.add:
        for run, record in zip(args.add, records):
            if report.Place(edition, record.settings, args.results).folder != place.folder:
                raise InputError(f"{run} belongs into another folder than {args.add[0]}; take "
                                 "them in by a call each.")
            keep(record, run, edition, place)
    elif not args.report:
        from nin_gluon import runtime

        device = evidence.device_kind(map(str, runtime.parse_ctx(args.ctx or "auto")))
        again = shlex.join(sys.argv[1:] if argv is None else argv)
        runs = Runs(device, args.ctx, args.data_dir)
        status = Seeds(edition, place, settings, device, args.data_dir).train(
            runs, args.seeds or DEFAULT_SEEDS)
        if status:
            if status > 128:
                print(f"go on with: {this_python()} -m nin_gluon.reproduce {again}".rstrip(),
                      file=sys.stderr)
            return status
        left_out = runs.left_out
    groups = report.write(edition, place)
    if device:  # print only what was asked for
        groups = [g for g in groups if (g.settings, g.device) == (settings, device)]
    # The one nearest to the recipe has the last word.
    print("\n\n".join(report.format_group(group) for group in reversed(groups)))
    print(f"page: {place.folder / 'report.html'}; {place.markdown}", file=sys.stderr)
    return 2 if left_out else 0


def asked_settings(args, edition):
    """The edition's recipe with what the options change."""
    settings = evidence.recipe_settings(edition)
    for name in ("dtype", "epochs", "limit", "dataset"):
        if getattr(args, name) is not None:
            settings[name] = getattr(args, name)
    return settings


def refuse_run_options(args):
    """--report and --add run nothing; options for runs would do nothing."""
    which, names = "--report", ["seeds", "dtype", "ctx", "epochs", "data_dir"]
    if args.add:
        which, names = "--add", [*names, "limit", "dataset"]
    for name in names:
        if getattr(args, name) is not None:
            raise InputError(f"{which} runs nothing; leave out --{name.replace('_', '-')}.")


# ------------------------------------------------------------------ records


def finished_record(run, edition):
    """The record of a run folder that has come to its end and follows the edition's recipe."""
    record = evidence.record_of_run(run)
    if not record.finished:
        raise InputError(f"{run} has done {len(record.history)} of "
                         f"{some(record.settings['epochs'], 'epoch')}; finish it first by: "
                         f"{this_python()} -m nin_gluon.train --resume {shlex.quote(str(run))}")
    recipe = evidence.recipe_settings(edition)
    for name, value in evidence.departures(record.settings, recipe).items():
        if name not in ("dtype", "epochs", "limit", "dataset"):
            raise InputError(f"{run} does not follow the {edition.name} recipe: {name} is {value}, "
                             f"not {recipe.get(name)}; is it another --edition's?")
    return record


def keep(record, run, edition, place):
    """Write the record of a finished run, unless it is there; one that is there is not changed."""
    for path, other in evidence.read_records(place.folder).items():
        if other == record:
            return
        if (other.seed, other.kind) == (record.seed, record.kind):
            raise InputError(f"{path} holds another run of seed {record.seed} than {run}; finished "
                             "seeds are kept, so move one of them away.")
    name = evidence.slug(edition, *record.kind)
    path = place.folder / f"{name}-seed-{record.seed}.jsonl"
    if path.exists():
        raise InputError(f"{path} is in the way: it holds a run of other settings or seed.")
    path.parent.mkdir(parents=True, exist_ok=True)
    evidence.write_record(path, record)


# ------------------------------------------------------------------ runs


class Seeds:
    """The seeds of one set of settings, and their records."""

    def __init__(self, edition, place, settings, device, data_dir=None):
        from nin_gluon.data.sets import own_data

        self.edition, self.place = edition, place
        self.settings, self.device = settings, device
        self.own_data = own_data(settings["dataset"], data_dir)

    def train(self, runs, seeds):
        """Train the seeds that have no record; return 0, or the exit status of what ended it."""
        kept = self.recorded().intersection(seeds)
        if kept:
            tell(f"recorded already: seed {seed_words(kept)}")
        jobs = [Job(f"seed {seed}", self.settings, seed, self.run_folder(seed), self.own_data)
                for seed in seeds]
        return runs.train(jobs, lambda job: job.seed in self.recorded(), self.keep)

    def recorded(self):
        """The seeds that have a record."""
        return {record.seed for record in evidence.read_records(self.place.folder).values()
                if record.kind == (self.settings, self.device, self.own_data)}

    def run_folder(self, seed):
        name = evidence.slug(self.edition, self.settings, self.device, self.own_data)
        return RUNS / self.place.folder.name / f"{name}-seed-{seed}"

    def keep(self, record, run):
        """Keep a record and bring the page up to date."""
        keep(record, run, self.edition, self.place)
        report.write(self.edition, self.place)


if __name__ == "__main__":
    sys.exit(main())
