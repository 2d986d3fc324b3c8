"""The parameters of a net: what they are called in files, and reading them from there.

What a file holds is compared with the net, in names, shapes and types, before it is read.
"""

import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
from mxnet import gluon

from nin_gluon.array_files import BFLOAT16, Entry, read_params, read_safetensors, same, total

__all__ = ["entry_of", "infer_shapes", "named_parameters", "read_parameters", "set_parameters"]


def named_parameters(net: gluon.Block) -> Dict[str, gluon.Parameter]:
    """The net's parameters by position and role: ``000.weight``, ``001.bias``.

    Gluon's own names depend on what was built before in the process.
    """
    return {f"{i:03d}.{role(parameter.name)}": parameter
            for i, parameter in enumerate(net.collect_params().values())}


def role(name: str) -> str:
    """The last part of Gluon's name of a parameter: 'weight' of 'conv0_weight'."""
    return name.rsplit("_", 1)[-1]


def entry_of(name: str, parameter: gluon.Parameter) -> Entry:
    """The entry that a file should have under this name for an array like this parameter."""
    dtype = BFLOAT16 if str(parameter.dtype) == "bfloat16" else np.dtype(parameter.dtype)
    return Entry(name, tuple(parameter.shape), dtype)


def infer_shapes(net: gluon.HybridBlock, image_shape: Tuple[int, int, int]) -> None:
    """Settle the shapes of a net's parameters without computing or taking memory.

    Parameters
    ----------
    net : HybridBlock
    image_shape : tuple of int
        Channels, height, width.

    Raises
    ------
    ValueError
        The net cannot take such images.
    """
    scores = net(mx.sym.var("data"))
    try:
        shapes, _, auxiliary = scores.infer_shape(data=(1, *image_shape))
    except mx.base.MXNetError:
        shapes = None
    if shapes is None:  # as MXNet returns where a size is 0
        raise ValueError("the net cannot take images of {}x{}x{}".format(*image_shape))
    known = dict(zip(scores.list_arguments() + scores.list_auxiliary_states(),
                     shapes + auxiliary))
    for parameter in net.collect_params().values():
        parameter.shape = known[parameter.name]


def read_parameters(folder: Path, net: gluon.Block) -> List[np.ndarray]:
    """The parameters in a checkpoint, of today's format or of version 0.1's.

    Parameters
    ----------
    folder : Path
        Of the checkpoint.
    net : Block
        Its parameters' shapes are settled.

    Returns
    -------
    list of ndarray
        In the net's order.

    Raises
    ------
    ValueError
        They are missing, damaged, or those of another net.
    """
    parameters = named_parameters(net)
    # lexists: what is no file is named by its reader.
    if os.path.lexists(folder / "net.params") and not os.path.lexists(folder / "net.safetensors"):
        in_blocks = {id(p): name for name, p in net._collect_params_with_prefix().items()}
        wanted = [entry_of(in_blocks[id(p)], p) for p in parameters.values()]
        found = read_params(folder / "net.params", total(wanted), same(wanted))
    else:
        wanted = [entry_of(name, p) for name, p in parameters.items()]
        found = read_safetensors(folder / "net.safetensors", total(wanted), same(wanted))
    return [found[entry.name] for entry in wanted]


def set_parameters(net: gluon.Block, values: List[np.ndarray], ctx: Any) -> None:
    """Give the net's parameters these values, on `ctx` if they have no place yet."""
    for parameter, value in zip(net.collect_params().values(), values):
        if parameter._data is None:
            parameter.initialize(mx.init.Zero(), ctx)
        parameter.set_data(mx.nd.array(value, dtype=value.dtype))
