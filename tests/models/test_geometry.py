"""Shapes, parameters and MACs by arithmetic, against what MXNet really computes."""

import mxnet as mx
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn

import nin_gluon
from nin_gluon.models.geometry import dense_input, layer_table, receptive_field, smallest_input


@pytest.mark.parametrize("shape", [(1, 1, 224, 224), (2, 3, 67, 90)])
def test_table_equals_what_the_net_does(shape):
    net = nin_gluon.nin()
    rows = layer_table(net, shape)
    net.initialize()
    X = nd.zeros(shape)
    for layer, row in zip(net, rows):
        X = layer(X)
        assert row.output == X.shape
        assert row.parameters == sum(p.data().size for p in layer.collect_params().values())


def test_macs_of_the_chapters_net_by_hand():
    rows = layer_table(nin_gluon.nin(), (1, 1, 224, 224))
    pixels, channels, kernels = (54, 26, 12, 5), (1, 96, 256, 384, 10), (11, 5, 3, 3)
    macs = [n * n * out * (k * k * before + 2 * out)
            for n, k, before, out in zip(pixels, kernels, channels, channels[1:])]
    assert [row.macs for row in rows if row.macs] == macs
    assert sum(row.parameters for row in rows) == 1_992_166


def test_macs_grow_with_the_batch_and_count_dense_layers():
    net = nn.HybridSequential()
    net.add(nn.Flatten(), nn.Dense(5))
    assert [row.macs for row in layer_table(net, (3, 2, 4, 4))] == [0, 3 * 32 * 5]


def test_smallest_input_is_the_smallest_that_runs():
    def runs(net, height, width):
        try:
            return 0 not in net(nd.zeros((1, 1, height, width))).shape
        except mx.base.MXNetError:
            return False

    for kernel, stride, pad in ((3, 2, 0), (5, 1, 2), (11, 4, 0), ((3, 5), (2, 1), (0, 1))):
        net = nn.HybridSequential()
        net.add(nn.Conv2D(2, kernel, stride, pad), nn.MaxPool2D(3, 2), nn.Conv2D(2, 3))
        net.initialize()
        height, width = smallest_input(net)
        assert runs(net, height, width)
        assert not runs(net, height - 1, width)
        assert not runs(net, height, width - 1)


@pytest.mark.parametrize("stride, pad", [(2, 0), (3, 0), (3, 1), (1, 0)])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_smallest_input_where_sizes_are_rounded_up(stride, pad, after):
    net = nn.HybridSequential()
    net.add(nn.MaxPool2D(3, stride, pad, ceil_mode=True), nn.Conv2D(2, after))
    net.initialize()
    smallest, _ = smallest_input(net)
    assert 0 not in net(nd.zeros((1, 1, smallest, smallest))).shape
    with pytest.raises(mx.base.MXNetError):
        net(nd.zeros((1, 1, smallest - 1, smallest - 1)))


@pytest.mark.parametrize("size", [7, 8, 9, 10, 15])
def test_what_a_dense_layer_gets(size):
    """Of whatever lies before it."""
    for layers in ([nn.Conv2D(4, 3, 2, 1), nn.AvgPool2D(3, 2, ceil_mode=True), nn.Dense(2)],
                   [nn.Conv2D(4, 3, dilation=2), nn.Flatten(), nn.Dropout(0.5), nn.Dense(2)],
                   [nn.Flatten(), nn.Dense(2), nn.Dense(3)], [nn.GlobalMaxPool2D(), nn.Dense(2)]):
        net = nn.HybridSequential()
        net.add(*layers)
        net.initialize()
        shape = (2, 3, size, size + 1)
        found, wanted = dense_input(net, shape)
        assert wanted == 0
        net(nd.zeros(shape))
        assert dense_input(net, shape) == (found, found)
    net.add(nn.Dense(2, flatten=False))
    assert dense_input(net[:1], shape) is None
    assert dense_input(net[2:], (2, 3, 4, 5)) is None  # it takes the last axis alone


def test_the_receptive_field_is_where_the_gradient_comes_from():
    net = nn.HybridSequential()
    net.add(nn.Conv2D(2, (5, 3), (2, 1), (1, 0)), nn.AvgPool2D(3, 2), nn.Conv2D(1, 3, 1, 1),
            nn.Conv2D(1, 1, activation="relu"))
    net.initialize(mx.init.One())
    X = nd.ones((1, 1, 61, 40))
    X.attach_grad()
    with autograd.record():
        maps = net(X)
        middle = maps[0, 0, 5, 8]
    middle.backward()
    touched = X.grad[0, 0].asnumpy().nonzero()
    for pixels, place, (centre, step, seen) in zip(touched, (5, 8), receptive_field(net)):
        assert pixels.max() + 1 - pixels.min() == seen
        assert (pixels.min() + pixels.max() + 1) / 2 == centre + step * place
    assert receptive_field(nin_gluon.nin()[:8]) == [(33.5, 32, 195)] * 2
