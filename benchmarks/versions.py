"""Did the library change? The chapter's steps under several builds of MXNet, side by side.

  python -m benchmarks.versions --python OLD/bin/python --python OLDER/bin/python

OLD is an interpreter with another MXNet, such as Python 3.6 after ``pip install mxnet==1.2.1``.
Every build gets the same images, parameters and seeds, in a process of its own, and does in plain
Gluon what the chapter does: resize, initialize, drop out, pool, go forward and backward, update,
and train twenty steps. Only the resizing takes the original images. All other steps take images
that were resized here, so that a difference in resizing hides no other. Prints a table, each build
beside the one that runs this; with ``--out FILE`` the figures are kept as JSON. The first column is
a control: the build that runs this once more, with one weight moved to the next float32. It shows
how far the smallest difference grows in twenty steps.

The part that runs under the old build must not need anything but MXNet and NumPy.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

SIZE = 67  # pixels, the fewest that this net takes, of the training steps' images
BATCH = 32
STEPS = 20
RESIZED = 64  # images that are resized to 224x224


# ------------------------------------------------------------------ under any build


def chapter_net(mx, dropout):
    """The chapter's net, written out once more so that it runs under any MXNet."""
    nn = mx.gluon.nn

    def nin_block(channels, kernel_size, strides, padding):
        blk = nn.Sequential()
        blk.add(nn.Conv2D(channels, kernel_size, strides, padding, activation="relu"),
                nn.Conv2D(channels, kernel_size=1, activation="relu"),
                nn.Conv2D(channels, kernel_size=1, activation="relu"))
        return blk

    net = nn.Sequential()
    net.add(nin_block(96, 11, 4, 0), nn.MaxPool2D(3, 2),
            nin_block(256, 5, 1, 2), nn.MaxPool2D(3, 2),
            nin_block(384, 3, 1, 1), nn.MaxPool2D(3, 2),
            nn.Dropout(dropout), nin_block(10, 3, 1, 1), nn.GlobalAvgPool2D(), nn.Flatten())
    return net


def given_net(mx, given, dropout):
    """The chapter's net with the parameters in `given`."""
    mx.random.seed(0)
    net = chapter_net(mx, dropout)
    net.initialize()
    net(mx.nd.zeros((1, 1, SIZE, SIZE)))
    for i, parameter in enumerate(net.collect_params().values()):
        parameter.set_data(mx.nd.array(given[f"parameter{i}"]))
    return net


def work(given, result):
    """Do the chapter's steps on what the file `given` holds; leave the outcome in `result`."""
    np.bool = bool  # a name that MXNet looks for and NumPy has dropped
    import mxnet as mx

    given = np.load(given)
    outcome = {"version": np.array(mx.__version__)}
    outcome.update(single_operations(mx, given))
    for name, dropout in (("without", 0), ("with", 0.5)):
        outcome.update({f"{what} {name} dropout": array
                        for what, array in steps(mx, given, dropout).items()})
    np.savez(result, **outcome)


def single_operations(mx, given):
    """Resizing, the draws of initialization and dropout, and pooling."""
    from mxnet import autograd, nd
    from mxnet.gluon.data.vision import transforms

    resize = transforms.Resize(224)
    outcome = {"resized": np.stack([
        resize(nd.array(image, dtype="uint8")).asnumpy() for image in given["originals"]])}

    mx.random.seed(0)
    net = chapter_net(mx, 0.5)
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 1, SIZE, SIZE))).wait_to_read()  # oneDNN may move weights until then
    outcome["drawn"] = np.concatenate([
        parameter.data().asnumpy().ravel() for parameter in net.collect_params().values()])

    mx.random.seed(0)
    with autograd.record():
        outcome["dropped"] = nd.Dropout(nd.ones((1000, 1000)), p=0.5).asnumpy()

    maps = nd.array(given["maps"])
    maps.attach_grad()
    for name, pool in (("max", mx.gluon.nn.MaxPool2D(3, 2)),
                       ("average", mx.gluon.nn.GlobalAvgPool2D())):
        with autograd.record():
            pooled = pool(maps)
        pooled.backward(nd.array(given[name + " gradient"]))
        outcome[name + " pooling"], outcome[name + " pooling, backward"] = (
            pooled.asnumpy(), maps.grad.asnumpy())
    return outcome


def steps(mx, given, dropout):
    """Scores, gradients and update of the first step, and the losses of all."""
    from mxnet import autograd, gluon, nd

    outcome, losses = {}, []
    net = given_net(mx, given, dropout)
    parameters = list(net.collect_params().values())
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    X, y = nd.array(given["images"]), nd.array(given["labels"])
    for at in range(0, len(X), BATCH):
        with autograd.record():
            scores = net(X[at : at + BATCH])
            l = loss(scores, y[at : at + BATCH])
        l.backward()
        trainer.step(BATCH)
        losses.append(float(l.mean().asscalar()))
        if not at:
            outcome["scores"] = scores.asnumpy()
            for i, parameter in enumerate(parameters):
                outcome[f"gradient{i}"] = parameter.grad().asnumpy()
                outcome[f"updated{i}"] = parameter.data().asnumpy()
    outcome["losses"] = np.array(losses)
    return outcome


# ------------------------------------------------------------------ side by side


def largest_difference(ours, other):
    """The largest difference of two arrays, as a share of the largest value of ours."""
    return float(np.abs(ours - other).max() / np.abs(ours).max())


def compare(ours, other):
    """What another build's outcome is beside ours: a dict of figures."""
    figures = {
        "version": str(other["version"]),
        "equal": {"initialization (Xavier)": np.array_equal(ours["drawn"], other["drawn"]),
                  "dropout mask": np.array_equal(ours["dropped"], other["dropped"])},
        "resized": {},
        "difference": {},
        "losses": {},
    }
    for kind in ("bilinear", "bicubic"):
        expected = ours["resized " + kind].astype(int)
        apart = np.abs(expected - other["resized"])
        figures["resized"][kind] = {"equal": float((apart == 0).mean()),
                                    "largest": int(apart.max()), "mean": float(apart.mean())}
    for pooling in ("max", "average"):
        for way in (f"{pooling} pooling", f"{pooling} pooling, backward"):
            figures["difference"][way] = largest_difference(ours[way], other[way])
    for kind in ("without dropout", "with dropout"):
        for what in ("scores", "gradient", "updated"):
            names = [name for name in ours if name.startswith(what) and name.endswith(f" {kind}")]
            figures["difference"][f"{WORDS[what]}, {kind}"] = max(
                largest_difference(ours[name], other[name]) for name in names)
        mine, theirs = ours[f"losses {kind}"], other[f"losses {kind}"]
        figures["difference"][f"losses of {len(mine)} steps, {kind}"] = float(
            (np.abs(mine - theirs) / np.abs(mine)).max())
        figures["losses"][kind] = [[float(loss) for loss in losses] for losses in (mine, theirs)]
    return figures


WORDS = {"scores": "scores", "gradient": "gradients", "updated": "parameters after a step"}


def table(version, comparisons):
    """The comparisons as a Markdown table, a column for each other build."""
    rows = {"": [figures["version"] for figures in comparisons]}
    for kind in ("bilinear", "bicubic"):
        rows[f"resized pixels equal to ours, {kind}"] = [
            "{:.1%}".format(figures["resized"][kind]["equal"]) for figures in comparisons]
        rows[f"largest difference from ours, {kind}, grey levels"] = [
            str(figures["resized"][kind]["largest"]) for figures in comparisons]
    for name in comparisons[0]["equal"]:
        rows[name] = ["equal" if figures["equal"][name] else "DIFFERENT" for figures in comparisons]
    for name in comparisons[0]["difference"]:
        rows[name] = [format(figures["difference"][name], ".1e") for figures in comparisons]
    lines = [f"| {name or f'beside MXNet {version}'} | {' | '.join(cells)} |"
             for name, cells in rows.items()]
    lines.insert(1, "| --- |" + " --- |" * len(comparisons))
    return "\n".join([*lines, "", "Differences are the largest, as a share of the largest value; "
                      "those of losses, as a share of the loss."])


# ------------------------------------------------------------------ all builds


def make_given(images, labels):
    """What every build is given, and what our own resizing makes of the original images."""
    import mxnet as mx
    from mxnet import nd

    import nin_gluon
    from nin_gluon.data.loader import BatchLoader
    from nin_gluon.models import initializer

    # He's initialization, with which the loss moves from the first step. With the textbook's it
    # would not within so few, and two builds that agree on standing still agree on little.
    mx.random.seed(0)
    net = nin_gluon.nin()
    net.initialize(initializer("he"))
    net(nd.zeros((1, 1, SIZE, SIZE))).wait_to_read()  # oneDNN may move weights until then
    given = {f"parameter{i}": p.data().asnumpy()
             for i, p in enumerate(net.collect_params().values())}
    batches = list(BatchLoader(images, labels, BATCH, SIZE))
    # ReLU leaves many equal maxima, of which max pooling has to choose one.
    draw = np.random.RandomState(0)
    maps = np.maximum(draw.randn(4, 16, 27, 27), 0).round(1).astype(np.float32)
    given.update(images=np.concatenate([X.asnumpy() for X, _ in batches]),
                 labels=np.concatenate([y.asnumpy() for _, y in batches]),
                 originals=images[:RESIZED], maps=maps)
    given["max gradient"] = draw.randn(4, 16, 13, 13).astype(np.float32)
    given["average gradient"] = draw.randn(4, 16, 1, 1).astype(np.float32)
    own = {}
    for kind in ("bilinear", "bicubic"):
        loader = BatchLoader(images[:RESIZED], labels[:RESIZED], RESIZED, 224, interpolation=kind)
        own[f"resized {kind}"] = (next(iter(loader))[0].asnumpy() * 255).round().astype(
            np.uint8).transpose(0, 2, 3, 1)
    return given, own


def nudged(given):
    """The same with the first weight moved to the next float32 above it."""
    weights = given["parameter0"].copy()
    weights.flat[0] = np.nextafter(weights.flat[0], np.float32(np.inf))
    return {**given, "parameter0": weights}


def outcome_of(python, folder):
    """The outcome of the chapter's steps under an interpreter."""
    result = os.path.join(folder, "result.npz")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    # Where images are padded, convolutions of 1.2.1 on a CPU are wrong with more than one thread.
    environment["OMP_NUM_THREADS"] = "1"
    subprocess.run([python, os.path.abspath(__file__), os.path.join(folder, "given.npz"), result],
                   check=True, env=environment)
    with np.load(result) as arrays:
        return {name: arrays[name] for name in arrays.files}


def build_parser():
    from nin_gluon.cli import ArgumentParser

    parser = ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("--python", required=True, action="append",
                        help="interpreter with another MXNet; may be given several times")
    parser.add_argument("--out", metavar="FILE", help="keep the figures as JSON")
    return parser


def main(argv=None):
    from nin_gluon.cli import command

    return command(compare_builds)(argv)


def compare_builds(argv):
    from benchmarks.compare import check_new
    from nin_gluon.atomic_files import write_text
    from nin_gluon.data.sets import load_image_set

    parser = build_parser()
    args = parser.parse_args(argv)
    if args.out:
        check_new(args.out)
    for python in args.python:
        try:
            subprocess.run([python, "-c", "import numpy; numpy.bool = bool; import mxnet"],
                           check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            parser.error(f"{python} is no interpreter that has MXNet: {error}")
    images, labels = (part[: STEPS * BATCH] for part in load_image_set("fashion-mnist", "train"))
    given, ours = make_given(images, labels)
    comparisons = []
    builds = [(sys.executable, given, ""), (sys.executable, nudged(given), ", one weight moved"),
              *((python, given, "") for python in args.python)]
    with tempfile.TemporaryDirectory() as folder:
        for number, (python, start, how) in enumerate(builds):
            np.savez(os.path.join(folder, "given.npz"), **start)
            try:
                outcome = outcome_of(python, folder)
            except (OSError, subprocess.CalledProcessError) as error:
                parser.error(f"the chapter's steps failed under {python}: {error}")
            if number == 0:
                ours.update(outcome)
            else:
                figures = compare(ours, outcome)
                comparisons.append({**figures, "version": figures["version"] + how})
    if args.out:
        report = {"beside": str(ours["version"]), "versions": comparisons}
        write_text(args.out, json.dumps(report, indent=1) + "\n")
    print(table(ours["version"], comparisons))
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].endswith(".npz"):
        work(*sys.argv[1:])
    else:
        sys.exit(main())
