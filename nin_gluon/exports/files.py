"""Writing a trained net in the formats that other programs read."""

import json
from pathlib import Path
from typing import Dict, List

from nin_gluon import __version__
from nin_gluon.array_files import write_safetensors
from nin_gluon.atomic_files import replacing
from nin_gluon.data.sets import DATASETS, SHAPES
from nin_gluon.exports.layers import layers_of
from nin_gluon.exports.onnx_graph import Size, onnx_model
from nin_gluon.exports.preparation import Preparation
from nin_gluon.exports.trained import Trained

__all__ = ["FORMATS", "facts_of", "targets", "write_gluon", "write_onnx", "write_parameters",
           "write_torch"]

# Format -> the name under which a run folder gets the exported file.
FORMATS = {"onnx": "exported.onnx", "safetensors": "exported.safetensors", "gluon": "exported",
           "torch": "exported-torch.safetensors"}


def targets(form: str, path: Path) -> List[Path]:
    """The files that an export to `path` writes. Gluon's pair has names that begin with it."""
    if form != "gluon":
        return [path]
    return [path.with_name(f"{path.name}-{end}") for end in ("symbol.json", "0000.params")]


def facts_of(trained: Trained) -> Dict[str, str]:
    """What goes into a file's metadata, as the formats have it: text by name.

    ``classes`` and ``settings`` are JSON.
    """
    settings = trained.settings
    dataset = DATASETS[str(settings.dataset)]
    return {"model": settings.model, "dataset": dataset.title,
            "classes": json.dumps(dataset.classes),
            "image_size": f"{settings.resize}x{settings.resize}",
            "preprocess": settings.preprocess, "parameters": trained.source,
            "settings": json.dumps(settings.to_json()), "nin_gluon": __version__}


def write_onnx(trained: Trained, path: Path, preparation: Preparation) -> None:
    """Write an ONNX model that takes pixels; see `nin_gluon.exports.onnx_graph.onnx_model`."""
    layers, settings = layers_of(trained.settings), trained.settings
    edge = settings.edge
    size: Size = ("height", "width")
    if preparation.resize:
        size = preparation.resize[0]
    elif preparation.whitening or any(layer.kind == "dense" for layer in layers):
        size = (edge, edge)  # their matrices are made for it
    model = onnx_model(layers, trained.parameters, size, preparation,
                       {**facts_of(trained), "preprocessing": preparation.words})
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def write_parameters(trained: Trained, path: Path) -> None:
    """Write the parameters by position, such as ``000.weight``, as safetensors."""
    with replacing(path) as temporary:
        write_safetensors(temporary, trained.parameters,
                          {"format": "nin_gluon", **facts_of(trained)})


def write_torch(trained: Trained, path: Path) -> None:
    """Write a PyTorch ``state_dict`` of `nin_gluon.torch_models.nets`, as safetensors.

    ``net.load_state_dict(safetensors.torch.load_file(path))`` reads it. A ``.pt`` file, which is
    a pickle, is not written.
    """
    from nin_gluon.torch_models.nets import known_net

    settings = trained.settings
    net = known_net(settings.model, channels_of(trained), settings.edge)
    names = list(net.state_dict())
    with replacing(path) as temporary:
        write_safetensors(temporary, dict(zip(names, trained.parameters.values())),
                          {"format": "pt", **facts_of(trained)})


def write_gluon(trained: Trained, path: Path) -> None:
    """Write Gluon's pair, which ``gluon.SymbolBlock.imports`` reads: symbol and parameters."""
    import mxnet as mx

    from nin_gluon import models
    from nin_gluon.training.checkpoint.net_parameters import infer_shapes, set_parameters
    from nin_gluon.training.run_folder import write_export

    symbol, parameters = targets("gluon", path)
    settings = trained.settings
    edge = settings.edge
    net = models.get_model(settings.model)
    infer_shapes(net, (channels_of(trained), edge, edge))
    set_parameters(net, list(trained.parameters.values()), mx.cpu())
    net.hybridize()
    # Waiting, because MXNet changes the layout of the weights in place during this very call, and
    # reading them meanwhile can fail.
    net(mx.nd.zeros((1, channels_of(trained), edge, edge))).wait_to_read()
    with replacing(parameters) as temporary, replacing(symbol) as other:
        base = temporary.with_name(path.name)
        write_export(net, base, 0)
        base.with_name(symbol.name).rename(other)


def channels_of(trained: Trained) -> int:
    """How many channels the net's images have."""
    return SHAPES[str(trained.settings.dataset)][2]
