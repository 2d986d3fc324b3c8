"""What an evaluation says of each class, in both engines, beside NumPy."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn

from nin_gluon.training.gluon_engine import GluonEngine
from nin_gluon.training.loop import evaluate

CLASSES = 4
scores = np.maximum(np.random.RandomState(3).randn(23, CLASSES), 0)
scores[:, 2] = 0  # a dead class
labels = np.random.RandomState(4).choice([0, 1, 2], 23)  # none of class 3
BATCHES = [slice(0, 10), slice(10, 20), slice(20, 23)]


def expected():
    right = scores.argmax(axis=1) == labels
    return (right.mean(), tuple(right[labels == k].mean() if k < 3 else None
                                for k in range(CLASSES)), (0, 1, 3))


def check(result):
    accuracy, class_acc, living = expected()
    assert result.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert result.class_acc == pytest.approx(class_acc, abs=1e-12)
    assert result.living == living


class Given(nn.HybridBlock):
    """Takes scores for images."""

    def hybrid_forward(self, F, x):
        return F.identity(x)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_classes_in_gluon(devices, dtype):
    net = Given()
    engine = GluonEngine(net, [mx.cpu(n) for n in range(devices)])
    check(evaluate(engine, [(nd.array(scores[part], dtype=dtype), nd.array(labels[part]))
                            for part in BATCHES]))


def test_classes_in_pytorch():
    torch = pytest.importorskip("torch")
    from nin_gluon.training.torch_engine import TorchEngine

    engine = TorchEngine(torch.nn.Identity(), torch.device("cpu"), None, lambda update: 0.1, 10)
    check(evaluate(engine, [(torch.tensor(scores[part]).float(), torch.tensor(labels[part]))
                            for part in BATCHES]))


def test_an_evaluation_is_that_of_all_workers():
    """Two workers with a part each; the sums of the other are added to this one's."""
    parts = [(nd.array(scores[:12]), nd.array(labels[:12])),
             (nd.array(scores[12:]), nd.array(labels[12:]))]
    sent = []

    def keep(arrays):
        sent.append(arrays[0].copy())
        return arrays[0]

    evaluate(GluonEngine(Given(), mx.cpu(), all_reduce=keep), parts[1:])
    others = iter(sent)
    assert {array.shape for array in sent} == {(3,)}  # all that a worker can sum
    check(evaluate(GluonEngine(Given(), mx.cpu(),
                               all_reduce=lambda arrays: arrays[0] + next(others)), parts[:1]))


def test_an_evaluation_of_nothing():
    result = evaluate(GluonEngine(Given(), mx.cpu()), [])
    assert (result.accuracy, result.class_acc, result.living) == (0.0, (), ())
