"""A trained net computed by MXNet Gluon; see `nin_gluon.analysis.trained_net`."""

from typing import Iterator, Tuple

import numpy as np

from nin_gluon import models, runtime
from nin_gluon.analysis.net_recipe import Field, Recipe, Responses
from nin_gluon.data.loader import BatchLoader
from nin_gluon.data.preprocess import preprocessor
from nin_gluon.errors import InputError
from nin_gluon.models.geometry import receptive_field
from nin_gluon.training.checkpoint.net_parameters import (
    entry_of,
    infer_shapes,
    named_parameters,
    set_parameters,
)

__all__ = ["build"]


def build(recipe: Recipe, ctx: str) -> Tuple[Responses, Field]:
    """The responses of a net, and where its maps' squares lie."""
    settings, (_, _, channels) = recipe.settings, recipe.shape
    device = runtime.parse_ctx(ctx)[0]
    runtime.use_dtype(settings.dtype, [device])
    net = models.get_model(settings.model)
    try:
        infer_shapes(net, (channels, int(settings.resize or 0), int(settings.resize or 0)))
    except ValueError as error:
        raise InputError(f"the run's settings do not fit together: {error}.") from None
    wanted = [entry_of(name, p) for name, p in named_parameters(net).items()]
    set_parameters(net, recipe.read(wanted), device)
    net.hybridize(static_alloc=True, static_shape=True)
    features, head = models.maps_and_head(net)
    field = receptive_field(features)
    features.hybridize(static_alloc=True, static_shape=True)
    maps_of = models.optimize_for_inference(features)
    preprocess = preprocessor(settings.preprocess, recipe.training_images)

    def respond(images: np.ndarray) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
        loader = BatchLoader(images, np.zeros(len(images)), settings.batch_size, settings.resize,
                             ctx=device, levels=recipe.levels, preprocess=preprocess,
                             interpolation=settings.interpolation)
        for X, _ in loader:
            maps = maps_of(X)
            # NumPy would take the bits of a bfloat16 number for an integer.
            yield maps.astype("float32").asnumpy(), head(maps).astype("float32").asnumpy()

    return respond, field
