"""``python -m nin_gluon.exercises``: the chapter's exercises, answered by running them."""

import functools
import itertools
import json
import re
import shlex
import sys
from pathlib import Path

from nin_gluon import resources, runtime
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.experiments.exercises import (
    budget,
    heads,
    one_by_one,
    one_step,
    results,
    tune,
)
from nin_gluon.experiments.exercises.exercise import chosen_parts
from nin_gluon.experiments.jobs import Job, Runs, tell
from nin_gluon.experiments.records import device_kind
from nin_gluon.reproduce import known_dataset, seed_list
from nin_gluon.train import positive, this_python, whole_path

__all__ = ["EXERCISES", "main"]

EXERCISES = {module.EXERCISE.name: module.EXERCISE for module in
             (tune, one_by_one, one_step, heads, budget)}

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

RUNS = Path("runs", "exercises")


def build_parser():
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


def add_options(parser, exercise):
    """The options of one exercise."""
    add = parser.add_argument_group("what is run").add_argument
    add("--part", action="append", choices=[part.name for part in exercise.parts],
        help="only this part; may be repeated (default: all)")
    add("--seeds", type=seed_list, metavar="LIST", help="such as 0-4 or 0,3 (default: 0-2)")
    parser.set_defaults(full=False)
    if any(part.full for part in exercise.parts):
        add("--full", action="store_true",
            help="the published sizes: 224x224 for the chapter's net, all images, all epochs; for "
                 "a GPU or much patience")
    add("--epochs", type=positive(int), metavar="N", help="passes over the training images")
    add("--limit", type=positive(int), metavar="N",
        help="use only the first N training images and the first N test images")
    add("--size", "--resize", dest="resize", type=positive(int), metavar="N",
        help="edge length in pixels")
    add("--batch-size", type=positive(int), metavar="N", help="images a step")
    add("--dataset", type=known_dataset, metavar="NAME",
        help="default: the exercise's own; sample needs no download")
    add("--data-dir", metavar="DIR", type=whole_path, help="folder with the data set's files")
    add("--dtype", choices=["float32", "bfloat16", "float16"],
        help="arithmetic (default: bfloat16 on a CPU with AMX, else float32)")
    add("--ctx", metavar="DEVICE", help="auto, cpu, gpu, gpu(1), ... (default: auto)")
    add = parser.add_argument_group("where it goes").add_argument
    add("--report", action="store_true",
        help="run nothing; print and draw what the records of these settings say")
    add("--results", metavar="DIR", default="results",
        help="folder in which exercises/NAME.json is kept (default: %(default)s)")


@command
def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(argv)
    if args.name == "resources":
        return resources.answer_exercise(args)
    given = {name: getattr(args, name) for name in
             ("epochs", "limit", "resize", "batch_size", "dataset")
             if getattr(args, name) is not None}
    answer = Answer(EXERCISES[args.name], args.part, args.full, given, args.results)
    if args.report:
        for name in ("seeds", "ctx", "data_dir"):
            if getattr(args, name) is not None:
                raise InputError("--report runs nothing; leave out "
                                 f"--{name.replace('_', '-')}.")
        return answer.report(args.dtype)
    contexts = runtime.parse_ctx(args.ctx or "auto")
    device = device_kind(map(str, contexts))
    dtype = args.dtype or usual_dtype(device)
    runtime.check_dtype(dtype, contexts)
    runs = Runs(device, args.ctx, args.data_dir)
    seeds = args.seeds or range(3)
    try:
        status = answer.run(runs, seeds, dtype)
    except KeyboardInterrupt:  # between two runs; one that is trained stops by itself
        tell("interrupted")
        status = 130
    if status:
        if status > 128:
            print(f"go on with: {this_python()} -m nin_gluon.exercises {shlex.join(argv)}",
                  file=sys.stderr)
        return status
    return answer.report(dtype, device) or (2 if runs.left_out else 0)


def usual_dtype(device):
    """bfloat16 where the matrix units make it several times as fast."""
    fast = device == "cpu" and "amx_bf16" in runtime.cpu_flags()
    return "bfloat16" if fast else "float32"


class Answer:
    """One exercise in the sizes asked for: its jobs, its file, its picture.

    Sizes other than the exercise's own have files and run folders of their own, named after what
    differs.
    """

    def __init__(self, exercise, names, full, given, folder):
        self.exercise, self.parts = exercise, chosen_parts(exercise, names, full, given)
        self.all_parts = chosen_parts(exercise, None, full, given)
        usual = chosen_parts(exercise, None, full)
        words = [exercise.name, *(["full"] if full else [])]
        for name, value in given.items():
            if any(part.settings.get(name) != value for part in usual):
                words += [name, str(value)]
        self.name = re.sub(r"[^\w.-]", "_", "-".join(words))
        self.path = Path(folder, "exercises", f"{self.name}.json")

    def run(self, runs, seeds, dtype):
        """Train what is missing; return 0, or the exit status of what ended it."""
        from nin_gluon.data.sets import own_data

        own = {part.name: own_data(part.settings["dataset"], runs.data_dir) for part in self.parts}
        jobs = [Job(f"{part.name}, {label}, seed {seed}", part.settings_of(label, dtype), seed,
                    self.run_folder(part, label, dtype, runs.device, seed, own[part.name]),
                    own[part.name])
                for seed in seeds for part in self.parts for label in part.variants]
        jobs = list({(str(job.settings), job.seed): job for job in jobs}.values())
        missing = [job for job in jobs if not self.recorded(job, runs.device)]
        # What cannot be made is said now and not from within a run.
        for settings in {str(job.settings): job.settings for job in missing}.values():
            channels, train_images, _ = image_facts(settings, runs.data_dir)
            if train_images < 1:
                raise InputError(f"{self.exercise.name} holds out {settings['validation']} "
                                 f"training images, and {settings['dataset']} has no more; choose "
                                 "another --dataset.")
            cost(settings, channels)
        if len(missing) < len(jobs):
            tell(f"recorded already: {len(jobs) - len(missing)} of {len(jobs)} runs")
        if self.exercise.signal:
            self.measure_signals(seeds, runs.data_dir)
        return runs.train(jobs, lambda job: self.recorded(job, runs.device),
                          lambda record, run: self.keep(record, run, runs.data_dir))

    def run_folder(self, part, label, dtype, device, seed, own):
        data = f"-own-data-{own}" if own else ""
        name = f"{part.name}-{label}-{dtype}-{device}{data}-seed-{seed}"
        return RUNS / self.name / re.sub(r"[^\w.-]+", "_", name)

    def read(self):
        """The runs and signals in the file."""
        return results.read(self.path, self.exercise.signal or ())

    def recorded(self, job, device):
        """Whether a job has a record."""
        kept, _ = self.read()
        return any(run.key == (job.settings, device, job.own_data, job.seed) for run in kept)

    def keep(self, record, folder, data_dir):
        """Take a finished run in."""
        channels, train_images, test_images = image_facts(record.settings, data_dir)
        steps = -(-train_images // record.settings["batch_size"])
        counted = self.exercise.stall and not record.diverged
        run = results.Run(record, *cost(record.settings, channels), test_images,
                          steps * record.settings["epochs"],
                          results.stall_steps(progress(folder), steps), train_images,
                          living_classes(record, folder, data_dir) if counted else None)
        with self.lock():
            kept, signals = self.read()
            if all(run.key != other.key for other in kept):
                results.write(self.path, self.exercise, [*kept, run], signals)

    def measure_signals(self, seeds, data_dir):
        """Measure what of the signals is not in the file."""
        from nin_gluon.analysis import signal

        settings = self.parts[0].settings_of(self.parts[0].reference, "float32")
        for init, seed in itertools.product(self.exercise.signal, seeds):
            key = init, seed, settings["resize"], settings["dataset"]
            if any(known.key == key for known in self.read()[1]):
                continue
            new = signal.measure(init, seed, settings, data_dir)
            with self.lock():
                kept, signals = self.read()  # another process may have added the same one
                if all(known.key != key for known in signals):
                    results.write(self.path, self.exercise, kept, [*signals, new])

    def lock(self):
        """Held while the file is read and written: other processes may add to it, too.

        It lies beside the file, for they may have other working folders.
        """
        import filelock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(self.path.with_name(f".{self.name}.lock"))

    def report(self, dtype=None, device=None):
        """Print what the file says and draw its picture; return the exit status."""
        kept, signals = self.read()
        found = results.compare(self.parts, kept, dtype, device)
        if not found:
            raise InputError(f"{self.path} holds no runs of this kind yet; leave out --report to "
                             "make some.")
        texts = [results.format_comparison(c, self.exercise.stall) for c in found]
        if signals:
            measured = {signal.init for signal in signals}
            texts.append(results.format_signal(
                signals, [init for init in self.exercise.signal if init in measured]))
        print("\n\n".join(texts))
        from nin_gluon import plots
        from nin_gluon.atomic_files import write_ours

        picture = self.path.with_suffix(".png")
        every = results.compare(self.all_parts, kept)  # the picture is of the whole file
        every = [c for c in every if len(c.rows) > 1] or every  # of what can be compared
        write_ours(picture, plots.png(plots.draw_comparisons(every, signals), results.MARK),
                   results.MARK)
        print(f"records: {self.path}; picture: {picture}", file=sys.stderr)
        return 0


def progress(run):
    """The marks of loss within the epochs that a finished run has left."""
    try:
        lines = (run / "progress.jsonl").read_text("utf-8").splitlines()
        return [{"epochs": mark["epochs"], "loss": mark["loss"]} for mark in map(json.loads, lines)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / 'progress.jsonl'} cannot be read ({error}); move the run folder "
                         "away to have the run made again.") from None


def living_classes(record, run, data_dir):
    """For how many classes the run's net has a score above zero, for any of some 500 test images.

    Scores are averages of maps that come out of a ReLU, so the others' maps are zero throughout.
    """
    import mxnet as mx

    from nin_gluon.analysis import dead_channels
    from nin_gluon.analysis.class_maps import load_net
    from nin_gluon.train import load_data

    config, cpu = {**record.settings, "data_dir": data_dir}, mx.cpu()
    maps_and_scores, _, _ = load_net(run, config, cpu)
    _, test_iter = load_data(config, [cpu])
    batches = itertools.islice(test_iter, -(-500 // config["batch_size"]))
    return dead_channels.living_classes(lambda X: maps_and_scores(X)[1], batches)


def image_facts(settings, data_dir):
    """Channels, and how many images a run is trained on and how many it is judged by."""
    (train, *_), (test, *_, channels) = (image_shape(settings["dataset"], split, data_dir)
                                         for split in ("train", "test"))
    limit, held_out = settings["limit"] or train + test, settings["validation"]
    return (channels, min(train - (held_out or 0), limit),
            held_out or min(test, limit))  # --limit is not for those held out


@functools.lru_cache(maxsize=None)
def image_shape(dataset, split, data_dir):
    """(images, height, width, channels) of a split."""
    from nin_gluon.data import load_image_set

    return load_image_set(dataset, split, data_dir)[0].shape


def cost(settings, channels):
    """Parameters, and MACs of one image, of a run's net."""
    from nin_gluon.models import get_model
    from nin_gluon.models.geometry import layer_table

    rows = layer_table(get_model(settings["model"]),
                       (1, channels, settings["resize"], settings["resize"]))
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)
