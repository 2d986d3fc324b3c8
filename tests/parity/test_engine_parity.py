"""The two engines against each other: the same parameters, images and settings, 20 steps.

Tolerance, float32 on a CPU: the loss within 1e-4, every parameter within 1e-3 of its largest value.

What each start is chosen for: at its kink a ReLU, and between two nearly equal values a pooling,
let rounding decide which way a gradient goes, and training amplifies that. So the biases lift units
above zero. Adam besides makes a whole step of a gradient that is all but zero, in a direction that
rounding decides, as soon as it is well above Adam's epsilon. Among two million parameters there are
always some. So Adam gets the net without 1x1 convolutions, and a start in which most gradients of
the lower layers are small.
"""

import mxnet as mx
import numpy as np
import pytest

from benchmarks import parity
from benchmarks.parity import STEPS, small
from nin_gluon.settings import PRESETS
from nin_gluon.training import gluon_run
from nin_gluon.training.run_folder import RunConfig
from nin_gluon.training.workers import Workers

torch = pytest.importorskip("torch")

from nin_gluon.training import torch_run  # noqa: E402
from nin_gluon.training.torch_workers import TorchWorkers  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def start(parameters, settings):
    """Parameters to start from, given Xavier's."""
    random, last = np.random.RandomState(0), list(parameters)[-2:]
    adam = settings.optimizer == "adam"

    def value(name, drawn):
        if name.endswith("weight"):
            factor = (0.04 if name in last else 2) if adam else 1
            return drawn * np.float32(factor)
        bounds = ((1, 1.5) if name in last else (0.3, 0.5)) if adam else (0, 0.1)
        return random.uniform(*bounds, drawn.shape).astype(np.float32)

    return {name: value(name, drawn) for name, drawn in parameters.items()}


def assert_agreement(first, gluon, pytorch):
    """Of the losses and last parameters of both, after training from the first parameters."""
    (losses, parameters), (other_losses, other_parameters) = gluon, pytorch
    assert len(losses) == STEPS
    np.testing.assert_allclose(losses, other_losses, rtol=0, atol=1e-4)
    assert list(parameters) == list(other_parameters)
    for name, value in parameters.items():
        largest = np.abs(value).max()
        assert np.abs(value - first[name]).max() > 1e-5 * largest, f"{name} was not trained"
        np.testing.assert_allclose(other_parameters[name], value, rtol=0, atol=1e-3 * largest,
                                   err_msg=name)


@pytest.mark.parametrize("preset", ["textbook", "quick", "mlpconv"])  # the others: see below
def test_twenty_steps_agree(preset):
    config = RunConfig(preset, small(preset))
    runs = [gluon_run.prepare(config, [mx.cpu()], Workers("device")),
            torch_run.prepare(config, CPU, TorchWorkers())]
    first = start(runs[0].engine.parameters(), config.settings)
    outcomes = []
    for run in runs:
        run.engine.put_parameters(first)
        np.random.seed(5)  # the order of the images
        sums = run.engine.fetch([run.engine.train_step(X, y) for X, y in run.train_iter])
        assert sums.shape == (STEPS, 1, 3) and (sums[..., 2] == 8).all()
        outcomes.append((sums[:, 0, 0] / 8, run.engine.parameters()))
    assert_agreement(first, *outcomes)


def assert_stored(preset):
    """That PyTorch agrees with the stored results; ``python -m benchmarks.gpu`` does it on a GPU.
    """
    found = parity.differences(preset, CPU)
    assert found["passed"], found
    assert found["loss"] <= 1e-4 and found["parameter"] <= 1e-3 and found["same_images"]


@pytest.mark.parametrize("preset", ["textbook", "quick", "mlpconv", "paper-quick"])
def test_pytorch_agrees_with_the_stored_results(preset):
    assert_stored(preset)


def test_gluon_and_pytorch_and_the_stored_results_agree_on_the_papers_net(monkeypatch):
    """One run of PyTorch for both comparisons, from the start that `benchmarks.parity` draws."""
    train, outcomes = parity.train, []

    def keep(run):
        outcomes.append(train(run))
        return outcomes[-1]

    monkeypatch.setattr(parity, "train", keep)
    assert_stored("paper")
    parity.gluon_result("paper")
    pytorch, gluon = outcomes
    assert_agreement(parity.start(gluon[1], small("paper")), gluon, pytorch)


def test_what_the_other_presets_have_in_common_with_these():
    """Steps of the same settings are taken once.

    The schedule alone, with this momentum and decay: tests/training/test_torch_optimizers.py.
    """
    assert small("tuned") == small("quick")
    assert parity.stored_results()["tuned"] == parity.stored_results()["quick"]
    assert small("paper-quick") == small("paper").but(schedule="cosine")


def test_gluon_still_computes_the_stored_results():
    stored, found = parity.stored_results()["textbook"], parity.gluon_result("textbook")
    assert set(parity.stored_results()) == set(PRESETS)
    np.testing.assert_allclose(found["losses"], stored["losses"], rtol=0, atol=1e-5)
    assert found["images"] == stored["images"]
    for name, kept in stored["parameters"].items():
        np.testing.assert_allclose(found["parameters"][name]["values"], kept["values"], rtol=0,
                                   atol=1e-5 * kept["largest"], err_msg=name)


def test_a_wrong_engine_is_found_out(monkeypatch):
    from nin_gluon.training.torch_optimizers import SGD

    rate = SGD.next_rate
    monkeypatch.setattr(SGD, "next_rate", lambda self, lr: rate(self, lr * 1.02))
    assert not parity.differences("textbook", CPU)["passed"]
