"""What a seed decides before the first step: which classes are dead, how small the signal is.

Only what a run starts from enters: its initial parameters, and real images.
"""

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import numpy as np

from nin_gluon.settings import TEXTBOOK, Settings
from nin_gluon.training.run_folder import Environment, RunConfig

__all__ = ["InitialState", "measure_start"]

# For each batch: shares above zero before and after the last layer, as in `InitialState`; scores.
Look = Tuple[List[float], List[np.ndarray], List[np.ndarray]]


@dataclass(frozen=True)
class InitialState:
    """An untrained net, as the test images of its run see it.

    Attributes
    ----------
    living : tuple of int
        Numbers of the classes that have a score above zero for any image.
    spread : float
        How far a class's score differs from image to image: standard deviation, root mean square
        over the classes.
    positive : tuple of float
        Of the last layer, for each class: the share of places of its map, over all images, at which
        the value that enters the ReLU is above zero.
    positive_before : float
        The same of the layer before it, over all channels.
    """

    living: Tuple[int, ...]
    spread: float
    positive: Tuple[float, ...]
    positive_before: float


def measure_start(settings: Settings, data_dir: Optional[str] = None,
                  init_file: Optional[str] = None) -> InitialState:
    """Measure the net that a run with these settings starts from, on the CPU in float32.

    It takes all test images that the run takes, so that the living classes can be compared with
    those of its history.

    Parameters
    ----------
    settings : Settings
        With data set and image size settled.
    data_dir : str, optional
        Folder with the data set's files.
    init_file : str, optional
        The file that ``settings.init_from`` is the digest of.

    Raises
    ------
    InputError
        The images or that file cannot be read.
    RuntimeError
        This process has switched MXNet to bfloat16, which cannot be undone.
    """
    given = settings.but(dtype=TEXTBOOK.dtype, validation=None)
    config = RunConfig("", given, Environment(ctx="cpu", data_dir=data_dir, init_file=init_file))
    look = look_in_torch if settings.engine == "torch" else look_in_gluon
    before, positive, scores = look(config)
    sizes = [len(batch) for batch in scores]
    values = np.concatenate(scores).astype(np.float64)
    return InitialState(
        living=tuple(int(number) for number in np.flatnonzero((values > 0).any(axis=0))),
        spread=float(np.sqrt(values.var(axis=0).mean())),
        positive=tuple(np.average(positive, axis=0, weights=sizes).astype(float).tolist()),
        positive_before=float(np.average(before, weights=sizes)))


def look_in_gluon(config: RunConfig) -> Look:
    """Send the test images through the net that MXNet draws."""
    import mxnet as mx

    from nin_gluon.models.geometry import leaves
    from nin_gluon.runtime import precision
    from nin_gluon.training.gluon_run import prepare
    from nin_gluon.training.workers import join

    if precision() != "float32":
        raise RuntimeError(f"this process computes in {precision()}; measure starts in another")
    run = prepare(config, [mx.cpu()], join("device"))
    run.start()  # with the parameters of a file, if the settings ask for them
    engine: Any = run.engine
    net, positive, before, scores = engine.net, [], [], []
    last = [layer for layer in leaves(net) if isinstance(layer, mx.gluon.nn.Conv2D)][-1]
    for X, _ in run.test_iter:
        x = X
        for layer in leaves(net):
            if layer is last:
                before.append((x > 0).mean().asscalar())
                maps = mx.nd.Convolution(x, last.weight.data(), last.bias.data(), **last._kwargs)
                positive.append((maps > 0).mean(axis=(0, 2, 3)).asnumpy())
            x = layer(x)
        scores.append(x.asnumpy())
    return before, positive, scores


def look_in_torch(config: RunConfig) -> Look:
    """Send the test images through the net that PyTorch draws."""
    import torch

    from nin_gluon.training.torch_run import prepare
    from nin_gluon.training.torch_workers import TorchWorkers

    run = prepare(config, torch.device("cpu"), TorchWorkers())
    run.start()
    engine: Any = run.engine
    positive, before, scores = [], [], []
    last = [layer for layer in engine.net.modules() if isinstance(layer, torch.nn.Conv2d)][-1]

    def note(layer: Any, inputs: Any, maps: Any) -> None:
        before.append(float((inputs[0] > 0).float().mean()))
        positive.append((maps > 0).float().mean(dim=(0, 2, 3)).numpy())

    last.register_forward_hook(note)
    engine.net.eval()
    with torch.no_grad():
        for X, _ in run.test_iter:
            scores.append(engine.net(X).numpy())
    return before, positive, scores
