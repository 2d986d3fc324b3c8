"""The PyTorch nets against the Gluon nets: parameters in the same order, the same scores."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from nin_gluon import models
from nin_gluon.errors import InputError
from nin_gluon.models.geometry import receptive_field, smallest_input

torch = pytest.importorskip("torch")

from nin_gluon.torch_models import nets  # noqa: E402
from nin_gluon.torch_models.initializer import initialize  # noqa: E402

NETS = [("nin", 67, 1), ("nin,head=fc", 70, 1), ("mlpconv_nin,head=fc_dropout,classes=7", 67, 3),
        ("cifar_nin", 32, 3), ("cifar_nin,head=fc", 28, 1), ("nin_variant,inner=1", 67, 1),
        ("nin_variant,inner_kernel=3,reduce=96-96-10", 67, 1), ("nin_variant,inner=0", 67, 1),
        ("nin_variant,last_relu=0,last_bias=0.5", 67, 1)]


def twins(name, size, channels):
    """A net of each framework, with the parameters of the Gluon one."""
    net, twin = models.get_model(name), nets.get_model(name)
    net.initialize(mx.init.MSRAPrelu(slope=0))
    X = np.random.RandomState(0).rand(3, channels, size, size).astype(np.float32)
    scores = net(nd.array(X)).asnumpy()
    with torch.no_grad():
        twin(torch.from_numpy(X))
    parameters = [p.data().asnumpy() for p in net.collect_params().values()]
    mine = list(twin.parameters())
    assert [tuple(p.shape) for p in mine] == [p.shape for p in parameters]
    with torch.no_grad():
        for parameter, value in zip(mine, parameters):
            parameter.copy_(torch.from_numpy(value))
    return net, twin, X, scores


@pytest.mark.parametrize("name, size, channels", NETS)
def test_scores_and_smallest_input_are_gluons(name, size, channels):
    net, twin, X, wanted = twins(name, size, channels)
    scores = twin.eval()(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())

    smallest = nets.smallest_input(twin)
    assert smallest_input(net) == (smallest, smallest)
    nets.check_size(twin, smallest)
    with pytest.raises(InputError, match=f"the smallest is {smallest}x{smallest}"):
        nets.check_size(twin, smallest - 1)


@pytest.mark.parametrize("name, sentence", [
    ("alexnet", "unknown model 'alexnet'; the models are: cifar_nin, mlpconv_nin, nin"),
    ("nin,depth=3", "the model nin has no option 'depth'"),
    ("nin,dropout=much", "dropout is 'much', which is no float"),
    ("nin,dropout=1", "dropout is 1.0; it is a share"),
    ("nin,head=mean", "unknown head 'mean'"),
    ("nin_variant,inner_kernel=2", "of an odd size"),
    ("nin_variant,reduce=3-4", "should name 3 numbers"),
])
def test_what_cannot_be_built_is_said_in_the_same_words(name, sentence):
    for get_model in (models.get_model, nets.get_model):
        with pytest.raises(InputError) as caught:
            get_model(name)
        assert sentence in str(caught.value)


@pytest.mark.parametrize("init", ["xavier", "he", "identity", "normal"])
@pytest.mark.parametrize("name, size, channels", [NETS[0], NETS[4], NETS[6]])
def test_weights_come_from_gluons_ranges(init, name, size, channels):
    """The fixed ones are equal; the drawn ones have the same deviation, and the same bounds."""
    net, twin = models.get_model(name), nets.get_model(name)
    net.initialize(models.initializer(init, net))
    # Without the wait MXNet may bring a weight into oneDNN's layout just while it is read.
    net(nd.zeros((1, channels, size, size))).wait_to_read()
    with torch.no_grad():
        twin(torch.zeros(1, channels, size, size))
    initialize(twin, init)
    for (key, parameter), theirs in zip(twin.named_parameters(), net.collect_params().values()):
        mine, wanted = parameter.detach().numpy(), theirs.data().asnumpy()
        if key.endswith("bias"):
            assert not mine.any() and not wanted.any()
        elif len(np.unique(wanted.ravel()[:1000])) < 3:  # identity, or the mean
            np.testing.assert_allclose(mine, wanted, rtol=1e-6)
        else:
            few = 5 / np.sqrt(mine.size)
            assert mine.std() == pytest.approx(wanted.std(), rel=few)
            assert abs(mine.mean()) < few * mine.std() + 1e-7
            if init == "xavier":
                assert np.abs(mine).max() == pytest.approx(np.abs(wanted).max(), rel=0.2)
                assert np.abs(mine).max() < 1.74 * mine.std() * (1 + few)  # uniform


@pytest.mark.parametrize("init", ["xavier", "identity"])
def test_the_last_biases_start_from_what_the_net_names(init):
    net = nets.get_model("nin_variant,last_bias=0.25")
    with torch.no_grad():
        net(torch.zeros(1, 1, 67, 67))
    initialize(net, init)
    biases = [set(p.tolist()) for name, p in net.named_parameters() if name.endswith("bias")]
    assert biases == [{0.0}] * 9 + [{0.25}] * 3


@pytest.mark.parametrize("model, size", [("nin", 90), ("mlpconv_nin", 90), ("cifar_nin", 32),
                                         ("nin_variant,inner_kernel=3", 90), ("nin,head=fc", 67)])
def test_maps_and_their_places_are_those_of_gluon(model, size):
    net = nets.known_net(model, 1, size).eval()
    maps, head = nets.maps_and_head(net)
    assert nets.receptive_field(maps) == receptive_field(
        models.maps_and_head(models.get_model(model))[0])
    X = torch.rand(2, 1, size, size)
    with torch.no_grad():
        assert maps(X).shape[:2] == (2, 10)
        torch.testing.assert_close(head(maps(X)), net(X))
