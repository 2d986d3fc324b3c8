"""However PyTorch runs a step, it is the same step. CUDA's own part is put in place by calls."""

from functools import lru_cache

import numpy as np
import pytest

from nin_gluon.errors import InputError
from nin_gluon.settings import PRESETS
from nin_gluon.training.run_folder import Environment, RunConfig

torch = pytest.importorskip("torch")

from nin_gluon.training import torch_run, torch_step  # noqa: E402
from nin_gluon.training.loop import evaluate  # noqa: E402
from nin_gluon.training.torch_engine import TorchEngine  # noqa: E402
from nin_gluon.training.torch_workers import TorchWorkers  # noqa: E402

pytestmark = pytest.mark.usefixtures("slim", "one_thread")

CPU = torch.device("cpu")
QUICK = PRESETS["quick"].settings.but(dataset="sample", limit=20, batch_size=8, epochs=1,
                                      engine="torch")
RECIPES = {
    "sgd": PRESETS["textbook"].settings.but(dataset="sample", limit=20, batch_size=8, resize=67,
                                            epochs=1, engine="torch", init="he", lr=0.01),
    "adam, mirrored": QUICK.but(augment="mirror", lr=0.0002),
    "momentum, whitened": PRESETS["paper"].settings.but(
        dataset="sample", limit=20, batch_size=8, epochs=2, engine="torch"),
    "whitened, bfloat16": PRESETS["paper"].settings.but(
        dataset="sample", limit=20, batch_size=8, epochs=1, engine="torch", dtype="bfloat16"),
    "contrast, bfloat16": PRESETS["paper-quick"].settings.but(
        dataset="sample", limit=20, batch_size=8, epochs=1, engine="torch", dtype="bfloat16"),
}


def call_in_place_of(recordings):
    """Stands in for `torch_step.capture`: what replays the call is the call."""

    def capture(call, device):
        result = call().clone()  # as the warm-up does: it changes parameters and random numbers
        recordings.append(len(result))
        return lambda: result.copy_(call()), result

    return capture


def outcome(settings, mode="eager"):
    """Sums of the steps, evaluation and parameters after training on the sample."""
    run = torch_run.prepare(RunConfig("", settings, Environment(mode=mode)), CPU, TorchWorkers())
    run.engine.seed_step(0, 1, 0)
    results = []
    for _ in range(settings.epochs):
        for step, (X, y) in enumerate(run.train_iter):
            assert (X.dtype == torch.uint8) == (mode == "compile" or recorded_on_cpu(run.engine))
            results.append(run.engine.train_step(X, y))
            run.engine.seed_step(0, 1, step + 1)
    X, _ = next(iter(run.test_iter))
    predicted = run.engine.predict(X)
    assert (run.engine.maps_and_scores(X)[1].argmax(axis=1) == predicted).all()
    return (run.engine.fetch(results), evaluate(run.engine, run.test_iter), predicted,
            run.engine.parameters(), run.engine.optimizer_state())


@lru_cache(maxsize=None)
def eager_outcome(settings):
    """What both ways to run a recipe's steps are compared with."""
    return outcome(settings)


def recorded_on_cpu(engine):
    return isinstance(engine.run_train_step, torch_step.Replay)


def assert_same(one, other, exact):
    close = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(one[0], other[0], **close)
    assert one[1] == other[1] and (one[2] == other[2]).all()
    for name, value in one[3].items():
        np.testing.assert_allclose(value, other[3][name], err_msg=name, **close)
    assert one[4][1] == other[4][1] and list(one[4][0]) == list(other[4][0])
    for name, value in one[4][0].items():
        np.testing.assert_allclose(value, other[4][0][name], **close)


@pytest.mark.parametrize("name", RECIPES)
def test_a_replayed_step_is_the_step(name, monkeypatch):
    """With two shapes of batches, 8 and 4; recording must not move parameters or masks."""
    settings, recordings = RECIPES[name], []
    eager = eager_outcome(settings)
    monkeypatch.setattr(torch_step, "capture", call_in_place_of(recordings))
    monkeypatch.setattr(torch_run, "choose_mode", lambda *args: "graph")

    def arrange_steps(self):  # as on a GPU
        self.device = torch.device("cuda")
        arrange(self)
        self.device = CPU
        for replay in (self.run_train_step, self.run_test_step):
            replay.device = CPU

    arrange = TorchEngine.arrange_steps
    monkeypatch.setattr(TorchEngine, "arrange_steps", arrange_steps)
    replayed = outcome(settings)
    assert recordings == [3, 3, 30, 30]
    # A rate that is a tensor is multiplied in another order.
    assert_same(eager, replayed, exact=False)


def test_gradients_are_those_of_the_last_replay(monkeypatch):
    """Each graph writes into gradients of its own."""
    weight = torch.ones(1, requires_grad=True)

    def step(X):
        weight.grad = None
        l = (weight * X).sum()
        l.backward()
        return l.detach()

    def capture(call, device):
        result, gradient = call(), weight.grad

        def replay():
            result.copy_(call())
            gradient.copy_(weight.grad)

        return replay, result

    monkeypatch.setattr(torch_step, "capture", capture)
    replay = torch_step.Replay(step, CPU, [weight])
    for X in (torch.ones(2), 5 * torch.ones(3), 7 * torch.ones(2)):
        assert replay(X) == weight.grad == X.sum()


# Whitening is traced in float32, and bfloat16 with the other preprocessing.
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "whitened, bfloat16"])
def test_a_compiled_step_is_the_step(name, monkeypatch):
    """By a backend that runs what was traced, operator by operator.

    Each shape is traced anew, which takes longest, so one recipe has the smaller last batch.
    """
    settings = RECIPES[name] if name == "sgd" else RECIPES[name].but(limit=16)
    compiled, plain = [], torch.compile

    def compile(function, dynamic):
        compiled.append(dynamic)
        return plain(function, dynamic=dynamic, backend="eager")

    monkeypatch.setattr(torch, "compile", compile)
    eager = eager_outcome(settings)
    assert not compiled
    assert_same(eager, outcome(settings, "compile"), exact=True)
    assert compiled == [False, False]
    torch._dynamo.reset()


@pytest.mark.parametrize("mode, device, workers, chosen", [
    ("auto", "cpu", 1, "eager"), ("auto", "cuda", 1, "graph"), ("auto", "cuda", 2, "eager"),
    ("eager", "cuda", 1, "eager"), ("compile", "cpu", 1, "compile"), ("eager", "cpu", 3, "eager"),
    ("graph", "cuda", 1, "graph"),
])
def test_the_mode(mode, device, workers, chosen):
    assert torch_step.choose_mode(mode, torch.device(device), workers) == chosen


@pytest.mark.parametrize("mode, device, workers, sentence", [
    ("graph", "cpu", 1, "--mode graph is for GPUs; on a CPU use eager or compile"),
    ("graph", "cuda", 2, "--mode graph is for a run of one process"),
    ("compile", "cpu", 2, "--mode compile is for a run of one process"),
])
def test_a_mode_that_cannot_be(mode, device, workers, sentence):
    with pytest.raises(InputError, match=sentence):
        torch_step.choose_mode(mode, torch.device(device), workers)
