"""``python -m benchmarks.profile``: where the time of a training step goes, as oneDNN tells it."""

import os
import re
import subprocess
import sys
from collections import defaultdict

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.runtime import available_cpus

DESCRIPTION = """\
Train the chapter's net for a few steps on 128 images of 224x224 with oneDNN telling each kernel and
its milliseconds, and print what the last step consisted of: by kind, and the longest one by one.

  python -m benchmarks.profile                              float32
  python -m benchmarks.profile --dtype bfloat16             as `optimize_for_training` makes it
  python -m benchmarks.profile --dtype bfloat16 --plain     the net as it is written
"""

KINDS = {  # how oneDNN's names begin -> ours
    "convolution forward_training": "convolutions, forward",
    "convolution backward_data": "convolutions, gradients of their inputs",
    "convolution backward_weights": "convolutions, gradients of their weights",
    "pooling": "pooling, both ways",
    "eltwise": "ReLU, both ways",
    "reorder": "copies and changes of layout",
}


def build_parser():
    parser = ArgumentParser(prog="python -m benchmarks.profile", description=DESCRIPTION)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--plain", action="store_true", help="the net as it was written")
    parser.add_argument("--size", type=int, default=224, metavar="N",
                        help="edge length of the images (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="(default: 128)")
    parser.add_argument("--longest", type=int, default=12, metavar="N",
                        help="so many kernels one by one (default: 12)")
    parser.add_argument("--child", action="store_true", help="for the command's own use")
    return parser


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    if args.size < 67 or args.batch_size < 1 or args.longest < 1:
        raise InputError("--size must be at least 67, --batch-size and --longest at least 1.")
    if args.child:
        return steps(args)
    options = ["--dtype", args.dtype, "--size", str(args.size), "--batch-size",
               str(args.batch_size), *(["--plain"] if args.plain else [])]
    threads = os.environ.get("OMP_NUM_THREADS", str(available_cpus()))
    child = subprocess.run([sys.executable, "-m", "benchmarks.profile", "--child", *options],
                           env={**os.environ, "DNNL_VERBOSE": "1", "OMP_NUM_THREADS": threads},
                           capture_output=True, text=True, check=False)
    if child.returncode:
        said = child.stderr.strip().splitlines() or ["it said nothing"]
        raise InputError(f"the steps failed ({said[-1]}).")
    milliseconds, kernels = last_step(child.stdout)
    print(report(milliseconds, kernels, args.longest))
    return 0


def steps(args):
    """Train for five steps, with a line on stdout before and after the last."""
    import nin_gluon  # isort: skip
    import time

    import mxnet as mx
    from mxnet import autograd, gluon

    from nin_gluon import runtime
    from nin_gluon.models.cpu_optimization import optimize_for_training

    runtime.use_dtype(args.dtype, [mx.cpu()])
    net = nin_gluon.nin()
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    plain = args.plain or args.dtype == "float32"
    forward = net if plain else optimize_for_training(net)
    X = mx.nd.random.uniform(shape=(args.batch_size, 1, args.size, args.size))
    y, loss = mx.nd.zeros(args.batch_size), gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    for i in range(5):
        mx.nd.waitall()
        if i == 4:
            print("last step", flush=True)
        started = time.perf_counter()
        with autograd.record():
            l = loss(forward(X), y)
        l.backward()
        trainer.step(args.batch_size)
        mx.nd.waitall()
    print("took", (time.perf_counter() - started) * 1000, flush=True)
    return 0


def last_step(log):
    """The step's milliseconds, and its kernels as (kind, what, milliseconds)."""
    step = log.partition("last step\n")[2]
    kernels = []
    for line in step.splitlines():
        fields = line.split(",")
        if fields[0].endswith("verbose") and fields[1] == "exec":
            kind, kernel, direction, shape = fields[3], fields[4], fields[5], fields[-2]
            kernels.append((f"{kind} {direction}", f"{kernel} {shape}", float(fields[-1])))
    took = re.search(r"^took (\S+)", step, re.M)
    return float(took[1]), kernels


def report(milliseconds, kernels, longest):
    """Two tables, of kinds and of single kernels."""
    sums = defaultdict(float)
    for kind, _, time in kernels:
        name = next((ours for theirs, ours in KINDS.items() if kind.startswith(theirs)), "others")
        sums[name] += time
    sums["outside of oneDNN"] = milliseconds - sum(sums.values())
    lines = ["| part of a training step | ms | share |", "| --- | --- | --- |"]
    for name, time in sorted(sums.items(), key=lambda item: -item[1]):
        lines.append(f"| {name} | {time:.0f} | {time / milliseconds:.1%} |")
    lines += [f"| all | {milliseconds:.0f} | |", "", "| kernel | ms |", "| --- | --- |"]
    for kind, what, time in sorted(kernels, key=lambda kernel: -kernel[2])[:longest]:
        lines.append(f"| {kind}: {what} | {time:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
