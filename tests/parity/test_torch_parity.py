"""The two frameworks against each other: the same images and parameters, the same results.

Tolerance, float32: outputs and loss within 1e-5, gradients and updated parameters within 1e-4 of
the largest value of each array. The sums of a convolution run in another order in each framework.
"""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

import nin_gluon
from nin_gluon import InputError, from_torch, to_torch
from nin_gluon.data.loader import BatchLoader

torch = pytest.importorskip("torch")
F = torch.nn.functional


@pytest.fixture
def batch(garments):
    """Eight images of 67x67 with their labels, as arrays."""
    X, y = next(iter(BatchLoader(*garments("train", 8), 8, resize=67)))
    return X.asnumpy(), y.asnumpy()


def chapters_net(X, **options):
    """The chapter's net with parameters that let the signal through, biases too."""
    net = nin_gluon.nin(**options)
    net.initialize(mx.init.MSRAPrelu(slope=0))
    net(nd.array(X))
    for parameter in net.collect_params(".*bias").values():
        parameter.set_data(nd.random.uniform(-0.1, 0.1, shape=parameter.shape))
    return net


def gluon_step(net, X, y, lr):
    """Outputs, losses, gradients, and the parameters after one step of SGD."""
    X, y = nd.array(X), nd.array(y)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": lr})
    with autograd.record():
        y_hat = net(X)
        l = gluon.loss.SoftmaxCrossEntropyLoss()(y_hat, y)
    l.backward()
    parameters = list(net.collect_params().values())
    gradients = [p.grad().asnumpy() / len(y) for p in parameters]  # of the mean, as in PyTorch
    trainer.step(len(y))
    return y_hat.asnumpy(), l.asnumpy(), gradients, [p.data().asnumpy() for p in parameters]


def torch_step(net, X, y, lr):
    y_hat = net(torch.tensor(X))
    l = F.cross_entropy(y_hat, torch.tensor(y).long(), reduction="none")
    l.mean().backward()
    gradients = [p.grad.numpy().copy() for p in net.parameters()]
    torch.optim.SGD(net.parameters(), lr=lr).step()
    return (y_hat.detach().numpy(), l.detach().numpy(), gradients,
            [p.detach().numpy() for p in net.parameters()])


def assert_close(one, other, tolerance):
    assert one.shape == other.shape and one.dtype == other.dtype
    np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


@pytest.mark.parametrize("hybridize", [False, True])
def test_outputs_losses_gradients_and_a_step_agree(batch, hybridize):
    net = chapters_net(batch[0], dropout=0)
    twin = to_torch(net)
    if hybridize:
        net.hybridize()
    ours, theirs = gluon_step(net, *batch, lr=0.1), torch_step(twin, *batch, lr=0.1)
    for one, other in zip(ours[:2], theirs[:2]):
        assert_close(one, other, 1e-5)
    assert len(ours[2]) == len(theirs[2]) == 24
    for one, other in zip(ours[2] + ours[3], theirs[2] + theirs[3]):
        assert np.abs(other).max() > 0  # something is there to compare
        assert_close(one, other, 1e-4)


def test_a_net_born_in_pytorch_agrees_too(batch):
    from nin_gluon.torch_edition import nin

    torch.manual_seed(0)
    module = nin(dropout=0)
    for parameter in module.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
    ours = gluon_step(from_torch(module), *batch, lr=0.1)
    for one, other in zip(ours[2], torch_step(module, *batch, lr=0.1)[2]):
        assert_close(one, other, 1e-4)


@pytest.mark.parametrize("channels, classes", [(1, 10), (3, 7)])
def test_there_and_back_again_loses_nothing(channels, classes):
    net = chapters_net(np.random.rand(2, channels, 67, 67).astype("float32"), classes=classes)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    mx.random.seed(5)
    back = from_torch(to_torch(net))
    drawn = nd.random.uniform(shape=3).asnumpy()
    mx.random.seed(5)
    np.testing.assert_array_equal(nd.random.uniform(shape=3).asnumpy(), drawn)
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.get_rng_state(), before[1])

    assert [type(layer) for layer in back] == [type(layer) for layer in net]
    mine, theirs = list(net.collect_params().values()), list(back.collect_params().values())
    assert len(mine) == len(theirs) == 24
    for one, other in zip(mine, theirs):
        assert one.data().dtype == other.data().dtype
        assert one.data().asnumpy().tobytes() == other.data().asnumpy().tobytes()
    X = nd.random.uniform(shape=(2, channels, 70, 90))
    np.testing.assert_array_equal(net(X).asnumpy(), back(X).asnumpy())
    with pytest.raises(InputError, match="67x67"):
        back(nd.zeros((1, channels, 28, 28)))

    module = to_torch(net)
    again = to_torch(from_torch(module))
    assert list(module.state_dict()) == list(again.state_dict())
    assert all(torch.equal(one, other) for one, other in
               zip(module.state_dict().values(), again.state_dict().values()))


def test_copies_are_copies(batch):
    net = chapters_net(batch[0])
    module = to_torch(net)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert net(nd.array(batch[0])).asnumpy().any()
    back = from_torch(module)
    for parameter in back.collect_params().values():
        parameter.set_data(nd.ones(parameter.shape))
    assert not module(torch.tensor(batch[0])).detach().numpy().any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_are_kept(dtype):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(3, 2, in_channels=1), nn.Dense(2, in_units=12))
    net.cast(dtype)
    net.initialize(mx.init.Normal(1))
    module = to_torch(net)
    assert {str(p.dtype) for p in module.parameters()} == {f"torch.{dtype}"}
    back = from_torch(module).collect_params().values()
    for one, other in zip(net.collect_params().values(), back):
        assert other.data().asnumpy().tobytes() == one.data().asnumpy().tobytes()


OTHERS = {
    "pooling, ceil_mode": lambda: [nn.MaxPool2D(3, 2, ceil_mode=True),
                                   nn.AvgPool2D(3, 2, padding=1, count_include_pad=False),
                                   nn.AvgPool2D(2, 2, padding=1, ceil_mode=False)],
    "groups, dilation, no bias": lambda: [nn.Conv2D(6, (3, 2), (2, 1), (1, 0), (1, 2), groups=3,
                                                    use_bias=False, activation="tanh")],
    "activations": lambda: [nn.Activation("sigmoid"), nn.Conv2D(2, 3, activation="softrelu"),
                            nn.Activation("softsign")],
    "dense head": lambda: [nn.Conv2D(4, 3), nn.Dense(5, activation="relu"), nn.Dropout(0.5),
                           nn.Dense(3, flatten=False)],
    "global pooling": lambda: [nn.Conv2D(4, 3), nn.GlobalMaxPool2D(), nn.Flatten()],
}


@pytest.mark.parametrize("layers", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("size", [11, 12, 13])
def test_other_nets_of_known_layers(layers, size):
    net, inner = nn.Sequential(), nn.HybridSequential()
    inner.add(*layers())
    net.add(inner)
    net.initialize(mx.init.Normal(0.5))
    X = nd.random.normal(shape=(2, 3, size, size))
    wanted = net(X).asnumpy()
    module = to_torch(net)
    assert_close(module(torch.tensor(X.asnumpy())).detach().numpy(), wanted, 1e-5)
    np.testing.assert_array_equal(from_torch(module)(X).asnumpy(), wanted)


def test_frozen_parameters_stay_frozen(batch):
    net = chapters_net(batch[0])
    net[0].collect_params().setattr("grad_req", "null")
    module = to_torch(net)
    assert not any(p.requires_grad for p in module[0].parameters())
    assert all(p.requires_grad for p in module[2].parameters())
    kinds = [p.grad_req for p in from_torch(module).collect_params().values()]
    assert kinds == 6 * ["null"] + 18 * ["write"]


class Residual(nn.HybridSequential):
    def hybrid_forward(self, F, x):
        return x + super().hybrid_forward(F, x)


@pytest.mark.parametrize("layer, words", [
    (lambda: nn.BatchNorm(prefix="norm7_"), "norm7"),
    (lambda: nn.Conv3D(2, 3, prefix="deep_"), "deep"),
    (lambda: nn.Dropout(0.5, axes=(1,), prefix="whole_maps_"), "whole_maps"),
    (lambda: Residual(prefix="shortcut_"), "shortcut"),
    (lambda: nn.MaxPool2D(2, 3, ceil_mode=True, prefix="up_"), "up.*different sizes"),
])
def test_layers_that_gluon_has_and_we_do_not_are_named(layer, words):
    net = nn.HybridSequential()
    net.add(layer())
    net.initialize()
    with pytest.raises(InputError, match=words):
        to_torch(net)


@pytest.mark.parametrize("module, words", [
    (lambda: torch.nn.BatchNorm2d(3), "BatchNorm2d"),
    (lambda: torch.nn.Conv2d(1, 1, 3, padding="same"), "padded with zeros"),
    (lambda: torch.nn.Conv2d(1, 1, 3, padding_mode="reflect"), "reflect"),
    (lambda: torch.nn.AdaptiveAvgPool2d(2), "output_size=2"),
    (lambda: torch.nn.MaxPool2d(2, dilation=2), "dilation=2"),
    (lambda: torch.nn.AvgPool2d(2, divisor_override=3), "AvgPool2d"),
    (lambda: torch.nn.Softplus(beta=2), "Softplus"),
    (lambda: torch.nn.Flatten(0), "start_dim=0"),
    (lambda: torch.nn.Linear(2, 2).bfloat16(), "bfloat16.*float"),
])
def test_modules_that_gluon_does_not_have_are_named(module, words):
    with pytest.raises(InputError, match=words):
        from_torch(torch.nn.Sequential(module()))


@pytest.mark.parametrize("initialize", [False, True])
def test_a_net_without_values_is_told_what_to_do(initialize):
    net = nin_gluon.nin()
    if initialize:
        net.initialize()  # the input channels are not known yet
    with pytest.raises(InputError, match="conv.*_weight has no values yet.*net.initialize"):
        to_torch(net)
