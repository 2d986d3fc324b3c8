"""Initializations: what they draw, and what becomes of the signal."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

import nin_gluon
from nin_gluon.models import initializer


def net_of(name):
    net = nin_gluon.nin()
    net.initialize(initializer(name))
    net(nd.zeros((1, 1, 67, 67)))
    return net


def weights(net):
    return [p.data().asnumpy() for n, p in net.collect_params().items() if n.endswith("weight")]


def test_xavier_is_gluons_default():
    limit = [np.sqrt(3 / ((w.shape[0] + w.shape[1]) / 2 * w[0, 0].size)) for w in
             weights(net_of("xavier"))]
    for w, bound in zip(weights(net_of("xavier")), limit):
        assert np.abs(w).max() <= bound * 1.0001
        assert w.std() == pytest.approx(bound / np.sqrt(3), rel=0.2)
    assert isinstance(initializer("xavier"), mx.init.Xavier)


def test_he_has_the_variance_that_relu_halves():
    for w in weights(net_of("he"))[:-2]:  # the last two have 100 values, too few to measure
        assert w.std() == pytest.approx(np.sqrt(2 / w[0].size), rel=0.05)


def test_identity_passes_the_signal_through_every_1x1_convolution():
    net = net_of("identity")
    X = nd.random.uniform(shape=(2, 1, 67, 67))
    for layer in net:
        if len(layer._children) == 3:  # a block
            first, second, third = layer
            after_first = first(X)
            assert after_first.max().asscalar() > 0
            assert (layer(X) == after_first).min().asscalar() == 1
            assert first.weight.data().asnumpy().std() == pytest.approx(
                np.sqrt(2 / first.weight.data()[0].size), rel=0.05)
        X = layer(X)


def test_the_signal_dies_under_xavier_and_lives_under_the_others(garments):
    images, _ = garments("test", 64)
    X = nd.array(images.transpose(0, 3, 1, 2)).astype("float32") / 255
    X = nd.contrib.BilinearResize2D(X, height=67, width=67)
    spread = {name: net_of(name)(X).asnumpy().std(axis=0).max()
              for name in ("xavier", "he", "identity")}
    assert spread["xavier"] < 0.005
    assert min(spread["he"], spread["identity"]) > 0.05
