"""Update rules and schedules of the PyTorch engine against MXNet's."""

import numpy as np
import pytest
from mxnet import gluon, nd

from nin_gluon.settings import PRESETS, Settings
from nin_gluon.training.gluon_run import optimizer_options
from nin_gluon.training.schedules import schedule_of

torch = pytest.importorskip("torch")

from nin_gluon.training.torch_optimizers import optimizer_of  # noqa: E402

STEPS = 20
RECIPES = {**{name: preset.settings for name, preset in PRESETS.items()},
           "sgd, decay": Settings(wd=0.1), "momentum, decay": Settings(momentum=0.9, wd=0.01),
           "momentum, cosine": Settings(momentum=0.5, schedule="cosine"),
           "warm-up": Settings(schedule="warmup"),
           "adam, decay, step": Settings(optimizer="adam", lr=0.01, wd=0.01, schedule="step")}


@pytest.mark.parametrize("name", RECIPES)
def test_updates_are_mxnets(name):
    """The same gradients of any size, twenty times; with them a batch size that divides them."""
    settings, random = RECIPES[name], np.random.RandomState(0)
    values = [random.randn(*shape).astype(np.float32) for shape in [(3, 4), (5,)]]
    parameters = [gluon.Parameter(f"p{i}", shape=value.shape) for i, value in enumerate(values)]
    for parameter, value in zip(parameters, values):
        parameter.initialize()
        parameter.set_data(nd.array(value))
    trainer = gluon.Trainer(parameters, settings.optimizer, optimizer_options(settings, STEPS),
                            update_on_kvstore=False)
    tensors = [torch.tensor(value) for value in values]
    optimizer, rate = optimizer_of(settings, tensors), schedule_of(settings, STEPS)
    for update in range(1, STEPS + 1):
        gradients = [(random.randn(*value.shape) * 10.0 ** random.randint(-9, 2)).astype(np.float32)
                     for value in values]
        for parameter, gradient in zip(parameters, gradients):
            parameter.list_grad()[0][:] = nd.array(gradient * 8)
            parameter.data()._fresh_grad = True
        trainer.step(8)
        optimizer.update([torch.tensor(gradient) for gradient in gradients],
                         optimizer.next_rate(rate(update)))
        assert rate(update) == pytest.approx(trainer.learning_rate, rel=1e-12)
        for parameter, tensor in zip(parameters, tensors):
            np.testing.assert_allclose(tensor.numpy(), parameter.data().asnumpy(), rtol=2e-5,
                                       atol=2e-6)
    assert optimizer.updates == STEPS


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "warmup"])
@pytest.mark.parametrize("steps", [1, 2, 9, 10, 137])
def test_schedules_are_mxnets(schedule, steps):
    settings = Settings(lr=0.3, schedule=schedule)
    scheduler = optimizer_options(settings, steps).get("lr_scheduler", lambda update: 0.3)
    mine = schedule_of(settings, steps)
    for update in range(1, steps + 1):
        assert mine(update) == pytest.approx(scheduler(update), rel=1e-12, abs=1e-15)
