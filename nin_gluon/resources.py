"""``python -m nin_gluon.resources``: what a net costs, layer by layer."""

import json
import sys
from math import prod
from pathlib import Path

from nin_gluon.cli import ArgumentParser, command
from nin_gluon.errors import InputError
from nin_gluon.shapes import columns, parse_size

DESCRIPTION = """\
Count what a net costs: parameters, MACs (multiply-adds) and FLOPs (two a MAC), and memory for
inference and training, layer by layer. That is arithmetic and quick for any size; --check lets
MXNet run the net and puts beside it what MXNet allocates.

  python -m nin_gluon.resources                     the chapter's net, one image of 224x224, with
                                                    the published figures
  python -m nin_gluon.resources --batch 128 --check     a batch of training, and really allocated
  python -m nin_gluon.resources --model mlpconv_nin --size 112 --out costs.png
  python -m nin_gluon.resources --model cifar_nin --size 32 --channels 3    the paper's net for
                                                    CIFAR-10, of 966,986 parameters
"""

# Bytes of a value that a convolution puts out; parameters are in float32 always.
BYTES = {"float32": 4, "bfloat16": 2}


def build_parser():
    parser = ArgumentParser(prog="python -m nin_gluon.resources", description=DESCRIPTION)
    add_options(parser)
    add = parser.add_argument
    add("--dtype", choices=BYTES, default="float32",
        help="arithmetic of the convolutions (default: %(default)s)")
    add("--out", metavar="PICTURE", help="draw the layers' costs too (png, pdf or svg)")
    add("--json", action="store_true", help="print JSON instead of tables")
    return parser


def add_options(parser):
    """The options for what is counted, which the exercise has as well."""
    add = parser.add_argument
    add("--model", default="nin", metavar="NAME[,OPTION=VALUE...]",
        help="net, with options of its own (default: %(default)s)")
    add("--size", default="224", metavar="N|HxW",
        help="input height and width in pixels (default: %(default)s)")
    add("--batch", type=int, default=1, metavar="N", help="images (default: 1)")
    add("--channels", type=int, default=1, metavar="N", help="of the input (default: 1)")
    add("--check", action="store_true",
        help="run the net on the CPU, trained and not, and count what MXNet allocates")


@command
def main(argv=None):
    args = build_parser().parse_args(argv)
    size = parse_size(args.size, args.batch, args.channels)
    out = args.out and new_picture(args.out)
    result = measure(args.model, size, args.batch, args.channels, args.dtype, args.check)
    print(json.dumps(result, indent=1) if args.json else format_result(result))
    if out:
        from nin_gluon import plots

        plots.save(plots.draw_resources(result), out)
        print(f"picture: {out}", file=sys.stderr)


def new_picture(path):
    """The path of a picture that is to be made, once it is clear that it can be."""
    path = Path(path)
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError(f"--out {path} is no picture's name; end it in .png, .pdf or .svg.")
    if path.exists():
        raise InputError(f"--out {path} is there already; choose another name.")
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}; make it first.")
    return path


def measure(model="nin", size=224, batch=1, channels=1, dtype="float32", check=False):
    """What a net costs.

    Parameters
    ----------
    model : str
        A net's name, as `get_model` takes it.
    size : int or (int, int)
        Edge length, or (height, width), in pixels.
    batch, channels : int
        Of the images.
    dtype : {"float32", "bfloat16"}
        Arithmetic of the convolutions. Parameters and gradients are float32 in either.
    check : bool
        Whether to let MXNet run the net in processes of their own; takes seconds.

    Returns
    -------
    dict
        JSON-ready. ``layers`` is a list of dicts: ``name``, ``kind``, ``output`` (its shape),
        ``parameters``, ``macs``, ``values`` (put out by its operations, a convolution and its ReLU
        each) and ``kept`` (of these, with what pooling and dropout note, until the backward pass).
        Sums of them: ``parameters``, ``macs``, ``flops``, ``training_flops``. ``bytes`` has for
        ``inference`` and ``training`` the parts of the memory and their ``total``. ``published``
        compares with the published figures (for the chapter's input only, else None).
        ``allocated`` is what `nin_gluon.analysis.memory.allocations` returns (None unless checked).

    Raises
    ------
    InputError
        The model is unknown, the size too small for it, or MXNet cannot run it.
    """
    from nin_gluon.analysis import memory

    height, width = (size, size) if isinstance(size, int) else size
    shape = (batch, channels, height, width)
    result = {"model": model, "input": list(shape), "dtype": dtype, **count(model, shape)}
    result["bytes"] = memory_by_arithmetic(result, dtype)
    published = model == "nin" and shape == (1, 1, 224, 224) and dtype == "float32"
    result["published"] = compare_published(result) if published else None
    result["allocated"] = memory.allocations(model, shape, dtype) if check else None
    return result


def count(model, shape):
    """Layers and sums of `measure`."""
    from mxnet.base import MXNetError

    from nin_gluon.analysis.memory import kept_for_backward
    from nin_gluon.models import get_model
    from nin_gluon.models.geometry import layer_table, leaves, title

    try:
        net = get_model(model)
        rows = layer_table(net, shape, inside=True)
    except MXNetError as error:  # a number too large for it, say
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"MXNet cannot make {model} for images {shape} ({reason}); choose smaller "
                         "numbers.") from None
    layers = [{"name": row.name, "kind": title(leaf), "output": list(row.output),
               "parameters": row.parameters, "macs": row.macs, "values": row.values,
               "kept": kept_for_backward(leaf, row)}
              for leaf, row in zip(leaves(net), rows)]
    macs = sum(layer["macs"] for layer in layers)
    first = next((layer["macs"] for layer in layers if layer["macs"]), 0)
    return {
        "layers": layers,
        "parameters": sum(layer["parameters"] for layer in layers),
        "macs": macs,
        "flops": 2 * macs,
        # The backward pass takes as much again for the weights' gradients, and for those of each
        # layer's input; nobody needs the images'.
        "training_flops": 2 * (3 * macs - first),
    }


def memory_by_arithmetic(result, dtype):
    """Bytes for inference and training, by what each is needed for."""
    layers, size = result["layers"], BYTES[dtype]
    images = 4 * prod(result["input"])
    parameters = 4 * result["parameters"]
    copies = size * result["parameters"] if dtype != "float32" else 0
    outputs = [prod(layer["output"]) for layer in layers]
    pair = size * max(map(sum, zip(outputs, outputs[1:])))  # while one is made of the other
    always = {"parameters": parameters, f"copies in {dtype}": copies, "images": images}
    found = {
        "inference": {**always, "activations": pair},
        "training": {**always, "gradients of parameters": parameters,
                     "activations": size * sum(layer["kept"] for layer in layers),
                     "gradients of activations": pair},
    }
    for parts in found.values():
        for name in [name for name, part in parts.items() if not part]:
            del parts[name]
        parts["total"] = sum(parts.values())
    return found


def compare_published(result):
    """The published figures, each with the chapter's net's and with what comes nearest to it.

    A list of dicts: ``figure``, ``published``, ``unit``, ``exact`` (for one channel, in powers of
    1000) and ``three_channels`` (for three channels, in powers of 1024).
    """
    from nin_gluon.experiments.published import RESOURCES

    def figures(shape, counted, kilo):
        # The images and every output, each twice: as what one layer gives and another takes.
        activations = 8 * (prod(shape) + sum(layer["values"] for layer in counted["layers"]))
        parameters = 4 * counted["parameters"]
        return {
            "parameters": counted["parameters"] / kilo**2,
            "compute": counted["flops"] / kilo**3,
            "inference parameters": parameters / kilo**2,
            "inference activations": activations / kilo**2,
            "inference memory": (parameters + activations) / kilo**2,
            "training parameters": 2 * parameters / kilo**2,
            "training activations": 2 * activations / kilo**2,
            "training memory": 2 * (parameters + activations) / kilo**2,
        }

    exact = figures(result["input"], result, 1000)
    colour = (1, 3, 224, 224)
    in_colour = figures(colour, count("nin", colour), 1024)
    return [{"figure": name, "published": value, "unit": unit, "exact": exact[name],
             "three_channels": in_colour[name]} for name, (value, unit) in RESOURCES.items()]


PUBLISHED = """\
parameters, compute and the parameters' memory are to the last digit those of this net made for
images of 3 channels, with M, G and MB for 2^20 and 2^30. The chapter's images have one channel:
without the 11 x 11 x 2 x 96 weights for two more, and in powers of 1000, the exact figures differ.
training's are twice inference's: parameters with their gradients, activations with theirs.
activations: nearest comes the sum of the images and of all outputs (each convolution's, its ReLU's,
poolings, dropout), each in float32 and twice. 0.05 MB or 0.2 % is missing, and is not explained:
other multiples of these outputs do give 25.40, but none that a known way of counting takes."""

ALLOCATED = """\
forward: taken by a forward pass and held when it ends. Layer by layer in training that is what the
backward pass needs, and the arithmetic above; hybridized, memory is planned, shared between
layers where it can be, and kept from step to step.
peak: with the gradients of the activations under way, and temporary space: maps and weights that
oneDNN takes in layouts of its own, and what its backward passes work in.
process: what the process grew by in all, with oneDNN's compiled kernels and what glibc keeps."""


def format_result(result):
    """Tables of what `measure` returns, as text."""
    batch, channels, height, width = result["input"]
    lines = [f"{result['model']}, {batch} image{'s' * (batch > 1)} of {channels} x {height} x "
             f"{width}, {result['dtype']}", ""]
    size = BYTES[result["dtype"]]
    cells = [(layer["name"], layer["kind"], "x".join(map(str, layer["output"])),
              f"{layer['parameters']:,}", f"{layer['macs']:,}", mb(size * prod(layer["output"])))
             for layer in result["layers"]]
    outputs = size * sum(prod(layer["output"]) for layer in result["layers"])
    total = ("total", "", "", f"{result['parameters']:,}", f"{result['macs']:,}", mb(outputs))
    text = columns([("layer", "", "output shape", "parameters", "MACs", "output, MB"), *cells,
                    total], 3)
    rule = "-" * max(map(len, text))
    lines += [text[0], rule, *text[1:-1], rule, text[-1], ""]
    lines += [f"compute: {result['flops'] / 1e9:,.4g} GFLOP forward, "
              f"{result['training_flops'] / 1e9:,.4g} a training step (two FLOPs a MAC; biases, "
              "ReLU and pooling not counted)", ""]
    inference, training = result["bytes"]["inference"], result["bytes"]["training"]
    lines += columns([("memory by arithmetic, MB", "inference", "training")] + [
        (name, mb(inference.get(name)), mb(part)) for name, part in training.items()], 1)
    if result["allocated"]:
        lines += ["", *columns([("allocated by MXNet, MB", "parameters", "images", "forward",
                                 "peak", "process")] + [
            (way, *(mb(found[part]) for part in ("parameters", "images", "forward", "peak",
                                                 "process")))
            for way, found in result["allocated"].items()], 1), ALLOCATED]
    if result["published"]:
        lines += ["", *columns([("published, for one image", "", "", "exactly",
                                 "3 channels, 2^20")] + [
            (row["figure"], f"{row['published']:.2f}", row["unit"], f"{row['exact']:.3f}",
             f"{row['three_channels']:.3f}") for row in result["published"]], 1), PUBLISHED]
    return "\n".join(lines)


def mb(size):
    """Bytes in MB (1,000,000 bytes), as text."""
    return "" if size is None else f"{size / 1e6:,.2f}"


if __name__ == "__main__":
    sys.exit(main())
