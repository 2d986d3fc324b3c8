"""``python -m nin_gluon.train``: options -> objects -> loop -> run folder."""

import json
import math
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

from nin_gluon.cli import ArgumentParser, command, silence_stdout
from nin_gluon.errors import InputError
from nin_gluon.settings import PRESETS, TEXTBOOK, optimizer_settings, usual_preset
from nin_gluon.training.workers import KVSTORES, check, join

DESCRIPTION = """\
Train the chapter's Network in Network and print the textbook's log.

  python -m nin_gluon.train                        the textbook's run: hours on a CPU
  python -m nin_gluon.train --preset quick         a recipe that learns in minutes on a CPU
  python -m nin_gluon.train --ctx gpu              on the first GPU
  python -m nin_gluon.train --model cifar_nin --dataset cifar10   the paper's net, in few epochs
  python -m nin_gluon.train --preset paper --ctx gpu              the paper's run, 307 epochs
  python -m nin_gluon.train --limit 1280 --epochs 1   a quick look at the textbook's run
  python -m nin_gluon.train --resume runs/...      go on with a run that was stopped
  python -m nin_gluon.launch -n 2 -s 1 -- python -m nin_gluon.train --kvstore dist_sync
                                                   two processes, here or on two machines
"""

EPILOG = """\
A run leaves a folder with config.json, history.jsonl, curves.png, predictions.png, the model
(model-symbol.json, model-NNNN.params) and a checkpoint. Ctrl-C finishes the step, saves and says
how to go on. Exit status: 0 done, 1 diverged, 2 wrong request or input, 130 or 143 stopped.
"""

# What --resume may change: where the run goes on, not what it computes.
FREE_ON_RESUME = {"ctx", "data_dir", "epochs"}


def build_parser():
    parser = ArgumentParser(prog="python -m nin_gluon.train", description=DESCRIPTION,
                            epilog=EPILOG)
    add = parser.add_argument_group("recipe (each overrides the preset's)").add_argument
    add("--preset", choices=PRESETS, default=None,
        help="textbook: SGD lr 0.1, Xavier, 5 epochs of 224x224 (the default); quick: Adam, "
             "cosine schedule, identity initialization and standardized images, 2 epochs of 30,000 "
             "images of 67x67; tuned: the same, mirrored, for 10 epochs of all images at 224x224; "
             "mlpconv: the mlpconv edition's, SGD lr 0.2, 20 epochs of 112x112; paper: the paper's "
             "run, cifar_nin on whitened and augmented CIFAR-10, 307 epochs, for a GPU; "
             "paper-quick: 10 epochs of the same net, with contrast normalization and mirroring, "
             "for a CPU (the default for cifar_nin)")
    add("--model", metavar="NAME[,OPTION=VALUE...]",
        help="net, with options of its own: nin, mlpconv_nin or cifar_nin; nin,dropout=0.2; "
             "nin,head=fc (heads: gap, fc, fc_dropout) (default: nin)")
    add("--epochs", type=positive(int), metavar="N", help="passes over the training images")
    add("--batch-size", type=positive(int), metavar="N", help="images a step, of each worker")
    add("--optimizer", choices=["sgd", "adam"],
        help="SGD, or Adam (Kingma and Ba, 2015), which wants an --lr of about 0.001")
    add("--lr", type=positive(float), help="learning rate")
    add("--momentum", type=fraction, help="of SGD, 0 to below 1")
    add("--wd", type=not_negative(float), help="weight decay")
    add("--init", choices=["xavier", "he", "identity", "normal"],
        help="initialization of the weights; identity is He's, but 1x1 convolutions start as the "
             "identity and the classes alike; normal has standard deviation 0.05, as published "
             "for the paper's net")
    add("--schedule", choices=["constant", "cosine", "step"],
        help="of the learning rate; cosine rises over the first tenth of the steps, then falls "
             "to 0; step takes a tenth of it after 5/6 and a hundredth after 11/12 of the steps")
    add("--dtype", choices=["float32", "bfloat16", "float16"],
        help="arithmetic of the convolutions; bfloat16 needs a CPU that has it (avx512_bf16 or "
             "amx_bf16), float16 a GPU")
    add("--seed", type=not_negative(int), metavar="N",
        help="of initialization, order, dropout and augmentation (default: 0)")

    add = parser.add_argument_group("data").add_argument
    add("--dataset", type=dataset_name, metavar="NAME",
        help="fashion-mnist, cifar10, or sample: drawn garments that need no download (default: "
             "fashion-mnist, or the sample where that cannot be had)")
    add("--data-dir", metavar="DIR", type=whole_path,
        help="folder with the data set's files (default: $NIN_GLUON_DATA, then MXNet's own data "
             "folder; what is missing is downloaded)")
    add("--resize", type=positive(int), metavar="N",
        help="edge length in pixels (paper and paper-quick: the images' own)")
    add("--limit", type=positive(int), metavar="N",
        help="use only the first N training images and the first N test images")
    add("--validation", type=positive(int), metavar="N",
        help="hold out the last N training images and report their accuracy in place of the test "
             "set's, which is left alone: for choosing settings")
    add("--augment", choices=["none", "mirror", "shift-mirror"],
        help="distort each training image anew every time: mirrored half of the time, and besides "
             "shifted by up to 4 pixels of the original (default: none)")
    add("--preprocess", choices=["none", "standardize", "gcn", "zca"],
        help="standardize: mean 0 and variance 1 over the training images; gcn: global contrast "
             "normalization, an image at a time; zca: besides whitening, fitted to the training "
             "images; the latter two as in the paper on CIFAR-10 (default: none, which gives "
             "values from 0 to 1)")

    add = parser.add_argument_group("run").add_argument
    add("--ctx", metavar="DEVICE",
        help="auto, cpu, gpu, gpu(1), or several: 'gpu(0),gpu(1)' (default: auto)")
    add("--kvstore", choices=KVSTORES,
        help="how gradients are summed: over the devices of this process, on the device (the "
             "default) or on the CPU (local); or besides over the workers of a job that "
             "nin_gluon.launch has started (dist_sync, dist_device_sync)")
    add("--out", metavar="DIR", help="run folder (default: runs/<time>-<model>-<preset>)")
    add("--resume", metavar="RUN", help="go on with the run in this folder; of the options above "
                                        "only --ctx, --data-dir and --epochs (constant schedule) "
                                        "may differ")
    add("--checkpoint-every", type=positive(int), metavar="STEPS",
        help="save so often (default: every two minutes), besides after each epoch")
    add("--no-progress", action="store_true", help="no progress bars")
    return parser


def positive(kind):
    return number(kind, lambda value: value > 0, "above 0")


def not_negative(kind):
    return number(kind, lambda value: value >= 0, "0 or above")


def number(kind, accept, wanted):
    """An argparse type: a finite number of a kind that is accepted, or a sentence about it."""

    def parse(text):
        import argparse

        noun = "a whole number" if kind is int else "a number"
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not accept(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {noun} {wanted}")
        return value

    return parse


def dataset_name(text):
    """An argparse type: a data set's usual name."""
    from nin_gluon.data.sets import ALIASES

    return ALIASES.get(text, text)


def whole_path(text):
    """An argparse type: the path in full, for --resume may be called from elsewhere."""
    return os.path.abspath(os.path.expanduser(text))


fraction = number(float, lambda value: 0 <= value < 1, "from 0 to below 1")


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    run, config = open_run(args) if args.resume else plan_run(args)

    check(config["kvstore"], config.get("workers"))

    from nin_gluon import runtime

    contexts = runtime.parse_ctx(config["ctx"])
    runtime.use_dtype(config["dtype"], contexts)
    return train(run, config, contexts, args)


def plan_run(args):
    """Settings and folder of a new run."""
    config = {"preset": args.preset or usual_preset(args.model)}
    for name, value in PRESETS[config["preset"]].items():
        given = getattr(args, name)
        config[name] = value if given is None else given
    if args.optimizer not in (None, PRESETS[config["preset"]]["optimizer"]) and args.lr is None:
        raise InputError(f"the rate of --preset {config['preset']} is not one for "
                         f"{args.optimizer}; give --lr too, for adam about 0.001.")
    if config["optimizer"] != "sgd":
        if args.momentum:
            raise InputError(f"--momentum is of SGD, and {config['optimizer']} has none; leave "
                             "it out.")
        config["momentum"] = 0.0
    if not args.out:
        started = time.strftime("%Y-%m-%d_%H%M%S")
        return Path("runs", f"{started}-{config['model']}-{config['preset']}"), config
    run = Path(args.out)
    if run.exists() and not (run.is_dir() and not any(run.iterdir())):
        raise there_already(run)
    return run, config


def there_already(run):
    return InputError(f"--out {run} is there already; choose another folder, or go on with the "
                      f"run in it by --resume {run}.")


def read_config(run):
    """Settings of the run in a folder."""
    try:
        config = json.loads((run / "config.json").read_text("utf-8"))
        settings = {"preset": config["preset"], "workers": int(config.get("workers", 1))}
        for name, usual in TEXTBOOK.items():
            # A run from before there was some setting has the usual one.
            value = config.get(name, usual)
            settings[name] = usual if value is None else checked(name, value)
        if "own_data" in config:
            settings["own_data"] = config["own_data"]
        return settings
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{run} is not a run folder: it has no config.json.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{run / 'config.json'} cannot be read ({error}).") from None


def checked(name, value):
    """A setting's value as its option would take it; ValueError if that refuses it."""

    def refuse(message):
        raise ValueError(f"{name} is {value!r}")

    parser = build_parser()
    parser.error = refuse
    return getattr(parser.parse_args([f"--{name.replace('_', '-')}={value}"]), name)


def open_run(args):
    """Settings and folder of a run that is to go on."""
    run = Path(args.resume)
    settings = read_config(run)
    if args.out:
        raise InputError("--resume goes on in the run's own folder; leave out --out.")
    # The preset's name does not matter here: `make train` gives one.
    for name in TEXTBOOK:
        given = getattr(args, name)
        if given is None or given == settings[name]:
            continue
        if name not in FREE_ON_RESUME:
            raise InputError(f"--resume goes on with the run's own settings ({name} is "
                             f"{settings[name]}); leave out --{name.replace('_', '-')}.")
        if name == "epochs" and settings["schedule"] != "constant":
            raise InputError(f"the {settings['schedule']} schedule of this run is made for "
                             f"{settings['epochs']} epochs; leave out --epochs.")
        settings[name] = given
    return run, settings


def train(run, config, contexts, args):
    """Run the loop with these settings; return the exit status."""
    import mxnet as mx
    import numpy as np
    from mxnet import autograd, gluon
    from mxnet.contrib import amp

    from nin_gluon import models
    from nin_gluon.atomic_files import write_text
    from nin_gluon.data.sets import DATASETS
    from nin_gluon.training import callbacks as watch
    from nin_gluon.training import checkpoint
    from nin_gluon.training.loop import NonFiniteLoss, Tally, train_ch5

    workers = join(config["kvstore"])
    config["workers"] = workers.count
    if workers.rank:
        silence_stdout()  # worker 0 speaks for all
    batch_size = config["batch_size"] * workers.count
    mx.random.seed(config["seed"] % 2**31)
    np.random.seed(config["seed"] % 2**31)
    net = models.get_model(config["model"])
    train_iter, test_iter = load_data(config, contexts, (workers.rank, workers.count))
    devices = len(contexts) * workers.count
    for data_iter in (train_iter, test_iter):
        smallest = len(data_iter.labels) % batch_size or batch_size
        if smallest < devices:
            raise InputError(f"a batch of {smallest} images cannot be split over {devices} "
                             "devices; change --batch-size or --limit.")
    net.initialize(models.initializer(config["init"], net), ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    height, width, channels = *2 * [config["resize"]], train_iter.images.shape[3]
    # One pass creates the parameters. It is one of training, because oneDNN keeps the parameters of
    # other passes in layouts of its own, which a distributed kvstore cannot send.
    with autograd.train_mode():
        for ctx in contexts:
            scores = net(mx.nd.zeros((1, channels, height, width), ctx=ctx))
    title, classes, _ = DATASETS[config["dataset"]]
    if scores.shape[1] != len(classes):
        raise InputError(f"--model {config['model']} makes {scores.shape[1]} classes, and {title} "
                         f"has {len(classes)}; leave out classes=.")
    # A list, in the net's order: a dict would be sorted by names that depend on what other nets
    # this process has built (conv10 before conv9), and a resumed trainer mix up its momenta.
    trainer = gluon.Trainer(list(net.collect_params().values()), config["optimizer"],
                            optimizer_settings(config, config["epochs"] * len(train_iter)),
                            kvstore=workers.kvstore, update_on_kvstore=False)
    if config["dtype"] == "float16":
        amp.init_trainer(trainer)  # the loss is scaled, for small gradients not to become 0

    def loop(history, tally, watcher):
        return train_ch5(net, train_iter, test_iter, batch_size, trainer,
                         contexts[0] if len(contexts) == 1 else contexts, config["epochs"],
                         history, tally, watcher, workers.allreduce,
                         models.training_form if config["dtype"] == "bfloat16" else None)

    def start():
        if not args.resume:
            return Tally(), []
        tally, history = checkpoint.load(checkpoint.latest(run), net, trainer, contexts)
        train_iter.skip = tally.step
        return tally, history

    if workers.rank:
        tally, history = start()
        try:
            loop(history, tally, watch.Follower(config["seed"], workers.rank, tally))
        except NonFiniteLoss:
            time.sleep(60)  # worker 0 finds the same, says so, and ends the job
            return 1
        workers.wait_at_exit(True)
        return 0

    if not args.out and not args.resume:
        run = claimed(run)
    with locked(run):
        tally, history = start()
        if args.resume:
            if config["epochs"] < tally.epoch - (tally.step == 0):
                raise InputError(f"{run} is in epoch {tally.epoch}; give --epochs {tally.epoch} or "
                                 "more, or leave it out.")
        elif (run / "config.json").exists():
            raise there_already(run)  # another process was faster
        if config["validation"]:
            print(f"test acc is that of the last {config['validation']} training images, which are "
                  "held out", file=sys.stderr)
        write_config(run, config, contexts)
        (run / "diverged.txt").unlink(missing_ok=True)  # of the attempt that is gone over now
        watcher = watch.Watch(run, config, net, trainer, train_iter, test_iter, history, tally,
                              args.checkpoint_every, not args.no_progress, workers.count)
        go_on = (f"{workers.launch}{this_python()} -m nin_gluon.train --resume "
                 f"{shlex.quote(str(run))}")
        if workers.distributed:
            print(f"run folder: {run}; should the job break off, go on with: {go_on}",
                  file=sys.stderr)
        with watcher.signals():
            try:
                loop(history, tally, watcher)
            except (watch.Stopped, BrokenPipeError) as stopped:
                watcher.save()
                print(f"stopped in epoch {watcher.tally.epoch} after step {watcher.tally.step}; go "
                      f"on with: {go_on}", file=sys.stderr)
                if isinstance(stopped, BrokenPipeError):  # `... | head` has ended
                    silence_stdout()
                    return 128 + signal.SIGPIPE
                return 128 + stopped.signum
            except NonFiniteLoss as error:
                write_text(run / "diverged.txt", f"{error}\n")
                print(f"{error}; {watcher.keep_last_good()}. Try a lower --lr than "
                      f"{config['lr']}.", file=sys.stderr)
                return 1
            draw_predictions(net, test_iter, contexts[0], config, run / "predictions.png")
    workers.wait_at_exit(True)
    print(f"run folder: {run}")
    print(f"pictures: {run / 'curves.png'} {run / 'predictions.png'}")
    return 0


def claimed(run):
    """Make a run folder of our own choice; of two that start in one second each gets its own."""
    try:
        run.mkdir(parents=True)
        return run
    except FileExistsError:
        return run.with_name(f"{run.name}-{os.getpid()}")


def locked(run):
    """Make the run folder and hold its lock, so that one process at a time trains in it."""
    import filelock

    run.mkdir(parents=True, exist_ok=True)
    try:
        return filelock.FileLock(run / ".lock", timeout=0).acquire()
    except filelock.Timeout:
        raise InputError(f"another process is training in {run}; wait for it or stop it.") from None


def this_python():
    """How the user can call the Python that runs this: 'python' where that is the one."""
    found = shutil.which("python")
    return "python" if found == sys.executable else shlex.quote(sys.executable)


def load_data(config, contexts, part=(0, 1)):
    """The iterators of a run; settles data set and size of images where the user left them open.

    A set of the user's own is noted in `config`, or, in that of a run that has begun, compared.
    Those of worker ``part[0]`` of ``part[1]``, whose batches together are the run's.
    """
    from nin_gluon import data
    from nin_gluon.data.sets import DATASETS, own_data

    # Batches go to the device at once; with several the loop splits them.
    where = contexts[0] if len(contexts) == 1 else None
    options = (config["batch_size"] * part[1], config["resize"], config["data_dir"], where,
               config["limit"], part, config["augment"], config["preprocess"],
               config["validation"])
    iterators = or_the_sample(config, lambda name: data.load_data(name, *options))
    config["resize"] = config["resize"] or iterators[0].images.shape[1]
    found = own_data(config["dataset"], config["data_dir"])
    if config.setdefault("own_data", found) != found:
        raise InputError(f"the run began with other files of {DATASETS[config['dataset']][0]} than "
                         "are found now; name the folder of those with --data-dir.")
    return iterators


def or_the_sample(config, load):
    """What `load` makes of the data set's name; settles which it is where the user left that open.
    """
    from nin_gluon.data.download import DownloadError

    name = config["dataset"] or "fashion-mnist"
    try:
        iterators = load(name)
    except DownloadError as error:
        if config["dataset"] or config["data_dir"]:
            raise
        name = "sample"
        print("Fashion-MNIST is not at hand and cannot be downloaded "
              f"({error.reason}): training on the built-in sample of drawn garments instead. For "
              "the real thing, name its folder with --data-dir or NIN_GLUON_DATA.",
              file=sys.stderr)
        iterators = load(name)
    config["dataset"] = name
    return iterators


def write_config(run, config, contexts):
    """The run's settings, with the machine, the devices and the versions they met."""
    from nin_gluon.atomic_files import write_text
    from nin_gluon.runtime import describe_machine

    machine = {**describe_machine(), "devices": list(map(str, contexts))}
    write_text(run / "config.json", json.dumps({**config, "machine": machine}, indent=1) + "\n")


def draw_predictions(net, test_iter, ctx, config, path):
    """Draw the first test images with what they are and what the net takes them for."""
    from nin_gluon import plots
    from nin_gluon.data.sets import DATASETS

    X, y = next(iter(test_iter))
    predicted = net(X.as_in_context(ctx)).argmax(axis=1).asnumpy()
    labels = y.asnumpy()
    shown = min(32, len(labels))
    images = test_iter.images[:shown].asnumpy()
    title, names, _ = DATASETS[config["dataset"]]
    right = int((predicted[:shown] == labels[:shown]).sum())
    title += f": {right} of these {shown} test images right (in red: predicted, not true)"
    plots.save(plots.draw_predictions(images, labels[:shown], predicted[:shown], names, title),
               path)


if __name__ == "__main__":
    sys.exit(main())
