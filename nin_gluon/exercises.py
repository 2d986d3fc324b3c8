"""``python -m nin_gluon.exercises``: the chapter's exercises, answered by running them."""

import argparse
import shlex
import sys
from typing import Any, List, Optional

from nin_gluon import resources, runtime
from nin_gluon.cli import (
    ArgumentParser,
    add_settings,
    command,
    given_settings,
    known_dataset,
    number,
    seed_list,
    this_python,
    whole_path,
)
from nin_gluon.errors import InputError
from nin_gluon.experiments.answers import Answer
from nin_gluon.experiments.exercises.exercise import Exercise
from nin_gluon.experiments.exercises.registry import EXERCISES
from nin_gluon.experiments.records import device_kind
from nin_gluon.extras import require_torch
from nin_gluon.settings import ENGINES, positive, setting_of

DESCRIPTION = """\
The chapter's exercises, answered by running them: variants of a net or of its recipe, trained from
the same seeds on the same data.

  python -m nin_gluon.exercises one-by-one             on a CPU, in minutes
  python -m nin_gluon.exercises one-by-one --report    what the records say, without running
  python -m nin_gluon.exercises heads --part cifar10   a part of an exercise
  python -m nin_gluon.exercises tune --help            how an exercise is answered, and its options
"""

EPILOG = """\
Each run is a normal run of the train command, in runs/exercises/. Ctrl-C saves it and the same
command goes on with it. Finished runs are kept in results/exercises/NAME.json (other sizes have
files of their own) and are not run again; the picture is beside it. Runs of different settings are
never mixed. Exit status: 0 done, 2 wrong request or input, or runs left to another process, 130 or
143 stopped.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.exercises", description=DESCRIPTION,
                            epilog=EPILOG)
    chosen = parser.add_subparsers(dest="name", metavar="NAME", required=True,
                                   title="the exercises")
    for name, exercise in EXERCISES.items():
        described = f"{exercise.question.capitalize()}\n\n{exercise.method}\n"
        described += "\n".join(
            f"\n{part.name}: {part.title}\n  " + ", ".join(part.variants)
            for part in exercise.parts)
        described += (f"\n\nAbout {exercise.minutes} minutes on two cores with AMX, twice that "
                      "without.")
        add_options(chosen.add_parser(name, help=exercise.question, description=described,
                                      epilog=EPILOG), exercise)
    resources.add_exercise(chosen)
    return parser


def add_options(parser: Any, exercise: Exercise) -> None:
    """The options of one exercise."""
    group = parser.add_argument_group("what is run")
    add = group.add_argument
    add("--part", action="append", choices=[part.name for part in exercise.parts],
        help="only this part; may be repeated (default: all)")
    add("--seeds", type=seed_list, metavar="LIST",
        help=f"such as 0-4 or 0,3 (default: 0-{exercise.seeds[-1]})")
    parser.set_defaults(full=False)
    if any(part.full for part in exercise.parts):
        add("--full", action="store_true",
            help="the published sizes: 224x224 for the chapter's net, all images, all epochs; for "
                 "a GPU or much patience")
    add_settings(group, ["epochs", "limit"])
    add("--size", "--resize", dest="resize", type=number(int, positive), metavar="N",
        help="edge length in pixels")
    add_settings(group, ["batch_size", "dataset"], types={"dataset": known_dataset}, help={
        "batch_size": "images in a step",
        "dataset": "default: the exercise's own; sample needs no download"})
    add("--data-dir", metavar="DIR", type=whole_path, help="folder with the data set's files")
    add_settings(group, ["dtype"], help={
        "dtype": "arithmetic (default: bfloat16 on a CPU with AMX, else float32)"})
    add("--engine", choices=("auto", *ENGINES), help=setting_of("engine").help)
    add("--ctx", metavar="DEVICE", help="auto, cpu, gpu, gpu(1), ... (default: auto)")
    add = parser.add_argument_group("where it goes").add_argument
    add("--report", action="store_true",
        help="run nothing; print and draw what the records of these settings say")
    add("--results", metavar="DIR", default="results",
        help="folder in which exercises/NAME.json is kept (default: %(default)s)")


@command
def main(argv: Optional[List[str]] = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(argv)
    if args.name == "resources":
        return resources.answer_exercise(args)
    sizes = given_settings(args)
    dtype = sizes.pop("dtype", None)
    engine = sizes.pop("engine", None) if args.engine != "auto" else None
    # Files are named after the sizes, in this order.
    order = ("epochs", "limit", "resize", "batch_size", "dataset")
    sizes = {name: sizes[name] for name in order if name in sizes}
    answer = Answer(EXERCISES[args.name], args.part, args.full, sizes, args.results)
    if args.report:
        for name in ("seeds", "ctx", "data_dir"):
            if getattr(args, name) is not None:
                raise InputError("--report runs nothing; leave out "
                                 f"--{name.replace('_', '-')}.")
        print_report(answer, dtype, engine=engine)
        return 0
    return run_exercise(answer, dtype, engine, args, argv)


def run_exercise(answer: Answer, dtype: Optional[str], engine: Optional[str],
                 args: argparse.Namespace, argv: List[str]) -> int:
    """Make the runs that have no record; print what they say; return the exit status."""
    ctx = args.ctx or "auto"
    engine = engine or runtime.choose_engine(ctx)
    if engine == "torch":
        require_torch()
    device = device_kind(runtime.devices_of(engine, ctx))
    dtype = dtype or usual_dtype(device)
    check_arithmetic(dtype, engine, ctx)
    seeds = args.seeds or answer.exercise.seeds
    jobs = answer.jobs(seeds, dtype, device, args.data_dir, engine)
    runner = answer.runner(device, args.ctx, args.data_dir)
    missing = runner.missing(jobs)
    answer.check(missing, args.data_dir)
    if len(missing) < len(jobs):
        print(f"recorded already: {len(jobs) - len(missing)} of {len(jobs)} runs", file=sys.stderr)
    try:
        answer.measure_signals(seeds, args.data_dir)
        status = runner.train(jobs)
    except KeyboardInterrupt:  # between two runs; one that is being trained stops by itself
        print("interrupted", file=sys.stderr)
        status = 130
    if status:
        if status > 128:
            print(f"go on with: {this_python()} -m nin_gluon.exercises {shlex.join(argv)}",
                  file=sys.stderr)
        return status
    print_report(answer, dtype, device, engine)
    return 2 if runner.left_out else 0


def usual_dtype(device: str) -> str:
    """bfloat16 where the matrix units make it several times as fast."""
    fast = device == "cpu" and "amx_bf16" in runtime.cpu_flags()
    return "bfloat16" if fast else "float32"


def check_arithmetic(dtype: str, engine: str, ctx: str) -> None:
    """Raise `InputError` now for what each run's train command would say."""
    if engine == "gluon":
        runtime.check_dtype(dtype, runtime.parse_ctx(ctx))
    else:
        from nin_gluon.runtime.torch_device import parse_device
        from nin_gluon.runtime.torch_precision import check_dtype

        check_dtype(dtype, parse_device(ctx))


def print_report(answer: Answer, dtype: Optional[str] = None, device: Optional[str] = None,
                 engine: Optional[str] = None) -> None:
    """Print what the exercise's file says and draw its picture."""
    print(answer.text(dtype, device, engine))
    picture = answer.draw()
    print(f"records: {answer.store.path}; picture: {picture}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
