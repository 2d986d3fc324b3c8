"""The inference form computes what the net does."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

import nin_gluon
from nin_gluon.errors import InputError
from nin_gluon.models.inference import inference_form


def hybridized_nin():
    net = nin_gluon.nin()
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    net(nd.zeros((1, 1, 67, 67)))
    return net


@pytest.fixture
def X(garments):
    images, _ = garments("test", 6)
    return nd.image.resize(nd.array(images, dtype="uint8"), size=67).transpose((0, 3, 1, 2)) / 255.0


def operators(forward):
    """Names of the operators that the inference form consists of."""
    fused = next(cell.cell_contents for cell in forward.__closure__
                 if isinstance(cell.cell_contents, gluon.SymbolBlock))
    return [name for name in fused._cached_graph[1].get_internals().list_outputs()
            if "relu" in name or "conv" in name and name.endswith("output")]


def test_the_scores_are_the_nets(X):
    net = hybridized_nin()
    X = X.astype("float32")
    forward = inference_form(net)
    assert forward is not net
    np.testing.assert_allclose(forward(X).asnumpy(), net(X).asnumpy(), rtol=1e-5, atol=1e-7)
    # Twelve convolutions with their ReLUs have become twelve operators.
    assert len(operators(forward)) == 12


def test_after_a_training_step_a_new_one_has_the_new_parameters(X):
    net = hybridized_nin()
    X, y = X.astype("float32"), nd.arange(6)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.5})
    before = inference_form(net)(X).asnumpy()
    with autograd.record():
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(net(X), y)
    loss.backward()
    trainer.step(1)
    after = inference_form(net)(X).asnumpy()
    assert np.abs(after - before).max() > 1e-6
    np.testing.assert_allclose(after, net(X).asnumpy(), rtol=1e-5, atol=1e-7)


def test_what_is_not_hybridized_is_left_alone():
    for net in (nn.Dense(2), nn.Sequential(), gluon.nn.HybridSequential()):
        net.initialize()
        assert inference_form(net) is net


def test_a_net_that_has_seen_no_image_yet(X):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(3, 3, activation="relu"), nn.GlobalAvgPool2D(), nn.Dense(2))
    net.initialize()
    net.hybridize()
    X = X.astype("float32")
    scores = inference_form(net)(X).asnumpy()
    np.testing.assert_allclose(scores, net(X).asnumpy(), rtol=1e-5)


def test_too_small_an_image_is_named_as_by_the_net():
    with pytest.raises(InputError, match="66x66 pixels is too small"):
        inference_form(hybridized_nin())(nd.zeros((1, 1, 66, 66)))
