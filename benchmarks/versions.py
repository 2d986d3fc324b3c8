"""Did the library change? The chapter's steps under two builds of MXNet, held side by side.

  python -m benchmarks.versions --python OLD/bin/python

OLD is an environment with the MXNet that the book was written with, for example one of Python 3.8
with ``pip install mxnet==1.5.0``. Both builds get the same images, parameters and seeds, in
processes of their own, and do what the chapter does, in plain Gluon: resize, initialize, drop out,
and train. What is compared is printed and, with ``--out FILE``, kept as JSON: of the losses, with
dropout and without, the first and the last step's, and by how much those of each step differ.

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


# ------------------------------------------------------------------ under either build


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


def work(given, result):
    """Do the chapter's steps on what the file `given` holds; leave the outcome in `result`."""
    np.bool = bool  # a name that MXNet looks for and NumPy has dropped
    import mxnet as mx
    from mxnet import autograd, gluon, nd
    from mxnet.gluon.data.vision import transforms

    given = np.load(given)
    images, labels = given["images"], given["labels"]
    outcome = {"version": np.array(mx.__version__)}

    resized = [transforms.Resize(224)(nd.array(image, dtype="uint8")) for image in images[:64]]
    outcome["resized"] = np.stack([transforms.ToTensor()(x).asnumpy() for x in resized])

    mx.random.seed(0)
    net = chapter_net(mx, 0.5)
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 1, SIZE, SIZE)))
    for i, parameter in enumerate(net.collect_params().values()):
        outcome[f"drawn{i}"] = parameter.data().asnumpy()

    mx.random.seed(0)
    with autograd.record():
        outcome["dropped"] = nd.Dropout(nd.ones((1000, 1000)), p=0.5).asnumpy()

    to_batch = transforms.Compose([transforms.Resize(SIZE), transforms.ToTensor()])
    X = nd.stack(*[to_batch(nd.array(image, dtype="uint8")) for image in images])
    y = nd.array(labels)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    for name, dropout in (("without", 0), ("with", 0.5)):
        mx.random.seed(0)
        net = chapter_net(mx, dropout)
        net.initialize()
        net(X[:1])
        for i, parameter in enumerate(net.collect_params().values()):
            parameter.set_data(nd.array(given[f"parameter{i}"]))
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
        losses = []
        for at in range(0, len(images), BATCH):
            with autograd.record():
                l = loss(net(X[at : at + BATCH]), y[at : at + BATCH])
            l.backward()
            trainer.step(BATCH)
            losses.append(float(l.mean().asscalar()))
        outcome["losses_" + name] = np.array(losses)
    np.savez(result, **outcome)


# ------------------------------------------------------------------ side by side


def compare(ours, old):
    """What the two outcomes say of each other: a dict of figures."""
    drawn = [name for name in ours if name.startswith("drawn")]
    figures = {
        "versions": [str(ours["version"]), str(old["version"])],
        "resized_pixels_equal": float((ours["resized"] == old["resized"]).mean()),
        "resized_largest_difference_in_grey_levels":
            float(np.abs(ours["resized"] - old["resized"]).max() * 255),
        "xavier_draws_equal": all(np.array_equal(ours[name], old[name]) for name in drawn),
        "dropout_draws_equal": np.array_equal(ours["dropped"], old["dropped"]),
    }
    for name in ("losses_without", "losses_with"):
        difference = np.abs(ours[name] - old[name]) / np.abs(ours[name])
        figures[name] = [[float(o[name][0]) for o in (ours, old)],
                         [float(o[name][-1]) for o in (ours, old)]]
        figures[f"{name}_relative_difference"] = [float(f"{d:.1e}") for d in difference]
    return figures


def measure(python):
    """The comparison with the MXNet of the interpreter `python`."""
    import mxnet as mx

    import nin_gluon
    from nin_gluon.data.sets import load_image_set
    from nin_gluon.models import initializer

    images, labels = load_image_set("fashion-mnist", "train")
    # He's initialization, with which the loss moves from the first step. With the textbook's it
    # would not within so few, and two builds that agree on standing still agree on little.
    mx.random.seed(0)
    net = nin_gluon.nin()
    net.initialize(initializer("he"))
    net(mx.nd.zeros((1, 1, SIZE, SIZE)))
    given = {f"parameter{i}": p.data().asnumpy()
             for i, p in enumerate(net.collect_params().values())}
    given.update(images=images[: STEPS * BATCH], labels=labels[: STEPS * BATCH])
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        np.savez(os.path.join(folder, "given.npz"), **given)
        for interpreter in (sys.executable, python):
            result = os.path.join(folder, "result.npz")
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            subprocess.run([interpreter, os.path.abspath(__file__),
                            os.path.join(folder, "given.npz"), result],
                           check=True, env=environment)
            with np.load(result) as arrays:
                outcomes.append({name: arrays[name] for name in arrays.files})
    return compare(*outcomes)


def main(argv=None):
    from nin_gluon.atomic_files import write_text
    from nin_gluon.cli import ArgumentParser

    parser = ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("--python", required=True, help="interpreter with another MXNet")
    parser.add_argument("--out", metavar="FILE", help="keep the figures as JSON")
    args = parser.parse_args(argv)
    if args.out and os.path.exists(args.out):
        parser.error(f"{args.out} is there already; choose another name")
    try:
        figures = measure(args.python)
    except (OSError, subprocess.CalledProcessError) as error:
        parser.error(f"the chapter's steps failed under {args.python}: {error}")
    text = json.dumps(figures, indent=1)
    if args.out:
        write_text(args.out, text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].endswith(".npz"):
        work(*sys.argv[1:])
    else:
        sys.exit(main())
