"""``python -m nin_gluon.torch_edition``: train the chapter's net in PyTorch."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Tuple

from nin_gluon.cli import (
    ArgumentParser,
    add_settings,
    command,
    dataset_name,
    given_settings,
    number,
    utf8_path,
    whole_path,
)
from nin_gluon.errors import InputError
from nin_gluon.extras import require_torch
from nin_gluon.settings import MODES, positive
from nin_gluon.torch_edition.settings import DTYPES, RECIPE, read_config
from nin_gluon.train import lead, resumed_settings
from nin_gluon.training.run_folder import (
    TORCH_EDITION,
    Environment,
    RunConfig,
    claim,
    lock,
    new_folder,
)

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
A run leaves a folder with config.json, history.jsonl, curves.png, the net's state_dict
(model-NNNN.safetensors) and a checkpoint. Ctrl-C finishes the step, saves and says how to go on.
Exit status: 0 done, 1 diverged, 2 wrong request or input, 130 or 143 stopped.
"""

HELP = {
    "epochs": "passes over the training images (default: 10)",
    "batch_size": "images in a step (default: 128)",
    "lr": "learning rate of SGD (default: 0.1)",
    "seed": "of initialization, image order and dropout (default: 0)",
    "resize": "edge length in pixels (default: 224)",
}


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m nin_gluon.torch_edition", description=DESCRIPTION,
                            epilog=EPILOG)
    group = parser.add_argument_group("recipe")
    add_settings(group, ["epochs", "batch_size", "lr"], HELP)
    group.add_argument("--dtype", choices=DTYPES, help=(
        "arithmetic of the convolutions; parameters and loss stay float32 (default: float32)"))
    add_settings(group, ["seed"], HELP)

    group = parser.add_argument_group("data")
    add_settings(group, ["dataset", "resize", "limit"], HELP, types={"dataset": dataset_name})
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
    add("--out", metavar="DIR", type=utf8_path, help="run folder (default: runs/<time>-nin-torch)")
    add("--resume", metavar="RUN", type=utf8_path,
        help="go on with the run in this folder; of the options above only --ctx, --mode, "
             "--data-dir and --epochs may differ")
    add("--checkpoint-every", type=number(int, positive), metavar="STEPS",
        help="save every so many steps (default: every two minutes), and after each epoch")
    add("--no-progress", action="store_true", help="no progress bars")
    parser.set_defaults(tensorboard=False)
    return parser


@command
def main(argv: Optional[List[str]] = None) -> int:
    args = build_parser().parse_args(argv)
    require_torch()
    folder, config = resumed_run(args) if args.resume else planned_run(args)

    from nin_gluon.runtime.torch_device import parse_device
    from nin_gluon.torch_edition.run import prepare

    run = prepare(config, parse_device(config.environment.ctx))
    if not args.out and not args.resume:
        folder = claim(folder)
    with lock(folder):
        status = lead(run, folder, args, "nin_gluon.torch_edition")
    if status == 0:
        print(f"run folder: {folder}")
        print(f"picture: {folder / 'curves.png'}")
    return status


def planned_run(args: argparse.Namespace) -> Tuple[Path, RunConfig]:
    """Folder and config of a new run."""
    environment = Environment(ctx=args.ctx or "auto", mode=args.mode or "auto",
                              data_dir=args.data_dir)
    return (new_folder(args.out, "nin-torch"),
            RunConfig(TORCH_EDITION, RECIPE.but(**given_settings(args)), environment))


def resumed_run(args: argparse.Namespace) -> Tuple[Path, RunConfig]:
    """Folder and config of a run that is to go on; of its settings only `epochs` may change."""
    folder = Path(args.resume)
    config = read_config(folder)
    if args.out:
        raise InputError("--resume goes on in the run's own folder; leave out --out.")
    moved = {name: getattr(args, name) for name in ("ctx", "mode", "data_dir")
             if getattr(args, name)}
    return folder, replace(config, settings=resumed_settings(config.settings, given_settings(args)),
                           environment=replace(config.environment, **moved))


if __name__ == "__main__":
    sys.exit(main())
