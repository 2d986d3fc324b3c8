"""``python -m benchmarks.parity``: what Gluon's engine computes, kept for machines without MXNet.

Each preset's net and optimizer takes 20 steps of 8 small images on a CPU, from parameters that
NumPy draws. The losses, and of every parameter some values, go into ``gluon_results.json``.
`differences` tells how far the PyTorch engine is from them, on any device.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from nin_gluon.atomic_files import write_text
from nin_gluon.checked_files import parse_json, read_text
from nin_gluon.cli import ArgumentParser, command
from nin_gluon.settings import PRESETS
from nin_gluon.training.run_folder import RunConfig

__all__ = ["RESULTS", "STEPS", "differences", "gluon_result", "small", "start", "stored_results"]

RESULTS = Path(__file__).with_name("gluon_results.json")
STEPS = 20
KEPT = 32  # values of each parameter

# In float32: of the loss in nats, and of a parameter over its largest value.
LOSS, PARAMETER = 1e-4, 1e-3


def small(preset):
    """The preset's net and optimizer, for 20 steps of 8 small images, without chance.

    32x32 for the paper's net. At 28x28 its average pooling gets maps of 14x14, for which MXNet on
    CPUs (through oneDNN) computes a wrong gradient at the border.

    Why Adam has a net of its own: it makes a whole step of a gradient that is all but zero, in a
    direction that rounding decides, as soon as it is well above Adam's epsilon. Among the two
    million parameters of the chapter's net there are always some. So Adam gets the net without 1x1
    convolutions, and `start` gives it small gradients in the lower layers.
    """
    settings = PRESETS[preset].settings
    net = "nin_variant,inner=0" if settings.optimizer == "adam" else settings.model
    return settings.but(model=f"{net},dropout=0", batch_size=8, dataset="sample", limit=8 * STEPS,
                        epochs=1, augment="none", preprocess="none",
                        resize=32 if net == "cifar_nin" else 67, init="xavier", seed=3)


def start(parameters, settings):
    """Parameters to start from, drawn by NumPy, so that they are the same on every machine.

    At its kink a ReLU, and between two nearly equal values a pooling, let rounding decide which
    way a gradient goes, and training amplifies that. So the biases lift units above zero, and the
    weights are half of Xavier's (for Adam, see `small`). Of a few seeds of NumPy's, these are
    among those from which a change of all parameters by a millionth moves the outcome least.
    """
    adam, last = settings.optimizer == "adam", list(parameters)[-2:]
    weights, biases = np.random.RandomState(3 if adam else 1), np.random.RandomState(0)

    def draw(name, value):
        if not name.endswith("weight"):
            bounds = (1, 1.5) if name in last else (0.3, 0.5)
            return biases.uniform(*bounds, value.shape).astype(np.float32)
        factor = (0.04 if name in last else 2) if adam else 0.5
        bound = np.sqrt(6 / (value[0, 0].size * sum(value.shape[:2])))
        drawn = weights.uniform(-bound, bound, value.shape).astype(np.float32)
        return drawn * np.float32(factor)

    return {name: draw(name, value) for name, value in parameters.items()}


def train(run):
    """Mean losses of 20 steps from a given start, and the parameters after them."""
    settings = run.settings
    run.engine.put_parameters(start(run.engine.parameters(), settings))
    np.random.seed(5)  # the order of the images
    sums = run.engine.fetch([run.engine.train_step(X, y) for X, y in run.train_iter])
    return sums[:, 0, 0] / settings.batch_size, run.engine.parameters()


def kept(parameters):
    """Of every parameter the largest size of a value, and some values."""
    found = {}
    for name, value in parameters.items():
        at = np.random.RandomState(value.size).choice(value.size, min(KEPT, value.size), False)
        found[name] = {"largest": float(np.abs(value).max()),
                       "values": value.ravel()[at].tolist()}
    return found


def digest(images):
    """What tells whether two machines draw the same sample of images."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()[:16]


def gluon_result(preset):
    """What Gluon's engine comes to on a CPU."""
    import nin_gluon  # noqa: F401  # isort: skip  (it prepares MXNet)
    import mxnet as mx

    from nin_gluon.training import gluon_run
    from nin_gluon.training.workers import Workers

    run = gluon_run.prepare(RunConfig(preset, small(preset)), [mx.cpu()], Workers("device"))
    losses, parameters = train(run)
    return {"images": digest(run.train_iter.images.asnumpy()), "losses": losses.tolist(),
            "parameters": kept(parameters)}


def stored_results():
    """``gluon_results.json``: {preset: result of `gluon_result`}."""
    return parse_json(read_text(RESULTS))


def differences(preset, device, mode="auto"):
    """How far the PyTorch engine is from the stored results, as a JSON object.

    Parameters
    ----------
    preset : str
    device : torch.device
    mode : str
        As --mode has it.

    Returns
    -------
    dict
        ``loss``: the largest difference of a loss. ``parameter``: the largest difference of a
        value, over the largest value of its parameter, and ``worst``, the name of that parameter.
        ``passed``: whether both are within tolerance, on the same images.
    """
    from nin_gluon.training import torch_run
    from nin_gluon.training.run_folder import Environment
    from nin_gluon.training.torch_workers import TorchWorkers

    run = torch_run.prepare(RunConfig(preset, small(preset), Environment(mode=mode)), device,
                            TorchWorkers())
    losses, parameters = train(run)
    gluon, ours = stored_results()[preset], kept(parameters)
    same_images = digest(run.train_iter.images.cpu().numpy()) == gluon["images"]
    loss = float(np.abs(losses - gluon["losses"]).max())
    apart = {name: float(np.abs(np.subtract(ours[name]["values"], expected["values"])).max()
                         / expected["largest"])
             for name, expected in gluon["parameters"].items()}
    worst = max(apart, key=apart.get)
    return {"loss": loss, "parameter": apart[worst], "worst": worst, "same_images": same_images,
            "mode": run.engine.mode,
            "passed": bool(same_images and list(ours) == list(apart) and loss <= LOSS
                           and apart[worst] <= PARAMETER)}


@command
def main(argv=None):
    """Write ``gluon_results.json``."""
    ArgumentParser(prog="python -m benchmarks.parity", description=__doc__).parse_args(argv)
    results = {preset: gluon_result(preset) for preset in PRESETS}
    write_text(RESULTS, json.dumps(results) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
