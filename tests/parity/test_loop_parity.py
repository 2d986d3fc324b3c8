"""Our loop against the untouched d2lzh.train_ch5: same seed, same log."""

import d2lzh
import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd

import nin_gluon
from nin_gluon.data.loader import BatchLoader
from nin_gluon.training.history import parse_log

pytestmark = pytest.mark.usefixtures("slim")


def run(train_ch5, garments, hybridize, capsys):
    """Three epochs of the chapter's net on a small subset; the log that was printed."""
    mx.random.seed(3)
    np.random.seed(3)
    net = nin_gluon.nin()
    net.initialize(mx.init.MSRAPrelu(slope=0))
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    net(nd.zeros((1, 1, 67, 67))).wait_to_read()  # parameters exist before a mask is drawn
    train_iter = BatchLoader(*garments("train", 70), 16, resize=67, shuffle=True)
    test_iter = BatchLoader(*garments("test", 24), 16, resize=67)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01, "momentum": 0.9})
    train_ch5(net, train_iter, test_iter, 16, trainer, mx.cpu(), 3)
    parameters = [p.data().asnumpy() for p in net.collect_params().values()]
    return capsys.readouterr().out, parameters


@pytest.mark.parametrize("hybridize", [False, True], ids=["imperative", "hybridized"])
def test_train_ch5_gives_d2lzhs_log(garments, hybridize, capsys):
    theirs, their_parameters = run(d2lzh.train_ch5, garments, hybridize, capsys)
    ours, our_parameters = run(nin_gluon.train_ch5, garments, hybridize, capsys)
    assert ours.splitlines()[0] == theirs.splitlines()[0] == "training on cpu(0)"
    their_log, our_log = parse_log(theirs), parse_log(ours)
    assert len(their_log) == len(our_log) == 3
    for his, mine in zip(their_log, our_log):
        assert mine.loss == pytest.approx(his.loss, abs=1e-4)
        assert f"{mine.train_acc:.3f} {mine.test_acc:.3f}" == \
            f"{his.train_acc:.3f} {his.test_acc:.3f}"
    assert len({record.train_acc for record in our_log}) > 1  # something was there to compare
    for mine, his in zip(our_parameters, their_parameters):
        np.testing.assert_allclose(mine, his, rtol=1e-4, atol=1e-6)


def test_evaluate_accuracy_gives_d2lzhs(garments):
    net = nin_gluon.nin()
    net.initialize(mx.init.MSRAPrelu(slope=0))
    test_iter = BatchLoader(*garments("test", 50), 16, resize=67)
    theirs = d2lzh.evaluate_accuracy(test_iter, net, mx.cpu())
    assert nin_gluon.evaluate_accuracy(test_iter, net, mx.cpu()) == pytest.approx(theirs, abs=1e-7)


def test_devices_are_chosen_as_d2lzh_does():
    assert nin_gluon.try_gpu() == d2lzh.try_gpu()
    assert nin_gluon.try_all_gpus() == d2lzh.try_all_gpus()
