"""What a net costs, by arithmetic: parameters, multiply-adds and memory, layer by layer.

MXNet is imported when something is counted, not before: ``--help`` has to be quick.
"""

from math import prod
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from nin_gluon.errors import InputError

if TYPE_CHECKING:
    from mxnet.gluon import Block

    from nin_gluon.models.geometry import LayerRow

__all__ = ["BYTES", "count", "kept_for_backward", "measure", "memory_bytes"]

# Bytes of a value that a convolution puts out. Parameters are float32 in either.
BYTES = {"float32": 4, "bfloat16": 2}


def measure(model: str, shape: Tuple[int, int, int, int], dtype: str = "float32",
            ) -> Dict[str, Any]:
    """What a net costs for a batch of images.

    Parameters
    ----------
    model : str
        A net's name, as `get_model` takes it.
    shape : (int, int, int, int)
        (batch, channels, height, width).
    dtype : {"float32", "bfloat16"}
        Arithmetic of the convolutions. Parameters and gradients are float32 in either.

    Returns
    -------
    dict
        JSON-ready: ``model``, ``input`` (the shape), ``dtype``, what `count` returns, and
        ``bytes``, which `memory_bytes` returns.

    Raises
    ------
    InputError
        The model is unknown, the size too small for it, or MXNet cannot make it.
    """
    counted = count(model, shape)
    return {"model": model, "input": list(shape), "dtype": dtype, **counted,
            "bytes": memory_bytes(counted["layers"], shape, dtype)}


def count(model: str, shape: Tuple[int, int, int, int]) -> Dict[str, Any]:
    """A net's layers, and the sums over them.

    Returns
    -------
    dict
        ``layers``, a list of dicts: ``name``, ``kind``, ``output`` (a shape), ``parameters``,
        ``macs``, ``values`` (how many numbers its operations put out; a convolution and its ReLU
        each count) and ``kept`` (see `kept_for_backward`). Sums: ``parameters``, ``macs``,
        ``flops``, ``training_flops`` (of a step, forward and backward).
    """
    from mxnet.base import MXNetError

    from nin_gluon.models import get_model
    from nin_gluon.models.geometry import layer_table, leaves, title

    try:
        net = get_model(model)
        rows = layer_table(net, shape, inside=True)
    except MXNetError as error:  # a number that is too large for it, for example
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"MXNet cannot make {model} for images {shape} ({reason}); choose smaller "
                         "numbers.") from None
    layers: List[Dict[str, Any]] = [
        {"name": row.name, "kind": title(leaf), "output": list(row.output),
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
        # The backward pass costs as much again for the weights' gradients, and as much for the
        # gradients of each layer's input, except the first's: nobody needs those of the images.
        "training_flops": 2 * (3 * macs - first),
    }


def kept_for_backward(leaf: "Block", row: "LayerRow") -> int:
    """How many values a layer keeps in training, for the backward pass.

    A ReLU's gradient follows from its output, so MXNet frees the convolution's own output, before
    the ReLU, at once. Max pooling notes where each maximum was, and dropout what it kept: one
    more value for each of the output.

    Parameters
    ----------
    leaf : mxnet.gluon.Block
        A layer without layers inside.
    row : LayerRow
        Its row from `nin_gluon.models.geometry.layer_table`.
    """
    window = getattr(leaf, "_kwargs", {})
    notes = (window.get("pool_type") == "max" and not window["global_pool"]
             or type(leaf).__name__ == "Dropout")
    return prod(row.output) * (2 if notes else 1)


def memory_bytes(layers: List[Dict[str, Any]], shape: Tuple[int, int, int, int],
                 dtype: str) -> Dict[str, Dict[str, int]]:
    """Memory that a net needs, by purpose.

    Parameters
    ----------
    layers : list of dict
        As from `count`, for images of that shape.
    shape : (int, int, int, int)
    dtype : {"float32", "bfloat16"}

    Returns
    -------
    dict
        For ``inference`` and ``training`` a dict of bytes: the parts that are not 0, and their
        ``total``.
    """
    size = BYTES[dtype]
    images = 4 * prod(shape)
    count_of_parameters = sum(layer["parameters"] for layer in layers)
    parameters = 4 * count_of_parameters
    copies = size * count_of_parameters if dtype != "float32" else 0
    outputs = [prod(layer["output"]) for layer in layers]
    # A layer's input and output are there at the same time.
    pair = size * max(map(sum, zip(outputs, outputs[1:])))
    always = {"parameters": parameters, f"copies in {dtype}": copies, "images": images}
    found = {
        "inference": {**always, "activations": pair},
        "training": {**always, "gradients of parameters": parameters,
                     "activations": size * sum(layer["kept"] for layer in layers),
                     "gradients of activations": pair},
    }
    return {use: {**{name: part for name, part in parts.items() if part},
                  "total": sum(parts.values())}
            for use, parts in found.items()}
