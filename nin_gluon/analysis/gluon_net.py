"""A trained net computed by MXNet Gluon; see `nin_gluon.analysis.trained_net`."""

from typing import Iterator, List, Optional, Tuple

import numpy as np

from nin_gluon import models, runtime
from nin_gluon.analysis.net_recipe import Built, LayerOutput, Recipe
from nin_gluon.data.loader import BatchLoader
from nin_gluon.data.preprocess import preprocessor
from nin_gluon.errors import InputError
from nin_gluon.exports.layers import gluon_layers
from nin_gluon.models.geometry import receptive_field, smallest_input
from nin_gluon.training.checkpoint.net_parameters import (
    entry_of,
    infer_shapes,
    named_parameters,
    set_parameters,
)

__all__ = ["build"]


def build(recipe: Recipe, ctx: str) -> Built:
    """Build a trained net."""
    settings, (_, _, channels) = recipe.settings, recipe.shape
    device = runtime.parse_ctx(ctx)[0]
    runtime.use_dtype(settings.dtype, [device])
    net = models.get_model(settings.model)
    try:
        infer_shapes(net, (channels, settings.edge, settings.edge))
    except ValueError as error:
        raise InputError(f"the run's settings do not fit together: {error}.") from None
    wanted = [entry_of(name, p) for name, p in named_parameters(net).items()]
    set_parameters(net, recipe.read(wanted), device)
    net.hybridize(static_alloc=True, static_shape=True)
    features, head = models.maps_and_head(net)
    field = receptive_field(features)
    features.hybridize(static_alloc=True, static_shape=True)
    maps_of = models.optimize_for_inference(features)
    for layer in net:
        layer.hybridize(False)  # `walk` calls each by itself, with images of many sizes
    preprocess = preprocessor(settings.preprocess, recipe.training_images)

    def batches(images: np.ndarray, size: Optional[int]) -> BatchLoader:
        return BatchLoader(images, np.zeros(len(images)), settings.batch_size, size, ctx=device,
                           levels=recipe.levels, preprocess=preprocess,
                           interpolation=settings.interpolation)

    def respond(images: np.ndarray) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
        for X, _ in batches(images, settings.resize):
            maps = maps_of(X)
            # NumPy would take the bits of a bfloat16 number for an integer.
            yield maps.astype("float32").asnumpy(), head(maps).astype("float32").asnumpy()

    def walk(image: np.ndarray, size: int) -> List[LayerOutput]:
        ((X, _),) = batches(image[np.newaxis], size)
        outputs = []
        for layer in net:
            X = layer(X)
            outputs.append(LayerOutput(gluon_layers(layer), X.astype("float32").asnumpy()[0]))
        return outputs

    return Built(respond, field, walk, max(smallest_input(net)))
