"""The optimized functions compute what the net computes."""

from itertools import product

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

import nin_gluon
from nin_gluon import runtime
from nin_gluon.errors import InputError
from nin_gluon.models.cpu_optimization import optimize_for_inference, optimize_for_training


def hybridized_nin():
    net = nin_gluon.nin()
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    net(nd.zeros((1, 1, 67, 67))).wait_to_read()
    return net


@pytest.fixture
def X(garments):
    images, _ = garments("test", 6)
    return nd.image.resize(nd.array(images, dtype="uint8"), size=67).transpose((0, 3, 1, 2)) / 255.0


def operators(forward):
    """Names of the operators that the function for inference consists of."""
    fused = next(cell.cell_contents for cell in forward.__closure__
                 if isinstance(cell.cell_contents, gluon.SymbolBlock))
    return [name for name in fused._cached_graph[1].get_internals().list_outputs()
            if "relu" in name or "conv" in name and name.endswith("output")]


def test_the_scores_are_the_nets(X):
    net = hybridized_nin()
    X = X.astype("float32")
    forward = optimize_for_inference(net)
    assert forward is not net
    np.testing.assert_allclose(forward(X).asnumpy(), net(X).asnumpy(), rtol=1e-5, atol=1e-7)
    # Twelve convolutions with their ReLUs have become twelve operators.
    assert len(operators(forward)) == 12


def test_after_a_training_step_a_new_function_has_the_new_parameters(X):
    net = hybridized_nin()
    X, y = X.astype("float32"), nd.arange(6)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.5})
    before = optimize_for_inference(net)(X).asnumpy()
    with autograd.record():
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(net(X), y)
    loss.backward()
    trainer.step(1)
    after = optimize_for_inference(net)(X).asnumpy()
    assert np.abs(after - before).max() > 1e-6
    np.testing.assert_allclose(after, net(X).asnumpy(), rtol=1e-5, atol=1e-7)


def test_what_is_not_hybridized_is_left_alone():
    for net in (nn.Dense(2), nn.Sequential(), gluon.nn.HybridSequential()):
        net.initialize()
        assert optimize_for_inference(net) is net
        assert optimize_for_training(net) is net


def test_what_no_symbol_stands_for_is_left_alone(X):
    class Checked(nn.HybridSequential):
        def forward(self, x):
            assert x.shape[1] == 1  # a symbol has no shape
            return super().forward(x)

    for build, dtype in ((Checked, "float32"), (nn.HybridSequential, "float64")):
        net = build()
        net.add(nn.Conv2D(3, 3, activation="relu"), nn.GlobalAvgPool2D(), nn.Dense(2))
        net.cast(dtype)
        net.initialize()
        net.hybridize()
        assert optimize_for_inference(net)(X.astype(dtype)).shape == (6, 2)
        assert optimize_for_training(net)(X.astype(dtype)).shape == (6, 2)


@pytest.mark.parametrize("layer, shape", [
    (lambda: nn.Dense(8, activation="relu"), (3, 40)),
    (lambda: nn.Conv1D(8, 5, 2, activation="relu"), (3, 1, 40)),
    (lambda: nn.Conv3D(8, 5, 2, activation="relu"), (3, 1, 9, 9, 9)),
])
def test_nets_for_other_data_than_images_train_as_before(layer, shape):
    net = nn.HybridSequential()
    net.add(layer(), nn.Dense(2))
    net.initialize()
    net.hybridize()
    X = nd.random.uniform(shape=shape)
    assert np.array_equal(optimize_for_training(net)(X).asnumpy(), net(X).asnumpy())


def test_a_net_that_has_seen_no_image_yet(X):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(3, 3, activation="relu"), nn.GlobalAvgPool2D(), nn.Dense(2))
    net.initialize()
    net.hybridize()
    X = X.astype("float32")
    scores = optimize_for_inference(net)(X).asnumpy()
    np.testing.assert_allclose(scores, net(X).asnumpy(), rtol=1e-5)


def test_too_small_an_image_is_named_as_by_the_net():
    with pytest.raises(InputError, match="66x66 pixels is too small"):
        optimize_for_inference(hybridized_nin())(nd.zeros((1, 1, 66, 66)))


def gradients(forward, net, X):
    """Scores of `forward`, and the gradients of all parameters of `net` for one loss."""
    mx.random.seed(1)
    with autograd.record():
        scores = forward(X)
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(scores, nd.arange(len(X)))
    loss.backward()
    return scores.asnumpy(), [p.grad().asnumpy().copy() for p in net.collect_params().values()]


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("build, size", [
    *product(["chapter", "no bias"], [67, 68, 70, 97, 112, 224]), ("colour", 67), ("colour", 97)])
def test_the_function_for_training_has_the_nets_scores_and_gradients(monkeypatch, size, build, amx):
    if amx:  # the same channels as with AMX, but computed in float32, which is exact up to rounding
        monkeypatch.setattr(runtime, "precision", lambda: "bfloat16")
        monkeypatch.setattr(runtime, "cpu_flags", lambda: {"amx_bf16"})
    if build == "no bias":
        net = nn.HybridSequential()
        net.add(nn.Conv2D(8, 7, 3, use_bias=False, activation="relu"), nn.MaxPool2D(2, 2),
                nn.Conv2D(16, 3), nn.Conv2D(6, 3, use_bias=False), nn.GlobalAvgPool2D(),
                nn.Flatten())
    else:
        net = nin_gluon.nin()
    mx.random.seed(0)
    net.initialize(mx.init.Uniform(0.02))
    net.hybridize(static_alloc=True, static_shape=True)
    # Noise, so that no two values are equal: net and function might pick different ones as largest.
    X = nd.random.uniform(shape=(2, 2 if build == "colour" else 1, size, size))
    net(X)
    # Weights above zero: no ReLU hides a difference, and no gradients cancel to nothing.
    for weight in net.collect_params(".*weight").values():
        weight.set_data(weight.data().abs())
    training = optimize_for_training(net)
    assert training is not net
    wanted_scores, wanted = gradients(net, net, X)
    scores, got = gradients(training, net, X)
    np.testing.assert_allclose(scores, wanted_scores, rtol=1e-4, atol=1e-6)
    assert any(np.abs(gradient).max() > 0 for gradient in wanted)
    for ours, gluons in zip(got, wanted):
        np.testing.assert_allclose(ours, gluons, rtol=1e-3, atol=1e-4 * np.abs(gluons).max())


@pytest.mark.parametrize("head", ["gap", "fc", "fc_dropout"])
@pytest.mark.parametrize("size", [32, 28])
def test_the_papers_net(size, head):
    net = nin_gluon.get_model("cifar_nin", head=head, classes=5)
    net.initialize(mx.init.MSRAPrelu(slope=0))
    net.hybridize(static_alloc=True, static_shape=True)
    X = nd.random.uniform(shape=(2, 3, size, size))
    inference = optimize_for_inference(net)
    net(X)
    for weight in net.collect_params(".*weight").values():
        weight.set_data(weight.data().abs())
    inference = optimize_for_inference(net)
    assert inference is not net
    np.testing.assert_allclose(inference(X).asnumpy(), net(X).asnumpy(), rtol=1e-4)
    training = optimize_for_training(net)
    assert training is not net
    wanted_scores, wanted = gradients(net, net, X)
    scores, got = gradients(training, net, X)
    np.testing.assert_allclose(scores, wanted_scores, rtol=1e-4)
    for ours, gluons in zip(got, wanted):
        assert np.abs(gluons).max() > 0
        np.testing.assert_allclose(ours, gluons, rtol=1e-3, atol=1e-4 * np.abs(gluons).max())
    if head != "gap":
        for forward in (net, inference, training):
            with pytest.raises(InputError, match="36x40 pixels gives the dense layer"):
                forward(nd.zeros((1, 3, 36, 40)))


def test_training_a_net_that_has_seen_no_image_yet(tmp_path):
    net = nin_gluon.nin()
    net.initialize()
    net.hybridize()
    X = nd.ones((2, 1, 67, 67))
    gradients(optimize_for_training(net), net, X)
    net.export(str(tmp_path / "model"))
    np.testing.assert_allclose(
        gluon.SymbolBlock.imports(str(tmp_path / "model-symbol.json"), ["data"],
                                  str(tmp_path / "model-0000.params"))(X).asnumpy(),
        net(X).asnumpy(), rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match="66x70 pixels is too small"):
        optimize_for_training(net)(nd.zeros((1, 1, 66, 70)))


def test_blocks_that_are_no_chain_are_not_looked_into():
    class Residual(nn.HybridBlock):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2D(1, 3, padding=1, activation="relu")

        def hybrid_forward(self, F, x):
            return x + self.conv(x)

    net = nn.HybridSequential()
    net.add(Residual(), nn.MaxPool2D(2, 2), nn.Flatten(), nn.Dense(3))
    net.initialize()
    net.hybridize()
    X = nd.random.uniform(shape=(2, 1, 8, 8))
    net(X)
    wanted_scores, wanted = gradients(net, net, X)
    scores, got = gradients(optimize_for_training(net), net, X)
    assert np.array_equal(scores, wanted_scores)
    for ours, gluons in zip(got, wanted):
        assert np.array_equal(ours, gluons)
