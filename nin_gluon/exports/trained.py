"""What an export starts from: a trained net's settings and its parameters as NumPy arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from nin_gluon.array_files import Entry
from nin_gluon.data.sets import SHAPES
from nin_gluon.errors import InputError
from nin_gluon.pretrained import read_packaged
from nin_gluon.runtime import choose_engine
from nin_gluon.settings import Settings
from nin_gluon.training.history import warn_unless_finished
from nin_gluon.training.run_data import check_memory
from nin_gluon.training.run_folder import Environment, RunConfig, read_config
from nin_gluon.training.saved_parameters import newest_parameters, read_newest

__all__ = ["Trained", "read_pretrained", "read_run"]


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
    line : (float, float), optional
        Where it is settled how a pixel x is standardized: it becomes ``line[0] + line[1] * x``.
    """

    config: RunConfig
    parameters: Dict[str, np.ndarray]
    source: str
    line: Optional[Tuple[float, float]] = None

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
    check_memory(settings, SHAPES[settings.dataset][2], 1, "use another run")
    newest_parameters(folder)  # if there are none, say so before the net is built
    try:
        wanted = entries_of(settings)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"the settings of {folder} do not fit together ({error}).") from None
    values, path, source = read_newest(folder, wanted, settings.model)
    warn_unless_finished(folder, settings.epochs, path)
    return Trained(config, {entry.name: value for entry, value in zip(wanted, values)}, source)


def read_pretrained() -> Trained:
    """The trained net that comes with the package; no images are needed.

    Raises
    ------
    InputError
        There is no such trained net, or its file is damaged.
    """
    weights = read_packaged("nin")
    made_of = weights.preprocessing
    settings = weights.run_settings(choose_engine("cpu", "using PyTorch"), weights.settings.dtype)
    wanted = entries_of(settings)
    values = weights.for_net([entry.shape for entry in wanted])
    line = (-made_of.mean / made_of.deviation, 1 / made_of.deviation)
    return Trained(RunConfig("pretrained", settings, Environment("cpu")),
                   {entry.name: value for entry, value in zip(wanted, values)},
                   "nin.safetensors", line)


def entries_of(settings: Settings) -> List[Entry]:
    """The parameters of the net that these settings name, in its order, by position and role.

    Raises
    ------
    ValueError
        The net is unknown, or cannot take the images.
    """
    channels, edge = SHAPES[str(settings.dataset)][2], settings.edge
    if settings.engine == "torch":
        from nin_gluon.torch_models.nets import known_net

        net = known_net(settings.model, channels, edge)
        return [Entry(f"{i:03d}.{name.rsplit('.', 1)[-1]}", tuple(p.shape), np.dtype(np.float32))
                for i, (name, p) in enumerate(net.named_parameters())]

    from nin_gluon import models
    from nin_gluon.training.checkpoint.net_parameters import (
        entry_of,
        infer_shapes,
        named_parameters,
    )

    net = models.get_model(settings.model)
    infer_shapes(net, (channels, edge, edge))
    return [entry_of(name, parameter) for name, parameter in named_parameters(net).items()]
