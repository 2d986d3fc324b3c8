"""A net's parameters: names and shapes are settled before a file is opened, and decide on it."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn

from nin_gluon import InputError, models
from nin_gluon.training.checkpoint import net_parameters
from nin_gluon.training.saved_parameters import read_in_net_order
from tests.fuzz.cases import survives


def make(units=10):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3), nn.BatchNorm(), nn.Dense(units))
    return net


@pytest.fixture
def exported(tmp_path):
    """A net that has seen an image, and the file that ``export`` wrote of it."""
    net = make()
    net.initialize(mx.init.Xavier())
    net.hybridize()
    net(nd.ones((1, 2, 8, 8))).wait_to_read()
    net.export(str(tmp_path / "model"), 3)
    return net, tmp_path / "model-0003.params"


def read_exported(path, net):
    """The parameters in an exported file, if they are those of a net."""
    return read_in_net_order(path, [net_parameters.entry_of(name, p) for name, p in
                                    net_parameters.named_parameters(net).items()])


def empty_net(units=10):
    net = make(units)
    net_parameters.infer_shapes(net, (2, 8, 8))
    return net


@pytest.mark.parametrize("model, image", [("nin", (1, 96, 96)), ("nin,head=fc", (1, 96, 96)),
                                          ("cifar_nin", (3, 32, 32)), ("mlpconv_nin", (1, 96, 96))])
def test_shapes_are_those_after_a_forward_pass(model, image):
    net, other = models.get_model(model), models.get_model(model)
    net_parameters.infer_shapes(net, image)
    other.initialize()
    other(nd.zeros((1, *image)))
    mine, theirs = ([p.shape for p in n.collect_params().values()] for n in (net, other))
    assert mine == theirs
    assert [n.split(".")[0] for n in net_parameters.named_parameters(net)] == [
        f"{i:03d}" for i in range(len(mine))]


def test_images_that_a_net_cannot_take():
    for image in ((1, 2, 2), (1, 0, 0)):
        with pytest.raises(ValueError, match="cannot take images of"):
            net_parameters.infer_shapes(models.get_model("nin"), image)


def test_names_do_not_depend_on_what_was_built_before():
    first = list(net_parameters.named_parameters(empty_net()))
    assert first == list(net_parameters.named_parameters(empty_net()))
    assert first == ["000.weight", "001.bias", "002.gamma", "003.beta", "004.mean", "005.var",
                     "006.weight", "007.bias"]


def test_an_exported_net_is_read_as_gluon_reads_it(exported):
    net, path = exported
    mine = empty_net()
    net_parameters.set_parameters(mine, read_exported(path, mine), mx.cpu())
    for parameter, expected in zip(mine.collect_params().values(), net.collect_params().values()):
        np.testing.assert_array_equal(parameter.data().asnumpy(), expected.data().asnumpy())
    X = nd.random.uniform(shape=(2, 2, 8, 8))
    np.testing.assert_array_equal(mine(X).asnumpy(), net(X).asnumpy())


def test_another_nets_export_is_refused(exported):
    with pytest.raises(ValueError, match=r"weight is not of the net's shape and type, \(11, 144\)"):
        read_exported(exported[1], empty_net(11))
    nd.save(str(exported[1]), {"arg:w": nd.zeros((2, 2))})
    with pytest.raises(ValueError, match=r"model-0003\.params: 1 arrays instead of 8"):
        read_exported(exported[1], empty_net())


def test_little_memory_is_taken_whatever_the_file_claims(tmp_path):
    """Four times the parameters at most, by a net of the size that is trained."""
    net = models.get_model("cifar_nin")
    net_parameters.infer_shapes(net, (1, 28, 28))
    arrays = [nd.ones(p.shape) for p in net.collect_params().values()]
    size = sum(a.size * 4 for a in arrays)
    named = {f"arg:{name}": a for name, a in zip(net.collect_params(), arrays)}
    path = tmp_path / "model-0001.params"

    def read():
        try:
            read_exported(path, net)
        except ValueError as error:
            raise InputError(str(error)) from None

    nd.save(str(path), named)
    assert survives(read, 4 * size)
    nd.save(str(path), {**named, "arg:more_weight": nd.ones((2000, 2000))})
    assert not survives(read, 4 * size)
    with open(path, "ab") as file:
        file.truncate(2**40)
    assert not survives(read, 2**20)
