"""The chapter's PyTorch edition: its names, and ``python -m nin_gluon.torch_edition``.

``from nin_gluon import torch_edition as d2l`` stands in for that edition's ``from d2l import torch
as d2l``. PyTorch is imported when one of the names is first used, MXNet only by `to_torch` and
`from_torch`: the rest works on a machine without it.
"""

import importlib.util
import json
import platform
import shlex
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

from nin_gluon.cli import ArgumentParser, command, silence_stdout
from nin_gluon.errors import InputError
from nin_gluon.train import (
    claimed,
    locked,
    not_negative,
    or_the_sample,
    positive,
    there_already,
    this_python,
    whole_path,
)

# Public name -> the module that has it.
_HOME = {
    "nin_block": "net",
    "nin": "net",
    "init_weights": "net",
    "load_data_fashion_mnist": "data",
    "train_ch6": "loop",
    "evaluate_accuracy": "loop",
    "try_gpu": "device",
    "to_torch": "convert",
    "from_torch": "convert",
}

__all__ = ["main", *_HOME]

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
A run leaves a folder with config.json, history.jsonl, curves.png, model.pt (the net's state_dict)
and checkpoint.pt, all as of the last finished epoch. Ctrl-C stops at once; --resume goes on after
that epoch. Exit status: 0 done, 1 diverged, 2 wrong request or input, 130 or 143 stopped.
"""

# Dive into Deep Learning 2.0, section 7.3: SGD, Xavier weights, batches of 128 images of 224x224.
RECIPE = {
    "epochs": 10, "batch_size": 128, "lr": 0.1, "resize": 224, "dataset": None, "limit": None,
    "dtype": "float32", "seed": 0, "ctx": "auto", "mode": "auto", "data_dir": None,
}

# What --resume may change: where and how the run goes on, not what it computes.
FREE_ON_RESUME = {"ctx", "data_dir", "epochs", "mode"}


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return sorted(__all__)


def build_parser():
    parser = ArgumentParser(prog="python -m nin_gluon.torch_edition", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument_group("recipe").add_argument
    add("--epochs", type=positive(int), metavar="N", help="passes over the training images "
                                                          "(default: 10)")
    add("--batch-size", type=positive(int), metavar="N", help="images a step (default: 128)")
    add("--lr", type=positive(float), help="learning rate of SGD (default: 0.1)")
    add("--dtype", choices=["float32", "bfloat16"],
        help="arithmetic of the convolutions; parameters and loss stay float32 (default: float32)")
    add("--seed", type=not_negative(int), metavar="N",
        help="of initialization, order and dropout (default: 0)")

    add = parser.add_argument_group("data").add_argument
    add("--dataset", help="fashion-mnist, cifar10, or sample: drawn garments that need no download "
                          "(default: fashion-mnist, or the sample where that cannot be had)")
    add("--data-dir", metavar="DIR", type=whole_path,
        help="folder with the data set's files (default: $NIN_GLUON_DATA, then MXNet's own data "
             "folder; what is missing is downloaded)")
    add("--resize", type=positive(int), metavar="N", help="edge length in pixels (default: 224)")
    add("--limit", type=positive(int), metavar="N",
        help="use only the first N training images and the first N test images")

    add = parser.add_argument_group("run").add_argument
    add("--ctx", metavar="DEVICE", help="auto, cpu, gpu or gpu(1), also called cuda or cuda:1 "
                                        "(default: auto)")
    add("--mode", choices=["auto", "eager", "graph", "compile"],
        help="eager: plain PyTorch; graph: each training step replayed as one CUDA graph; compile: "
             "through torch.compile, and on a GPU replayed too (default: auto, which is graph on a "
             "GPU and eager on a CPU)")
    add("--out", metavar="DIR", help="run folder (default: runs/<time>-nin-torch)")
    add("--resume", metavar="RUN", help="go on with the run in this folder; of the options above "
                                        "only --ctx, --mode, --data-dir and --epochs may differ")
    add("--no-progress", action="store_true", help="no progress bars")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    need_torch()
    run, config = open_run(args) if args.resume else plan_run(args)

    from nin_gluon.torch_edition.device import parse_device

    device = parse_device(config["ctx"])
    if config["mode"] == "graph" and device.type == "cpu":
        raise InputError("--mode graph is for GPUs; on the CPU use eager or compile.")
    return train(run, config, device, args)


def need_torch():
    """Raise `InputError` unless PyTorch is installed."""
    if importlib.util.find_spec("torch") is None:
        raise InputError("PyTorch is not installed; run: pip install 'nin_gluon[torch]', or in a "
                         "checkout of the project: pip install -e '.[torch]'.")


def plan_run(args):
    """Settings and folder of a new run."""
    given = {name: getattr(args, name) for name in RECIPE}
    config = {name: usual if given[name] is None else given[name]
              for name, usual in RECIPE.items()}
    if not args.out:
        return Path("runs", time.strftime("%Y-%m-%d_%H%M%S-nin-torch")), config
    run = Path(args.out)
    if run.exists() and not (run.is_dir() and not any(run.iterdir())):
        raise there_already(run)
    return run, config


def open_run(args):
    """Settings and folder of a run that is to go on."""
    run = Path(args.resume)
    try:
        saved = json.loads((run / "config.json").read_text("utf-8"))
        config = {name: saved[name] for name in RECIPE}
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"--resume {run} is not a run folder: it has no config.json.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / 'config.json'} is not that of a run of "
                         f"nin_gluon.torch_edition ({error}).") from None
    if args.out:
        raise InputError("--resume goes on in the run's own folder; leave out --out.")
    for name, value in config.items():
        given = getattr(args, name)
        if given is None or given == value:
            continue
        if name not in FREE_ON_RESUME:
            raise InputError(f"--resume goes on with the run's own settings ({name} is {value}); "
                             f"leave out --{name.replace('_', '-')}.")
        config[name] = given
    return run, config


def train(run, config, device, args):
    """Run the loop with these settings; return the exit status."""
    import torch

    from nin_gluon.torch_edition.data import load_data
    from nin_gluon.torch_edition.loop import NonFiniteLoss, SoFar, train_ch6
    from nin_gluon.torch_edition.net import SMALLEST_INPUT, init_weights, nin

    if config["resize"] < SMALLEST_INPUT:
        raise InputError(f"--resize {config['resize']} is too small for this net: nothing would be "
                         f"left before the average; the smallest is {SMALLEST_INPUT}.")
    torch.manual_seed(config["seed"] % 2**63)
    train_iter, test_iter = or_the_sample(config, lambda name: load_data(
        name, config["batch_size"], config["resize"], config["data_dir"], device, config["limit"]))
    net, so_far = nin(in_channels=train_iter.images.shape[1]), SoFar()

    if not args.out and not args.resume:
        run = claimed(run)
    with locked(run):
        if args.resume:
            load_checkpoint(run, net, so_far, device)
            if config["epochs"] < len(so_far.history):
                raise InputError(f"{run} has {len(so_far.history)} epochs; give --epochs "
                                 f"{len(so_far.history)} or more, or leave it out.")
        elif (run / "config.json").exists():
            raise there_already(run)  # another process was faster
        write_config(run, config, device)
        if so_far.history:  # the other files may not have been written any more
            save(run, config, net, so_far, device)
        on_term = signal.signal(signal.SIGTERM, stop)
        try:
            train_ch6(net, train_iter, test_iter, config["epochs"], config["lr"], device,
                      config["dtype"], config["mode"],
                      None if so_far.history else init_weights, so_far,
                      lambda so_far: save(run, config, net, so_far, device),
                      progress=not args.no_progress)
        except (KeyboardInterrupt, Terminated, BrokenPipeError) as stopped:
            done = len(so_far.history)
            print(f"\nstopped in epoch {min(done + 1, config['epochs'])}; go on with: "
                  f"{this_python()} -m nin_gluon.torch_edition --resume {shlex.quote(str(run))}",
                  file=sys.stderr)
            if isinstance(stopped, BrokenPipeError):  # `... | head` has ended
                silence_stdout()
                return 128 + signal.SIGPIPE
            return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)
        except NonFiniteLoss as error:
            kept = f"{run / 'model.pt'} is of epoch {len(so_far.history)}"
            print(f"{error}; {kept if so_far.history else 'no epoch was finished'}. Try a lower "
                  f"--lr than {config['lr']}.", file=sys.stderr)
            return 1
        finally:
            signal.signal(signal.SIGTERM, on_term)
    print(f"run folder: {run}")
    print(f"picture: {run / 'curves.png'}")
    return 0


class Terminated(Exception):
    """SIGTERM came."""


def stop(signum, frame):
    raise Terminated


def save(run, config, net, so_far, device):
    """Write what a run has after an epoch: checkpoint, history, model and curves."""
    import torch

    from nin_gluon import plots
    from nin_gluon.atomic_files import replacing
    from nin_gluon.training.history import write_history

    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    state = {"net": net.state_dict(), "seconds": so_far.seconds, "random": random,
             "history": [vars(record) for record in so_far.history]}
    with replacing(run / "checkpoint.pt") as path:
        torch.save(state, path)
    with replacing(run / "model.pt") as path:
        torch.save(state["net"], path)
    write_history(run / "history.jsonl", so_far.history)
    title = "nin on {dataset}, {resize}x{resize}, PyTorch, {dtype}".format(**config)
    plots.save(plots.draw_curves(so_far.history, title), run / "curves.png")


def load_checkpoint(run, net, so_far, device):
    """Put net, sums and random numbers back to the end of the last finished epoch, if any."""
    import pickle

    import torch

    from nin_gluon.training.history import EpochRecord

    path = run / "checkpoint.pt"
    if not path.exists():  # stopped in the first epoch: the seed alone says how it began
        return
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(state["net"])
        so_far.history = [EpochRecord(**record) for record in state["history"]]
        so_far.seconds = state["seconds"]
        torch.set_rng_state(state["random"]["cpu"])
        if device.type == "cuda" and "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"], device)
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError,
            pickle.UnpicklingError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the checkpoint {path} cannot be read ({reason}); if there is a copy of "
                         "the run folder use that, else start a new run.") from error


def write_config(run, config, device):
    """The run's settings, with the machine and the versions they met."""
    import numpy
    import torch

    from nin_gluon import __version__, runtime
    from nin_gluon.atomic_files import write_text

    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    machine = {"nin_gluon": __version__, "torch": torch.__version__, "numpy": numpy.__version__,
               "python": platform.python_version(), "platform": platform.platform(),
               "cpu": runtime.cpu_name(), "gpu": gpu, "threads": torch.get_num_threads()}
    write_text(run / "config.json", json.dumps({**config, "machine": machine}, indent=1) + "\n")
