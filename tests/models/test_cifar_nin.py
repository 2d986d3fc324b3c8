"""The paper's net and the three heads."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn

import nin_gluon
from nin_gluon import InputError, get_model
from nin_gluon.models import MODELS, maps_and_head
from nin_gluon.models.geometry import layer_table, smallest_input

SIZES = {"nin": (1, 67), "mlpconv_nin": (1, 67), "cifar_nin": (3, 32), "nin_variant": (1, 67)}


def initialized(name, **options):
    """A net with random parameters, biases too, and a batch for it."""
    net = get_model(name, **options)
    net.initialize(mx.init.MSRAPrelu(slope=0))
    channels, size = SIZES[name]
    X = nd.random.uniform(shape=(3, channels, size, size))
    net(X)
    for bias in net.collect_params(".*bias").values():
        bias.set_data(nd.random.uniform(0, 0.1, shape=bias.shape))
    return net, X


def parameters(net):
    return sum(p.data().size for p in net.collect_params().values())


def test_parameter_count_and_shapes_are_the_published_ones():
    net, X = initialized("cifar_nin")
    assert parameters(net) == 966_986
    shapes = []
    for layer in net:
        X = layer(X)
        shapes.append(X.shape[1:])
    assert shapes == [(96, 32, 32), (96, 16, 16), (96, 16, 16), (192, 16, 16), (192, 8, 8),
                      (192, 8, 8), (10, 8, 8), (10, 1, 1), (10,)]
    channels = [conv.weight.shape[0] for block in (net[0], net[3], net[6]) for conv in block]
    assert channels == [192, 160, 96, 192, 192, 192, 192, 192, 10]
    assert isinstance(net[1], nn.MaxPool2D) and isinstance(net[4], nn.AvgPool2D)


@pytest.mark.parametrize("head, extra", [("gap", 0), ("fc", 640 * 10 + 10),
                                         ("fc_dropout", 640 * 10 + 10)])
def test_the_heads(head, extra):
    net, X = initialized("cifar_nin", head=head)
    assert parameters(net) == 966_986 + extra
    rows = layer_table(net, X.shape)
    assert sum(row.parameters for row in rows) == parameters(net)
    for layer, row in zip(net, rows):
        X = layer(X)
        assert row.output == X.shape


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", ["gap", "fc", "fc_dropout"])
def test_the_head_is_all_that_the_heads_differ_in(name, head):
    net, X = initialized(name, head=head, classes=4)
    scores = net(X)
    assert scores.shape == (3, 4)
    maps, rest = maps_and_head(net)
    Y = maps(X)
    assert Y.shape[:2] == (3, 4) and Y.ndim == 4 and Y.min().asscalar() == 0
    np.testing.assert_array_equal(rest(Y).asnumpy(), scores.asnumpy())
    plain, _ = maps_and_head(get_model(name, classes=4))
    kinds = [list(map(type, chain)) for chain in (maps, plain)]
    assert kinds[0] == kinds[1]
    wanted = {"gap": [nn.GlobalAvgPool2D, nn.Flatten], "fc": [nn.Flatten, nn.Dense],
              "fc_dropout": [nn.Flatten, nn.Dropout, nn.Dense]}[head]
    assert list(map(type, rest)) == wanted
    net.hybridize()  # the parts of a hybridized net are as good
    np.testing.assert_allclose(rest(maps(X)).asnumpy(), net(X).asnumpy(), rtol=1e-5)


@pytest.mark.parametrize("head", ["gap", "fc", "fc_dropout"])
@pytest.mark.parametrize("size", [28, 32, 6, 33])
def test_pytorch_computes_the_same(head, size):
    """Among other things its poolings round up, and average at the border, as ours do."""
    torch = pytest.importorskip("torch")
    net = get_model("cifar_nin", head=head)
    net.initialize(mx.init.MSRAPrelu(slope=0))
    X = nd.random.uniform(shape=(2, 3, size, size))
    scores = net(X).asnumpy()
    theirs = nin_gluon.to_torch(net)
    np.testing.assert_allclose(theirs(torch.tensor(X.asnumpy())).detach().numpy(), scores,
                               rtol=1e-4, atol=1e-6)
    assert np.abs(scores).max() > 0


def test_dropout_before_the_dense_layer_and_nowhere_else():
    net, X = initialized("cifar_nin", head="fc_dropout", dropout=0)
    with autograd.train_mode():
        assert not np.array_equal(net(X).asnumpy(), net(X).asnumpy())
    net, X = initialized("cifar_nin", head="fc", dropout=0)
    with autograd.train_mode():
        assert np.array_equal(net(X).asnumpy(), net(X).asnumpy())


def test_garments_and_small_images():
    net = get_model("cifar_nin")
    net.initialize()
    assert net(nd.zeros((2, 1, 28, 28))).shape == (2, 10)
    assert smallest_input(net) == (6, 6)
    assert net(nd.zeros((2, 1, 6, 7))).shape == (2, 10)
    with pytest.raises(InputError, match="5x6 pixels is too small for this net.*6x6"):
        net(nd.zeros((1, 1, 5, 6)))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("hybridize", [True, False])
def test_a_dense_layer_fixes_the_size_of_the_images(name, hybridize):
    net, X = initialized(name, head="fc")
    if hybridize:
        net.hybridize()
    channels, size = SIZES[name]
    with pytest.raises(InputError, match="200x204 pixels gives the dense layer of this net"):
        net(nd.zeros((1, channels, 200, 204)))
    assert net(X[:1]).shape == (1, 10)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("options, complaint", [
    ("head=foo", "unknown head 'foo'; the heads are: gap, fc, fc_dropout"),
    ("head", "unknown head ''"),
    ("dropout=2", "dropout is 2.0; it is a share from 0 to below 1"),
    ("dropout=nan", "dropout is nan"),
    ("dropout=-0.1", "dropout is -0.1"),
    ("classes=0", "classes is 0; it is a whole number from 1"),
])
def test_options_that_cannot_be(name, options, complaint):
    with pytest.raises(InputError, match=complaint):
        get_model(f"{name},{options}")
