"""``python -m nin_gluon.torch_edition``: train the chapter's net in PyTorch."""

import argparse
import shlex
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Tuple

from nin_gluon.cli import (
    ArgumentParser,
    add_settings,
    command,
    dataset_name,
    number,
    silence_stdout,
    this_python,
    whole_path,
)
from nin_gluon.errors import InputError
from nin_gluon.settings import positive
from nin_gluon.torch_edition.require import require_torch
from nin_gluon.torch_edition.settings import (
    MODES,
    TorchConfig,
    TorchEnvironment,
    TorchSettings,
    read_config,
)
from nin_gluon.training.run_folder import claim, lock, new_folder

if TYPE_CHECKING:
    from nin_gluon.torch_edition.run import Run

DESCRIPTION = """\
Train the chapter's net in PyTorch, as the book's PyTorch edition does, and print its lines. This
is also the way to train on GPUs that MXNet 1.9.1 has no machine code for (compute capability 9.0
and later). MXNet need not be installed.

  python -m nin_gluon.torch_edition                  that edition's run: hours on a CPU
  python -m nin_gluon.torch_edition --ctx gpu --dtype bfloat16   the fastest on a current GPU
  python -m nin_gluon.torch_edition --limit 1280 --epochs 1      a quick look
  python -m nin_gluon.torch_edition --lr 0.05 --epochs 20        its better recipe
  python -m nin_gluon.torch_edition --resume runs/...            go on with a run
"""

EPILOG = """\
A run leaves a folder with config.json, history.jsonl, curves.png and the net's state_dict
(model.pt, model.safetensors), all as of the last finished epoch, and checkpoint.safetensors. Ctrl-C
finishes the step, saves and says how to go on. Exit status: 0 done, 1 diverged, 2 wrong request or
input, 130 or 143 stopped.
"""

# What --resume may change of where and how a run is made.
FREE_ON_RESUME = ("ctx", "mode", "data_dir")


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.torch_edition", description=DESCRIPTION,
                            epilog=EPILOG)
    group = parser.add_argument_group("recipe")
    add_settings(group, ["epochs", "batch_size", "lr", "dtype", "seed"], of=TorchSettings)

    group = parser.add_argument_group("data")
    add_settings(group, ["dataset", "resize", "limit"], types={"dataset": dataset_name},
                 of=TorchSettings)
    group.add_argument(
        "--data-dir", metavar="DIR", type=whole_path,
        help="folder with the data set's files (default: $NIN_GLUON_DATA, then MXNet's own data "
             "folder; what is missing is downloaded)")

    add = parser.add_argument_group("run").add_argument
    add("--ctx", metavar="DEVICE", help="auto, cpu, gpu or gpu(1), also called cuda or cuda:1 "
                                        "(default: auto)")
    add("--mode", choices=MODES,
        help="eager: plain PyTorch; graph: each training step replayed as one CUDA graph; compile: "
             "through torch.compile, and on a GPU replayed, too (default: auto, which is graph on "
             "a GPU and eager on a CPU)")
    add("--out", metavar="DIR", help="run folder (default: runs/<time>-nin-torch)")
    add("--resume", metavar="RUN", help="go on with the run in this folder; of the options above "
                                        "only --ctx, --mode, --data-dir and --epochs may differ")
    add("--checkpoint-every", type=number(int, positive), metavar="STEPS",
        help="save every so many steps (default: every two minutes), and after each epoch")
    add("--no-progress", action="store_true", help="no progress bars")
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    require_torch()
    folder, config = resumed_run(args) if args.resume else planned_run(args)

    from nin_gluon.runtime.torch_device import parse_device
    from nin_gluon.torch_edition.run import prepare

    device = parse_device(config.environment.ctx)
    if config.environment.mode == "graph" and device.type == "cpu":
        raise InputError("--mode graph is for GPUs; on the CPU use eager or compile.")
    run = prepare(config, device)
    if not args.out and not args.resume:
        folder = claim(folder)
    with lock(folder):
        status = train(run, folder, args)
    if status == 0:
        print(f"run folder: {folder}")
        print(f"picture: {folder / 'curves.png'}")
    return status


# ------------------------------------------------------------------ the request


def planned_run(args: argparse.Namespace) -> Tuple[Path, TorchConfig]:
    """Folder and config of a new run."""
    environment = TorchEnvironment(**given(args, FREE_ON_RESUME))
    config = TorchConfig(TorchSettings(**given_settings(args)), environment)
    return new_folder(args.out, "nin-torch"), config


def resumed_run(args: argparse.Namespace) -> Tuple[Path, TorchConfig]:
    """Folder and config of a run that is to go on; of its settings only `epochs` may change."""
    folder = Path(args.resume)
    config = read_config(folder)
    if args.out:
        raise InputError("--resume goes on in the run's own folder; leave out --out.")
    for name, value in given_settings(args).items():
        before = getattr(config.settings, name)
        if value != before and name != "epochs":
            raise InputError(f"--resume goes on with the run's own settings ({name} is {before}); "
                             f"leave out --{name.replace('_', '-')}.")
    settings = config.settings.but(epochs=args.epochs or config.settings.epochs)
    environment = replace(config.environment, **given(args, FREE_ON_RESUME))
    return folder, replace(config, settings=settings, environment=environment)


def given_settings(args: argparse.Namespace) -> Dict[str, Any]:
    """The settings that the user gave as options."""
    return given(args, [f.name for f in fields(TorchSettings)])


def given(args: argparse.Namespace, names: Iterable[str]) -> Dict[str, Any]:
    """The options of these names that the user gave: {name: value}."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


# ------------------------------------------------------------------ the run


def train(run: "Run", folder: Path, args: argparse.Namespace) -> int:
    """Train in the run folder; return the exit status."""
    from nin_gluon.torch_edition.loop import NonFiniteLoss
    from nin_gluon.torch_edition.run import Stopped, Watch

    progress = run.begin(folder, bool(args.resume))
    watch = Watch(run, folder, progress, args.checkpoint_every, not args.no_progress)
    try:
        watch.train()
        return 0
    except (Stopped, BrokenPipeError) as stopped:
        epoch = min(progress.epoch, run.settings.epochs)
        print(f"stopped in epoch {epoch} after step {progress.step}; go on with: {this_python()} "
              f"-m nin_gluon.torch_edition --resume {shlex.quote(str(folder))}", file=sys.stderr)
        if isinstance(stopped, Stopped):
            return 128 + stopped.signum
        silence_stdout()  # `... | head` has ended
        return 128 + signal.SIGPIPE
    except NonFiniteLoss as error:
        kept = f"{folder / 'model.pt'} is of epoch {len(progress.history)}"
        print(f"{error}; {kept if progress.history else 'no epoch was finished'}. Try a lower "
              f"--lr than {run.settings.lr}.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
