"""The signal through untrained nets, against what the initializations promise."""

from dataclasses import replace

import pytest
from mxnet import nd

from nin_gluon.analysis.signal import IMAGES, measure, rms, spread
from nin_gluon.settings import TEXTBOOK
from tests.slim_nin import small_sample


def test_the_signal_is_what_the_net_does(monkeypatch):
    small_sample(IMAGES, IMAGES, setitem=monkeypatch.setitem)  # to draw all of it takes a second
    settings = TEXTBOOK.but(dataset="sample", resize=67)
    signals = {init: measure(init, 0, settings) for init in ("xavier", "he", "identity")}
    assert all(len(s.size) == len(s.spread) == 12 for s in signals.values())
    assert signals["he"].key == ("he", 0, 67, "sample")
    for block in range(3):  # 1x1 convolutions that are the identity pass all on
        sizes = signals["identity"].size[3 * block : 3 * block + 3]
        assert max(sizes) == pytest.approx(min(sizes))
    assert signals["xavier"].spread[-1] < 0.01 < 0.1 < signals["he"].spread[-1]
    for xavier, he in zip(signals["xavier"].gradient, signals["he"].gradient):
        assert 0 < xavier < he / 5
    assert measure("xavier", 0, settings) == signals["xavier"]
    assert measure("xavier", 2**31, settings) == replace(signals["xavier"], seed=2**31)


def test_size_and_spread():
    X = nd.random.uniform(shape=(4, 1, 67, 67))
    assert rms(X) == pytest.approx(float((X ** 2).mean().sqrt().asscalar()), rel=1e-5)
    assert spread(X.slice_axis(axis=0, begin=0, end=1)) == 0
    assert spread(nd.array([[0.0, 1], [2, 1]])) == pytest.approx(0.5 ** 0.5)
