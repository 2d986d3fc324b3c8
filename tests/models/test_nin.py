"""The chapter's net against what the book prints, and against PyTorch-free arithmetic."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn

import nin_gluon
from nin_gluon import InputError
from nin_gluon.experiments import published


@pytest.fixture
def net():
    net = nin_gluon.nin()
    net.initialize(mx.init.MSRAPrelu(slope=0))
    return net


def test_walking_the_layers_gives_the_published_shapes(net):
    X = nd.random.uniform(shape=(1, 1, 224, 224))
    shapes = []
    for layer in net:
        X = layer(X)
        shapes.append(X.shape)
    assert shapes == [shape for _, shape in published.SHAPES]


def test_parameter_count(net):
    net(nd.zeros((1, 1, 67, 67)))
    assert sum(p.data().size for p in net.collect_params().values()) == 1_992_166


def test_it_is_hybrid_throughout(net):
    def walk(block):
        yield block
        for child in block._children.values():
            yield from walk(child)

    assert isinstance(net, nn.HybridSequential)
    assert all(isinstance(block, mx.gluon.HybridBlock) for block in walk(net))
    assert isinstance(net[8], nn.GlobalAvgPool2D)


def test_hybridized_equals_imperative(net):
    X = nd.random.uniform(shape=(2, 1, 80, 80))
    imperative = net(X).asnumpy()
    net.hybridize(static_alloc=True, static_shape=True)
    np.testing.assert_array_equal(net(X).asnumpy(), imperative)


def test_nin_block_is_three_convolutions_with_relu():
    block = nin_gluon.nin_block(6, kernel_size=5, strides=2, padding=1)
    block.initialize(mx.init.Normal(0.5))
    X = nd.random.normal(shape=(2, 3, 11, 11))
    assert block(X).shape == (2, 6, 5, 5)
    Y = X
    for conv, (kernel, stride, pad) in zip(block, [(5, 2, 1), (1, 1, 0), (1, 1, 0)]):
        assert isinstance(conv, nn.Conv2D)
        Y = nd.relu(nd.Convolution(Y, conv.weight.data(), conv.bias.data(), num_filter=6,
                                   kernel=(kernel,) * 2, stride=(stride,) * 2, pad=(pad,) * 2))
    np.testing.assert_allclose(block(X).asnumpy(), Y.asnumpy(), rtol=1e-5, atol=1e-6)
    assert [conv.weight.shape for conv in block] == [(6, 3, 5, 5), (6, 6, 1, 1), (6, 6, 1, 1)]
    assert block(X).min().asscalar() == 0


def test_a_1x1_convolution_is_a_dense_layer_at_every_pixel():
    conv, dense = nn.Conv2D(4, kernel_size=1), nn.Dense(4, flatten=False)
    X = nd.random.normal(shape=(2, 3, 5, 6))
    conv.initialize(mx.init.Normal(1))
    dense.initialize()
    pixels = X.transpose((0, 2, 3, 1))
    wanted = conv(X).transpose((0, 2, 3, 1)).asnumpy()
    dense(pixels)
    dense.weight.set_data(conv.weight.data().reshape((4, 3)))
    dense.bias.set_data(conv.bias.data())
    np.testing.assert_allclose(dense(pixels).asnumpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hybridize", [False, True])
def test_the_smallest_input_works_and_a_smaller_one_is_named(net, hybridize):
    if hybridize:
        net.hybridize()
    assert net(nd.zeros((1, 1, 67, 67))).shape == (1, 10)
    assert net(nd.zeros((3, 1, 71, 103))).shape == (3, 10)
    for size in ((66, 67), (67, 66), (28, 28)):
        with pytest.raises(InputError, match=r"too small.*67x67"):
            net(nd.zeros((1, 1, *size)))


def test_other_numbers_of_classes_and_channels():
    net = nin_gluon.nin(classes=7)
    net.initialize()
    assert net(nd.zeros((2, 3, 70, 70))).shape == (2, 7)


def test_unknown_models_list_the_known_ones():
    assert len(nin_gluon.get_model("nin", classes=3)) == 10
    with pytest.raises(InputError, match="'nine'.*nin"):
        nin_gluon.get_model("nine")


def test_options_after_the_name():
    """As the commands take them: nin,classes=3."""
    net = nin_gluon.get_model("nin,classes=3, dropout=0.25")
    assert net[7][0]._kwargs["num_filter"] == 3
    assert net[6]._rate == 0.25
    for name, complaint in [("nin,colour=3", "no option 'colour'; it has: classes, dropout, head"),
                            ("nin,classes", "no int"), ("nin,classes=ten", "no int"),
                            ("nin,dropout=half", "no float"), ("nin,", "no option ''")]:
        with pytest.raises(InputError, match=complaint):
            nin_gluon.get_model(name)
    assert nin_gluon.get_model("nin, dropout = 0.25", dropout=0.1)[6]._rate == 0.1
    for options, complaint in [({"depth": 3}, "no option 'depth'"), ({"classes": 2.5}, "2.5"),
                               ({"dropout": "0.2"}, "'0.2'"), ({"classes": 10**12}, "whole number"),
                               ({"head": None}, "unknown head")]:
        with pytest.raises(InputError, match=complaint):
            nin_gluon.get_model("nin", **options)
