"""The variants of the chapter's net."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

import nin_gluon
from nin_gluon.errors import InputError
from nin_gluon.models import get_model, initializer, maps_and_head, optimize_for_training
from nin_gluon.models.geometry import layer_table

SHAPE = (1, 1, 224, 224)
VARIANTS = ["inner=1", "inner=0", "inner=1,inner_kernel=3", "inner_kernel=3", "reduce=96-10-10",
            "reduce=96-96-10"]


def cost(name):
    rows = layer_table(get_model(name), SHAPE)
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)


def test_by_default_it_is_the_chapters_net():
    chapter, variant = nin_gluon.nin(), get_model("nin_variant")
    X = nd.random.uniform(shape=(2, 1, 67, 67))
    for net in (chapter, variant):
        net.initialize(mx.init.MSRAPrelu(slope=0))
        net(X)
    theirs, ours = (list(net.collect_params().values()) for net in (chapter, variant))
    assert len(theirs) == len(ours) == 24
    for parameter, other in zip(theirs, ours):
        other.set_data(parameter.data())
    scores = chapter(X).asnumpy()
    assert np.abs(scores).max() > 0
    np.testing.assert_array_equal(variant(X).asnumpy(), scores)
    assert cost("nin_variant") == cost("nin")


def test_cost_of_the_inner_convolutions_by_hand():
    parameters, macs = cost("nin")
    channels, pixels = (96, 256, 384, 10), (54, 26, 12, 5)
    dense = sum(c * c + c for c in channels)  # one 1x1 convolution in each block
    work = sum(n * n * c * c for n, c in zip(pixels, channels))
    assert cost("nin_variant,inner=1") == (parameters - dense, macs - work)
    assert cost("nin_variant,inner=0") == (parameters - 2 * dense, macs - 2 * work)
    wider = sum(8 * c * c for c in channels)  # 3x3 instead of 1x1
    assert cost("nin_variant,inner_kernel=3") == (parameters + 2 * wider, macs + 16 * work)
    assert cost("nin_variant,inner=0,inner_kernel=3") == cost("nin_variant,inner=0")


def test_reducing_in_steps():
    net = get_model("nin_variant,reduce=96-24-10")
    assert [conv._channels for conv in net[7]] == [96, 24, 10]
    parameters, _ = cost("nin")
    in_one = 384 * 9 * 10 + 10 + 2 * (10 * 10 + 10)
    steps = 384 * 9 * 96 + 96 + 96 * 24 + 24 + 24 * 10 + 10
    assert cost("nin_variant,reduce=96-24-10")[0] == parameters - in_one + steps
    assert cost("nin_variant,reduce=10-10-10") == cost("nin")


def test_the_last_relu_and_the_last_biases():
    X = nd.random.uniform(shape=(2, 1, 67, 67))
    net, without, lifted = (get_model(f"nin_variant{options}") for options in
                            ("", ",last_relu=0", ",last_bias=0.25"))
    for each in (net, without, lifted):
        each.initialize(initializer("he"))
        each(X)
        for parameter, other in zip(net.collect_params().values(),
                                    each.collect_params().values()):
            if other.name.endswith("weight"):
                other.set_data(parameter.data())
    biases = [p.data().asnumpy() for name, p in lifted.collect_params().items() if "bias" in name]
    assert [set(bias) for bias in biases] == [{0.0}] * 9 + [{0.25}] * 3
    maps, raw = maps_and_head(net)[0](X).asnumpy(), maps_and_head(without)[0](X).asnumpy()
    assert raw.min() < 0
    np.testing.assert_array_equal(np.maximum(raw, 0), maps)
    for each in (without, lifted):  # as the fast forms compute them
        np.testing.assert_allclose(optimize_for_training(each)(X).asnumpy(), each(X).asnumpy(),
                                   rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options, complaint", [
    ("inner=-1", "inner=-1"), ("inner=101", "0 to 100"), ("inner_kernel=101", "up to 99"),
    ("inner_kernel=2", "inner_kernel=2"), ("inner_kernel=0", "odd"),
    ("reduce=96", "3 numbers"), ("reduce=96-96-11", "the 10 classes"), ("reduce=a", "no list"),
    ("reduce=0-0-10", "no list"), ("inner=1,reduce=96-96-10", "2 numbers"), ("inner=x", "no int"),
    ("last_relu=2", "last_relu is 2"), ("last_bias=nan", "last_bias is nan"),
])
def test_what_cannot_be_built_is_named(options, complaint):
    with pytest.raises(InputError, match=complaint):
        get_model("nin_variant," + options)


@pytest.mark.parametrize("options", VARIANTS)
def test_identity_loses_no_class_and_no_channel(options):
    """Every class starts with the same score above 0; no other layer has two channels alike."""
    net = get_model("nin_variant," + options)
    net.initialize(initializer("identity", net))
    scores = net(nd.random.uniform(shape=(4, 1, 67, 67))).asnumpy()
    assert (scores > 0).all() and scores.std() > 0
    np.testing.assert_array_equal(scores, scores[:, :1].repeat(10, axis=1))
    for name, parameter in net.collect_params(".*weight").items():
        weight = parameter.data().asnumpy().reshape(parameter.shape[0], -1)
        if len({row.tobytes() for row in weight + 0.0}) < len(weight):  # (there is no -0.0 then)
            assert parameter.shape[0] == 10 < parameter.shape[1], name


@pytest.mark.parametrize("name, size", [("nin", 112), ("cifar_nin", 32)])
def test_identity_for_a_dense_head(name, size):
    """Its maps start like those of the averages, all alike and above 0. Training makes them differ,
    because the dense layer sends each a gradient of its own."""
    averages, dense = get_model(name), get_model(f"{name},head=fc")
    X, y = nd.random.uniform(shape=(4, 1, size, size)), nd.arange(4)
    for net in (averages, dense):
        net.initialize(initializer("identity", net))
        maps = maps_and_head(net)[0](X).asnumpy()
        assert maps.std(axis=1).max() < 1e-5 and maps.max(axis=(2, 3)).min() > 0.01
    trainer = gluon.Trainer(dense.collect_params(), "adam", {"learning_rate": 1e-4})
    for _ in range(3):
        with autograd.record():
            loss = gluon.loss.SoftmaxCrossEntropyLoss()(dense(X), y)
        loss.backward()
        trainer.step(4)
    assert maps_and_head(dense)[0](X).asnumpy().std(axis=1).max() > 1e-4
    weight = next(iter(dense.collect_params(".*weight").values()))
    assert np.abs(weight.grad().asnumpy()).max() > 0  # the first layer learns too


@pytest.mark.parametrize("options", VARIANTS)
def test_optimized_for_training_they_have_the_same_scores_and_gradients(options):
    net = get_model("nin_variant," + options)
    net.initialize(mx.init.Uniform(0.02))
    net.hybridize(static_alloc=True, static_shape=True)
    X = nd.random.uniform(shape=(2, 1, 70, 70))
    net(X)
    for weight in net.collect_params(".*weight").values():
        weight.set_data(weight.data().abs())  # no ReLU hides a difference
    outcomes = []
    for forward in (net, optimize_for_training(net)):
        mx.random.seed(1)
        with autograd.record():
            scores = forward(X)
            loss = gluon.loss.SoftmaxCrossEntropyLoss()(scores, nd.arange(2))
        loss.backward()
        outcomes.append([scores.asnumpy()] + [p.grad().asnumpy().copy() for p in
                                              net.collect_params().values()])
    for wanted, got in zip(*outcomes):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
