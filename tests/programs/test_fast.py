"""``--fast``: ours in the place of d2lzh's functions, and the same numbers come out."""

import types

import d2lzh
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from benchmarks.book_nets import NETS, Inception, chain, nin
from nin_gluon.data.loader import BatchLoader
from nin_gluon.programs import fast
from nin_gluon.programs.fast_nets import FastNet, Graph, steps_of
from nin_gluon.training.history import parse_log

QUICK = {"LeNet": 28, "NiN": 67, "GoogLeNet": 32, "DenseNet": 32}  # net: size of the images


def train(train_ch5, name, size, batches, epochs, capsys, batch):
    """Train a net of the book from seed 5; log without times, parameters."""
    mx.random.seed(5)
    np.random.seed(5)
    book = NETS[name]
    net = book.build()
    net.initialize(mx.init.Xavier())  # the shapes, so the values too, are left to the first batch
    train_iter, test_iter = batches(batch, size)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": book.lr})
    returned = train_ch5(net, train_iter, test_iter, batch, trainer, mx.cpu(), epochs)
    assert returned is None  # or else a notebook would show it
    log = [line.split(", time")[0] for line in capsys.readouterr().out.splitlines()]
    return log, [p.data().asnumpy() for p in net.collect_params().values()]


def few(garments, images):
    def batches(batch, size):
        return (BatchLoader(*garments("train", images), batch, resize=size, shuffle=True),
                BatchLoader(*garments("test", images // 2), batch, resize=size))

    return batches


def assert_same(theirs, ours, epochs):
    assert len(theirs[0]) == epochs + 1
    assert theirs[0] == ours[0]
    for his, mine in zip(theirs[1], ours[1]):
        np.testing.assert_array_equal(mine, his)


@pytest.mark.parametrize("name", QUICK)
def test_the_log_and_the_parameters_are_d2lzhs_to_the_bit(name, garments, capsys):
    data = few(garments, 20)  # three batches to train, two to evaluate, the last of them smaller
    theirs = train(d2lzh.train_ch5, name, QUICK[name], data, 2, capsys, batch=8)
    ours = train(fast.train_ch5, name, QUICK[name], data, 2, capsys, batch=8)
    assert_same(theirs, ours, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_two_steps_at_the_published_size(name, garments, capsys):
    """In smaller batches where the book's take too much memory: ResNet-18's of 256, 20 GB."""
    book = NETS[name]
    batch = min(book.batch, 64)
    data = few(garments, 2 * batch)
    theirs = train(d2lzh.train_ch5, name, book.size, data, 1, capsys, batch)
    ours = train(fast.train_ch5, name, book.size, data, 1, capsys, batch)
    assert_same(theirs, ours, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_an_epoch_of_a_few_hundred_images(name, garments, capsys):
    """In small batches, so there are more steps and more roundings that could differ."""
    data = few(garments, 320)
    theirs = train(d2lzh.train_ch5, name, NETS[name].size, data, 1, capsys, batch=32)
    ours = train(fast.train_ch5, name, NETS[name].size, data, 1, capsys, batch=32)
    assert_same(theirs, ours, 1)


def test_a_deferred_net_is_drawn_in_d2lzhs_order(garments):
    """Layer by layer, dropout masks between them; after that it runs as a graph."""
    X = nd.array(garments("train", 8)[0].transpose(0, 3, 1, 2) / 255)
    outputs = []
    for make in (lambda net: net, FastNet):
        mx.random.seed(1)
        net = chain(nn.Dense(16, activation="relu"), nn.Dropout(0.5), nn.Dense(10))
        net.initialize(mx.init.Xavier())
        compute = make(net)
        with autograd.record():
            outputs.append([compute(X).asnumpy() for _ in range(3)])
    np.testing.assert_array_equal(*outputs)


def test_the_users_net_stays_what_it_was():
    net = nin()
    net.initialize()
    X = nd.random.uniform(shape=(1, 1, 67, 67))
    before, names = net(X).asnumpy(), list(net.collect_params())
    compute = FastNet(net)
    np.testing.assert_array_equal(compute(X).asnumpy(), before)
    assert [type(step) for step in compute.steps] == [Graph]
    assert type(net) is nn.Sequential and list(net.collect_params()) == names
    assert not any(layer._active for block in net if isinstance(block, nn.Sequential)
                   for layer in block)
    for layer in net:  # as the book shows the shapes
        X = layer(X)
    np.testing.assert_array_equal(X.asnumpy(), before)


def test_blocks_of_the_users_own_are_called_as_they_are():
    inception = Inception(1, (1, 1), (1, 1), 1)
    hooked = nn.Dense(4)
    hooked.register_forward_hook(lambda *args: None)
    hybrid = nn.HybridSequential()
    hybrid.add(nn.Dense(2))
    hybrid.hybridize()
    net = chain(nn.Conv2D(2, 3), nn.BatchNorm(), inception, nn.Flatten(), nn.Dense(5), hooked,
                hybrid, nn.Dropout(0.5))
    steps = steps_of(net)
    assert [type(step) for step in steps] == [Graph, Inception, Graph, nn.Dense,
                                              nn.HybridSequential, Graph]
    assert [len(step) for step in steps if isinstance(step, Graph)] == [2, 2, 1]
    assert steps_of(hybrid) == [hybrid]


def test_a_function_can_be_evaluated(garments):
    """The book's nets from scratch are functions."""
    W = nd.random.normal(shape=(784, 10))

    def net(X):
        return nd.dot(X.reshape((-1, 784)), W)

    _, test_iter = few(garments, 40)(16, None)
    assert fast.evaluate_accuracy(test_iter, net) == d2lzh.evaluate_accuracy(test_iter, net)


def test_the_accuracy_is_d2lzhs(garments):
    net = NETS["DenseNet"].build()
    net.initialize()
    _, test_iter = few(garments, 60)(16, 32)
    theirs = d2lzh.evaluate_accuracy(test_iter, net)
    assert fast.evaluate_accuracy(test_iter, net) == theirs
    assert fast.evaluate_accuracy(test_iter, net, mx.cpu()) == theirs


def test_only_functions_of_d2lzhs_signature_are_replaced():
    def old_train_ch5(net, train_iter, test_iter, loss, batch_size, trainer, ctx, num_epochs):
        pass

    utils = types.ModuleType("utils")
    utils.train_ch5 = old_train_ch5
    utils.evaluate_accuracy = d2lzh.evaluate_accuracy
    utils.load_data_fashion_mnist = d2lzh.load_data_fashion_mnist
    assert fast.replace_functions(utils) == ["evaluate_accuracy", "load_data_fashion_mnist"]
    assert utils.train_ch5 is old_train_ch5
    assert utils.evaluate_accuracy is fast.evaluate_accuracy
    whole = types.ModuleType("utils")
    whole.train_ch5 = d2lzh.train_ch5
    assert fast.replace_functions(whole) == ["train_ch5"]


def test_a_training_log_can_be_parsed(garments, capsys):
    net = chain(nn.Dense(10))
    net.initialize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    fast.train_ch5(net, *few(garments, 40)(16, None), 16, trainer, mx.cpu(), 2)
    assert [record.epoch for record in parse_log(capsys.readouterr().out)] == [1, 2]
