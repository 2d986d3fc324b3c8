"""What an export starts from: a run's settings and its parameters as NumPy arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

import numpy as np

from nin_gluon.data.sets import SHAPES
from nin_gluon.errors import InputError
from nin_gluon.settings import Settings
from nin_gluon.training import checkpoint
from nin_gluon.training.checkpoint.array_files import Entry, read_safetensors
from nin_gluon.training.checkpoint.checks import same, total
from nin_gluon.training.history import warn_unless_finished
from nin_gluon.training.run_folder import RunConfig, read_config

__all__ = ["Trained", "read_run"]


@dataclass(frozen=True)
class Trained:
    """A trained net.

    Attributes
    ----------
    config : RunConfig
        Its settings name the net, the data set and the size of its images.
    parameters : dict of str to numpy.ndarray
        In the net's order, by position and role: ``000.weight``, ``001.bias``. float32.
    source : str
        Which parameters these are: the name of a checkpoint or of a file.
    """

    config: RunConfig
    parameters: Dict[str, np.ndarray]
    source: str

    @property
    def settings(self) -> Settings:
        return self.config.settings


def read_run(folder: Path) -> Trained:
    """The net of a run folder, with its newest parameters.

    Only the framework that trained the net is needed.

    Raises
    ------
    InputError
        It is no run folder, or its parameters are missing, damaged or those of another net.
    """
    config = read_config(folder)
    settings = config.settings
    if settings.dataset not in SHAPES or settings.resize is None:
        raise InputError(f"the settings of {folder} lack the data set or the size of its images; "
                         "the run has not started yet.")
    if settings.engine == "torch":
        return read_torch_run(folder, config)

    import mxnet as mx

    from nin_gluon import models
    from nin_gluon.analysis.class_maps import load_parameters
    from nin_gluon.training.checkpoint.net_parameters import named_parameters

    net = models.get_model(settings.model)
    source = load_parameters(folder, settings, net, mx.cpu())
    return Trained(config, {name: parameter.data().asnumpy()
                            for name, parameter in named_parameters(net).items()}, source)


def read_torch_run(folder: Path, config: RunConfig) -> Trained:
    """`read_run` for a run of the PyTorch engine."""
    from nin_gluon.torch_models.nets import known_net

    settings = config.settings
    saved = checkpoint.complete(folder)
    exported = sorted(folder.glob("model-*.safetensors"))
    if not saved and not exported:
        raise InputError(f"{folder} holds no parameters, neither a checkpoint nor "
                         "model-*.safetensors.")
    path = saved[-1] / "net.safetensors" if saved else exported[-1]
    net = known_net(settings.model, SHAPES[str(settings.dataset)][2], settings.resize or 0)
    # A checkpoint names parameters by position, an exported file as PyTorch does.
    names = {name: f"{i:03d}.{name.rsplit('.', 1)[-1]}" for i, name in enumerate(net.state_dict())}
    wanted: List[Entry] = [Entry(names[name] if saved else name, tuple(p.shape),
                                 np.dtype(np.float32)) for name, p in net.state_dict().items()]
    try:
        found = read_safetensors(path, total(wanted), same(wanted))
    except ValueError as error:
        raise InputError(f"{path} cannot be read as parameters of {settings.model} ({error})."
                         ) from None
    warn_unless_finished(folder, settings.epochs, saved[-1] if saved else path)
    return Trained(config, dict(zip(names.values(), (found[entry.name] for entry in wanted))),
                   saved[-1].name if saved else path.name)
