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
    net(nd.zeros((1, 1, 67, 67))).wait_to_read()
    return net


def sixty_four(garments):
    """Test images as the net takes them: (64, 1, 67, 67)."""
    X = nd.array(garments("test", 64)[0].transpose(0, 3, 1, 2)).astype("float32") / 255
    return nd.contrib.BilinearResize2D(X, height=67, width=67)


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
            first = layer[0](X)
            assert first.max().asscalar() > 0
            assert (layer(X) == first).min().asscalar() == 1
        X = layer(X)
    for block in (net[0], net[2], net[4]):
        weight = block[0].weight.data()
        assert weight.asnumpy().std() == pytest.approx(np.sqrt(2 / weight[0].size), rel=0.05)


def test_identity_in_the_papers_net_passes_on_the_first_channels():
    net = nin_gluon.get_model("cifar_nin")
    net.initialize(initializer("identity"))
    X = nd.random.normal(shape=(4, 3, 32, 32))
    scores = net(X).asnumpy()
    assert (scores > 0).all()  # no class lost, no opinion
    np.testing.assert_allclose(scores, scores[:, :1].repeat(10, axis=1), rtol=1e-6)
    first = net[0][0](X)
    assert first.shape[1] == 192 and net[0](X).shape[1] == 96
    np.testing.assert_array_equal(net[0](X).asnumpy(), first[:, :96].asnumpy())


def test_normal_is_the_published_one():
    weights = [p.data().asnumpy() for p in net_of("normal").collect_params(".*weight").values()]
    assert all(w.std() == pytest.approx(0.05, rel=0.2) for w in weights)
    assert weights[4].mean() == pytest.approx(0, abs=0.001)


def test_identity_starts_without_an_opinion_and_with_no_class_lost(garments):
    scores = net_of("identity")(sixty_four(garments)).asnumpy()
    assert (scores > 0).all()
    np.testing.assert_array_equal(scores, scores[:, :1].repeat(10, axis=1))
    # With random weights some classes are zero for every image: that is what it is for.
    assert (net_of("he")(sixty_four(garments)).asnumpy() == 0).all(axis=0).any()


def test_the_signal_dies_under_xavier_and_lives_under_the_others(garments):
    spread = {name: net_of(name)(sixty_four(garments)).asnumpy().std(axis=0).max()
              for name in ("xavier", "he", "identity")}
    assert spread["xavier"] < 0.005
    assert min(spread["he"], spread["identity"]) > 0.05
