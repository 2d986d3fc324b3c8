"""The PyTorch edition's net and its initialization."""

import numpy as np
import pytest

from nin_gluon.experiments import published

torch = pytest.importorskip("torch")

from nin_gluon.torch_edition import net  # noqa: E402


def test_walking_the_layers_gives_the_published_shapes():
    X, shapes = torch.rand(1, 1, 224, 224), []
    for layer in net.nin():
        X = layer(X)
        shapes.append((type(layer).__name__, tuple(X.shape)))
    assert tuple(shapes) == published.PYTORCH_SHAPES


def test_the_net_has_the_gluon_nets_parameters():
    assert sum(p.numel() for p in net.nin().parameters()) == 1_992_166
    assert net.nin(7, in_channels=3)(torch.rand(2, 3, 70, 80)).shape == (2, 7)


def test_the_smallest_input():
    net.nin()(torch.zeros(1, 1, net.SMALLEST_INPUT, net.SMALLEST_INPUT))
    with pytest.raises(RuntimeError):
        net.nin()(torch.zeros(1, 1, net.SMALLEST_INPUT - 1, net.SMALLEST_INPUT))


def test_initialization_is_xavier_for_weights_and_pytorchs_for_biases():
    module = torch.nn.Sequential(net.nin_block(8, 64, 5, 1, 2), torch.nn.Linear(64, 32))
    before = [layer.bias.clone() for layer in module.modules() if hasattr(layer, "bias")]
    net.init_weights(module)
    layers = [layer for layer in module.modules() if hasattr(layer, "bias")]
    assert len(layers) == 4
    for layer, bias in zip(layers, before):
        out, channels, *window = layer.weight.shape
        pixels = np.prod(window, dtype=int)
        bound = (6 / ((out + channels) * pixels)) ** 0.5
        assert 0.97 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert torch.equal(layer.bias, bias)
        assert 0 < layer.bias.abs().max() <= (channels * pixels) ** -0.5
