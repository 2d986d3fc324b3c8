"""The maps that a trained net's last block makes, one for each class, and the scores from them."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Block

from nin_gluon import models
from nin_gluon.analysis.own_images import SHAPES
from nin_gluon.data.loader import BatchLoader
from nin_gluon.errors import InputError
from nin_gluon.models.geometry import receptive_field
from nin_gluon.runtime import describe_machine
from nin_gluon.settings import Settings
from nin_gluon.training import checkpoint
from nin_gluon.training.checkpoint import net_parameters
from nin_gluon.training.history import warn_unless_finished

__all__ = ["ClassMaps", "RunNet", "load_net", "load_parameters", "maps_of", "report"]


class RunNet(NamedTuple):
    """A run's net, ready to be asked."""

    # X (batch, channels, height, width) -> maps (batch, classes, height', width') and scores
    # (batch, classes), both float32.
    maps_and_scores: Callable[[nd.NDArray], Tuple[nd.NDArray, nd.NDArray]]
    # Where the maps' squares lie, as from `nin_gluon.models.geometry.receptive_field`.
    field: List[Tuple[float, int, int]]
    source: str  # which parameters these are: the name of a checkpoint or of a file


def load_net(run: Path, settings: Settings, ctx: mx.Context) -> RunNet:
    """A run's net with its newest parameters.

    Raises
    ------
    InputError
        The run has saved no parameters, or they are damaged or those of another net.
    """
    net = models.get_model(settings.model)
    source = load_parameters(run, settings, net, ctx)
    net.hybridize(static_alloc=True, static_shape=True)
    features, head = models.maps_and_head(net)
    field = receptive_field(features)
    features.hybridize(static_alloc=True, static_shape=True)
    features = models.optimize_for_inference(features)

    def maps_and_scores(X: nd.NDArray) -> Tuple[nd.NDArray, nd.NDArray]:
        maps = features(X.as_in_context(ctx))
        # NumPy would take the bits of a bfloat16 number for an integer.
        return maps.astype("float32"), head(maps).astype("float32")

    return RunNet(maps_and_scores, field, source)


def load_parameters(run: Path, settings: Settings, net: Block, ctx: mx.Context) -> str:
    """Give a net the newest parameters of a run; return the name of the checkpoint or file.

    Raises
    ------
    InputError
        The run has saved none, or they are damaged or those of another net.
    """
    saved = checkpoint.complete(run)
    exported = sorted(run.glob("model-*.params"))
    if not saved and not exported:
        raise InputError(f"{run} holds no parameters, neither a checkpoint nor model-*.params.")
    path = saved[-1] if saved else exported[-1]
    read = net_parameters.read_parameters if saved else net_parameters.read_exported
    try:
        if settings.dataset not in SHAPES or settings.resize is None:
            raise ValueError("the run's settings lack the data set or the size of its images")
        channels = SHAPES[settings.dataset][2]
        net_parameters.infer_shapes(net, (channels, settings.resize, settings.resize))
        net_parameters.set_parameters(net, read(path, net), ctx)
    except ValueError as error:
        raise InputError(f"{path} cannot be read as parameters of {settings.model} ({error})."
                         ) from None
    warn_unless_finished(run, settings.epochs, path)
    return saved[-1].name if saved else path.name


# ------------------------------------------------------------------ what it says of images


@dataclass(frozen=True)
class ClassMaps:
    """The maps and scores of some images."""

    maps: np.ndarray  # (n, classes, map height, map width), float32
    scores: np.ndarray  # (n, classes), float32
    size: Tuple[int, int]  # (height, width) in pixels of the images that the net was given


def maps_of(net: RunNet, loader: BatchLoader, images: np.ndarray) -> ClassMaps:
    """The maps and scores of images that are not in a loader, prepared as that loader does.

    Parameters
    ----------
    net : RunNet
    loader : BatchLoader
    images : numpy.ndarray, (n, height, width, channels), uint8
    """
    batch = as_batch(loader, images)
    maps, scores = (array.asnumpy() for array in net.maps_and_scores(batch))
    return ClassMaps(maps, scores, batch.shape[2:])


def as_batch(loader: BatchLoader, images: np.ndarray) -> nd.NDArray:
    """Images (n, height, width, channels) uint8 as one batch X, made as the loader makes its own.
    """
    loader = copy.copy(loader)
    home = loader.images.context
    loader.images = nd.array(images, ctx=home, dtype="uint8")
    loader.labels = nd.zeros(len(images), ctx=home, dtype="int32")
    loader.batch_size, loader.shuffle = len(images), False
    X, _ = next(iter(loader))
    return X


def report(net: RunNet, found: ClassMaps, dataset: str, names: Sequence[str],
           images: Sequence[str], labels: Optional[np.ndarray]) -> Dict[str, Any]:
    """The maps' geometry and the images' scores, JSON-ready.

    Parameters
    ----------
    net : RunNet
    found : ClassMaps
        Of n images.
    dataset : str
    names : sequence of str
        Class names.
    images : sequence of str, (n,)
        What the images are called.
    labels : numpy.ndarray, (n,), integers, or None
        The true classes, where they are known.
    """
    return {
        "parameters": net.source, "machine": describe_machine(), "dataset": dataset,
        "image_size": list(found.size), "map_size": list(found.maps.shape[2:]),
        "pixels_a_value": [step for _, step, _ in net.field],
        "pixels_seen": [seen for _, _, seen in net.field], "classes": list(names),
        "images": [{
            "image": image,
            "label": None if labels is None else names[int(labels[i])],
            "predicted": names[int(found.scores[i].argmax())],
            "scores": {name: float(score) for name, score in zip(names, found.scores[i])},
        } for i, image in enumerate(images)],
    }
