"""``python -m nin_gluon.train``: train a net and leave a run folder."""

import argparse
import contextlib
import logging
import shlex
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from nin_gluon.atomic_files import clear_leftovers, write_text
from nin_gluon.cli import (
    ArgumentParser,
    add_settings,
    command,
    dataset_name,
    given_settings,
    number,
    silence_stdout,
    this_python,
    utf8_path,
    whole_path,
)
from nin_gluon.errors import InputError, WriteError
from nin_gluon.extras import require, require_torch
from nin_gluon.runtime import choose_engine
from nin_gluon.settings import (
    ENGINES,
    MODES,
    PRESETS,
    Settings,
    default_preset,
    positive,
    setting_of,
    settings_in,
)
from nin_gluon.text_tables import counted
from nin_gluon.training.run_folder import (
    EXPORT_PARTS,
    Environment,
    RunConfig,
    already_there,
    check_places,
    claim,
    lock,
    new_folder,
    read_config,
    write_config,
)
from nin_gluon.training.workers import check, join

if TYPE_CHECKING:
    from nin_gluon.training.run import Run
    from nin_gluon.training.tally import Tally

DESCRIPTION = """\
Train the chapter's Network in Network and print the textbook's log.

  python -m nin_gluon.train                        the textbook's run: hours on a CPU
  python -m nin_gluon.train --preset quick         a recipe that learns in minutes on a CPU
  python -m nin_gluon.train --ctx gpu              on the first GPU
  python -m nin_gluon.train --engine torch         with PyTorch in place of MXNet
  python -m nin_gluon.train --model cifar_nin --dataset cifar10   the paper's net, in few epochs
  python -m nin_gluon.train --preset paper --ctx gpu              the paper's run, 307 epochs
  python -m nin_gluon.train --limit 1280 --epochs 1   a quick look at the textbook's run
  python -m nin_gluon.train --resume runs/...      go on with a run that was stopped
  python -m nin_gluon.launch -n 2 -s 1 -- python -m nin_gluon.train --kvstore dist_sync
                                                   two processes, here or on two machines
  torchrun --nproc_per_node 2 -m nin_gluon.train --engine torch   the same with PyTorch
"""

EPILOG = """\
A run leaves a folder with config.json, history.jsonl, curves.png, predictions.png, the model
(model-symbol.json, model-NNNN.params; with PyTorch model-NNNN.safetensors) and a checkpoint. Ctrl-C
finishes the step, saves and says how to go on. Exit status: 0 done, 1 diverged, 2 wrong request or
input, 130 or 143 stopped.
"""


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.train", description=DESCRIPTION,
                            epilog=EPILOG)
    group = parser.add_argument_group("recipe (each overrides the preset's)")
    presets = "; ".join(f"{name}: {preset.about}" for name, preset in PRESETS.items())
    group.add_argument("--preset", choices=PRESETS, default=None, help=presets)
    add_settings(group, settings_in("recipe"))

    group = parser.add_argument_group("data")
    add_settings(group, settings_in("data"), types={"dataset": dataset_name})
    group.add_argument(
        "--data-dir", metavar="DIR", type=whole_path,
        help="folder with the data set's files (default: $NIN_GLUON_DATA, then MXNet's own data "
             "folder; what is missing is downloaded)")

    group = parser.add_argument_group("run")
    add = group.add_argument
    add("--engine", choices=("auto", *ENGINES), help=setting_of("engine").help)
    add_settings(group, [name for name in settings_in("run") if name != "engine"],
                 types={"init_from": whole_path})
    add("--ctx", metavar="DEVICE",
        help="auto, cpu, gpu, gpu(1), or several: 'gpu(0),gpu(1)' (default: auto)")
    add("--mode", choices=MODES,
        help="how PyTorch runs a step: eager, as it is written; graph, recorded once and replayed "
             "as a CUDA graph; compile, the net compiled and, on a GPU, the step recorded "
             "(default: auto, which is graph for one process on a GPU and eager elsewhere)")
    add("--out", metavar="DIR", type=utf8_path,
        help="run folder (default: runs/<time>-<model>-<preset>)")
    add("--resume", metavar="RUN", type=utf8_path,
        help="go on with the run in this folder; of the options above only --ctx, --mode, "
             "--data-dir and --epochs (constant schedule) may differ, and --preset is ignored")
    add("--checkpoint-every", type=number(int, positive), metavar="STEPS",
        help="save every so many steps (default: every two minutes), besides at the start and "
             "after each epoch")
    add("--tensorboard", action="store_true",
        help="write event files into tensorboard/ in the run folder: losses, accuracies, learning "
             "rate, norms, living classes, class maps; see them by: tensorboard --logdir "
             "RUN/tensorboard (needs the package; --resume goes on with them unasked)")
    add("--no-progress", action="store_true", help="no progress bars")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    folder, config = resumed_run(args) if args.resume else planned_run(args)
    if args.resume and (folder / "tensorboard").is_dir():
        args.tensorboard = True
    if args.tensorboard:
        require("tensorboard", "tensorboard", title="TensorBoard")
    run = prepare_run(config, bool(args.resume))
    workers = run.workers
    if workers.rank:
        return follow(run, folder if args.resume else None)
    if not args.out and not args.resume:
        folder = claim(folder)
    with lock(folder):
        status = lead(run, folder, args, "nin_gluon.train")
    if status == 0:
        print(f"run folder: {folder}")
        print(f"pictures: {folder / 'curves.png'} {folder / 'predictions.png'}")
        workers.wait_at_exit(True)
    return status


def prepare_run(config: RunConfig, resumed: bool) -> "Run":
    """The run on the engine that its settings name; nothing is written yet."""
    settings, environment = config.settings, config.environment
    if settings.engine == "torch":
        require_torch()
        from nin_gluon.runtime.torch_device import parse_device
        from nin_gluon.training import torch_run, torch_workers

        device = parse_device(torch_workers.device_of_worker(environment.ctx))
        torch_run.check(settings, device)
        processes = torch_workers.join(device, environment.workers if resumed else None)
        if processes.rank:
            logging.disable(logging.WARNING)  # process 0 speaks for all
            silence_stdout()
        return torch_run.prepare(config, device, processes)
    check(settings.kvstore, environment.workers if resumed else None)

    from nin_gluon import runtime

    contexts = runtime.parse_ctx(environment.ctx)
    runtime.use_dtype(settings.dtype, contexts)

    from nin_gluon.training import gluon_run

    workers = join(settings.kvstore)
    if workers.rank:
        silence_stdout()  # worker 0 speaks for all
    return gluon_run.prepare(config, contexts, workers)


# ------------------------------------------------------------------ the request


def planned_run(args: argparse.Namespace) -> Tuple[Path, RunConfig]:
    """Folder and config of a new run."""
    preset = args.preset or default_preset(args.model)
    recipe, given = PRESETS[preset].settings, told_settings(args)
    if args.optimizer not in (None, recipe.optimizer):
        if args.lr is None:
            raise InputError(f"the learning rate of --preset {preset} is for {recipe.optimizer}, "
                             f"not for {args.optimizer}; give --lr too (about 0.001 for adam, 0.1 "
                             "for sgd).")
        if args.optimizer != "sgd":
            given.setdefault("momentum", 0.0)
    environment = Environment(ctx=args.ctx or "auto", mode=args.mode or "auto",
                              data_dir=args.data_dir, init_file=args.init_from)
    if args.engine in (None, "auto"):
        given["engine"] = choose_engine(environment.ctx)
    settings = recipe.but(**given)
    check_mode(args, settings)
    return (new_folder(args.out, f"{settings.model}-{preset}"),
            RunConfig(preset, settings, environment))


def told_settings(args: argparse.Namespace) -> Dict[str, Any]:
    """The settings that the user gave; a file is told by its content."""
    given = given_settings(args)
    if args.init_from:
        if Path(args.init_from).name.startswith("sha256:"):  # as records and their commands have it
            raise InputError("--init-from takes the path of a file; the digest tells which one it "
                             "has to be.")
        from nin_gluon.training.initial_parameters import digest_of

        given["init_from"] = digest_of(Path(args.init_from))
    return given


def resumed_run(args: argparse.Namespace) -> Tuple[Path, RunConfig]:
    """Folder and config of a run that is to go on; the preset's name does not matter."""
    folder = Path(args.resume)
    config = read_config(folder)
    if args.out:
        raise InputError("--resume goes on in the run's own folder; leave out --out.")
    given = told_settings(args)
    if args.engine == "auto":  # the run has its engine
        del given["engine"]
    settings = resumed_settings(config.settings, given)
    check_mode(args, settings)
    moved = {name: getattr(args, name) for name in ("ctx", "mode", "data_dir")
             if getattr(args, name)}
    return folder, replace(config, settings=settings,
                           environment=replace(config.environment, **moved))


def check_mode(args: argparse.Namespace, settings: Settings) -> None:
    """Raise `InputError` if --mode is given to an engine that has none."""
    if args.mode and settings.engine != "torch":
        raise InputError("--mode is PyTorch's: use it with --engine torch, or leave it out.")


def resumed_settings(settings: Settings, given: Dict[str, Any]) -> Settings:
    """The settings of a run that goes on; only the number of epochs may change.

    Raises
    ------
    InputError
        A given setting is not the run's.
    """
    for name, value in given.items():
        if value == getattr(settings, name):
            continue
        if name != "epochs":
            raise InputError(f"--resume goes on with the run's own settings ({name} is "
                             f"{getattr(settings, name)}); leave out --{name.replace('_', '-')}.")
        if settings.schedule != "constant":
            raise InputError(f"the {settings.schedule} schedule of this run is made for "
                             f"{counted(settings.epochs, 'epoch')}; leave out --epochs.")
        settings = settings.but(epochs=value)
    return settings


# ------------------------------------------------------------------ the run


def lead(run: "Run", folder: Path, args: argparse.Namespace, command: str) -> int:
    """Train as the worker that has the run folder; return the exit status.

    `command` is the module whose ``--resume`` goes on with the run.
    """
    from nin_gluon.training.callbacks import Stopped
    from nin_gluon.training.checkpoint import complete
    from nin_gluon.training.run import Watch
    from nin_gluon.training.tally import NonFiniteLoss

    history, tally = run.resume(folder) if args.resume else run.start()
    check_folder(run, folder, tally, args.resume)
    start_folder(run, folder)
    go_on = (f"{run.workers.launch}{this_python()} -m {command} --resume "
             f"{shlex.quote(str(folder))}")
    if run.workers.distributed:
        print(f"run folder: {folder}; should the job break off, go on with: {go_on}",
              file=sys.stderr)
    try:
        watch = Watch(run, folder, history, tally, args.checkpoint_every, not args.no_progress,
                      args.tensorboard)
        watch.train()
        run.draw_predictions(folder / "predictions.png")
        return 0
    except WriteError as error:
        if not complete(folder):  # not even the first checkpoint could be written
            raise
        raise InputError(f"{error}. The last checkpoint is whole; afterwards go on with: {go_on}"
                         ) from error
    except (Stopped, BrokenPipeError) as stopped:
        at = watch.checkpoints.tally
        with contextlib.suppress(BrokenPipeError):  # `... 2>&1 | head`
            print(f"stopped in epoch {at.epoch} after step {at.step}; go on with: {go_on}",
                  file=sys.stderr)
        if isinstance(stopped, Stopped):
            return 128 + stopped.signum
        silence_stdout()  # `... | head` has ended
        return 128 + signal.SIGPIPE
    except NonFiniteLoss as error:
        write_text(folder / "diverged.txt", f"{error}\n")
        print(f"{error}; {watch.last_finite.export(folder)}. Try a lower --lr than "
              f"{run.settings.lr}.", file=sys.stderr)
        return 1


def check_folder(run: "Run", folder: Path, tally: "Tally", resume: bool) -> None:
    """Raise `InputError` unless the run can start in this folder; nothing is changed yet."""
    check_places(folder, ("history.jsonl", "progress.jsonl", "curves.png", "predictions.png",
                          "model-symbol.json", "diverged.txt"))
    if not resume and (folder / "config.json").exists():
        raise already_there(folder)  # another process was faster
    least = tally.epoch - (tally.step == 0)
    if run.settings.epochs < least:
        at = f"is in epoch {least}" if tally.step else f"has {least} epochs"
        raise InputError(f"{folder} {at}; give --epochs {least} or more, or leave it out.")


def start_folder(run: "Run", folder: Path) -> None:
    """Write the run's config, and clear what is left of attempts that diverged or were killed."""
    from nin_gluon.runtime import describe_machine

    if run.settings.validation:
        print(f"test acc is that of the last {run.settings.validation} training images, which are "
              "held out", file=sys.stderr)
    machine = {**describe_machine(run.engine.name), "devices": run.engine.devices}
    environment = replace(run.config.environment, workers=run.workers.count, machine=machine)
    write_config(folder, replace(run.config, environment=environment))
    (folder / "diverged.txt").unlink(missing_ok=True)
    clear_leftovers(folder, EXPORT_PARTS)


def follow(run: "Run", resumed: Optional[Path]) -> int:
    """Train as one of the other workers: without a run folder of its own, and silently."""
    from nin_gluon.training.callbacks import StepSeeds
    from nin_gluon.training.hooks import Hooks
    from nin_gluon.training.tally import NonFiniteLoss

    history, tally = run.resume(resumed) if resumed else run.start()
    if run.engine.name == "torch":  # torchrun passes signals to all; worker 0 saves, then it ends
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
    seeds = StepSeeds(run.engine, run.settings.seed, tally, run.workers.rank)
    try:
        run.train(Hooks(history, tally, [seeds]))
    except NonFiniteLoss:
        time.sleep(60)  # worker 0 finds the same, says so, and ends the job
        return 1
    run.workers.wait_at_exit(True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
