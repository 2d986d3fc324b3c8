"""A trained net computed by PyTorch; see `nin_gluon.analysis.trained_net`."""

from typing import Iterator, List, Optional, Tuple

import numpy as np
import torch

from nin_gluon.analysis.net_recipe import Built, LayerOutput, Recipe
from nin_gluon.array_files import Entry
from nin_gluon.data.torch_loader import BatchLoader
from nin_gluon.data.torch_preprocess import preprocessor
from nin_gluon.exports.layers import torch_layers
from nin_gluon.runtime.torch_device import parse_device
from nin_gluon.runtime.torch_precision import arithmetic, check_dtype, use_dtype
from nin_gluon.torch_models import nets
from nin_gluon.training.torch_engine import fill

__all__ = ["build"]


def build(recipe: Recipe, ctx: str) -> Built:
    """Build a trained net."""
    settings, (_, _, channels) = recipe.settings, recipe.shape
    device = parse_device(ctx.split(",")[0])
    check_dtype(settings.dtype, device)
    use_dtype(settings.dtype)
    net = nets.known_net(settings.model, channels, settings.edge).eval()
    wanted = [Entry(name, tuple(p.shape), np.dtype(np.float32))
              for name, p in net.named_parameters()]
    fill(list(net.parameters()), recipe.read(wanted))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    features, head = nets.maps_and_head(net)
    preprocess = preprocessor(settings.preprocess, recipe.training_images)

    def batches(images: np.ndarray, size: Optional[int]) -> BatchLoader:
        return BatchLoader(images, np.zeros(len(images)), settings.batch_size, size,
                           device=device, levels=recipe.levels, preprocess=preprocess,
                           interpolation=settings.interpolation)

    def respond(images: np.ndarray) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
        for X, _ in batches(images, settings.resize):
            with torch.no_grad(), arithmetic(settings.dtype, device):
                maps = features(X)
                scores = head(maps)
            yield maps.float().cpu().numpy(), scores.float().cpu().numpy()

    def walk(image: np.ndarray, size: int) -> List[LayerOutput]:
        ((X, _),) = batches(image[np.newaxis], size)
        outputs = []
        with torch.no_grad(), arithmetic(settings.dtype, device):
            for layer in net:
                X = layer(X)
                outputs.append(LayerOutput(torch_layers(layer), X[0].float().cpu().numpy()))
        return outputs

    return Built(respond, nets.receptive_field(features), walk, nets.smallest_input(net))
