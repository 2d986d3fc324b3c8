"""The settings of a run in PyTorch, where it is made, and its ``config.json``.

PyTorch is not imported here: ``--help`` has to be quick.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from nin_gluon.atomic_files import write_text
from nin_gluon.checked_files import (
    BadFile,
    check_path,
    check_text,
    parse_json,
    read_text,
    reason,
    shown,
)
from nin_gluon.errors import InputError
from nin_gluon.settings import MODES, at_least_0, check_settings, positive, setting

__all__ = ["MODES", "TorchConfig", "TorchEnvironment", "TorchSettings", "read_config",
           "write_config"]

LONGEST_CONFIG = 2**20  # bytes
LONGEST_NAME = 500  # characters of a device or a fingerprint


@dataclass(frozen=True)
class TorchSettings:
    """Everything that decides what a run computes. The defaults are the PyTorch edition's recipe.

    Attributes
    ----------
    epochs : int
        Passes over the training images.
    batch_size : int
        Images in a training step.
    lr : float
        Learning rate of SGD.
    dtype : {"float32", "bfloat16"}
        Arithmetic of the convolutions. Parameters and loss are float32 in any case.
    seed : int
        Of initialization, image order and dropout.
    dataset : str or None
        None stands for Fashion-MNIST, or for the sample if that cannot be had.
    resize : int
        Edge length of the images in pixels.
    limit : int or None
        Use only the first so many training images and as many test images.

    Raises
    ------
    InputError
        A value has the wrong type or is out of range; the message names the setting.

    Notes
    -----
    Source of the defaults: Dive into Deep Learning 2.0, section 7.3.
    """

    epochs: int = setting(10, int, "passes over the training images (default: 10)",
                          allowed=positive, metavar="N")
    batch_size: int = setting(128, int, "images in a step (default: 128)", allowed=positive,
                              metavar="N")
    lr: float = setting(0.1, float, "learning rate of SGD (default: 0.1)", allowed=positive)
    dtype: str = setting("float32", str, (
        "arithmetic of the convolutions; parameters and loss stay float32 (default: float32)"),
        choices=("float32", "bfloat16"))
    seed: int = setting(0, int, "of initialization, image order and dropout (default: 0)",
                        allowed=at_least_0, metavar="N")
    dataset: Optional[str] = setting(None, str, (
        "fashion-mnist, cifar10, or sample: drawn garments that need no download (default: "
        "fashion-mnist, or the sample if that cannot be had)"), optional=True, metavar="NAME",
        group="data")
    resize: int = setting(224, int, "edge length in pixels (default: 224)", allowed=positive,
                          metavar="N", group="data")
    limit: Optional[int] = setting(None, int, (
        "use only the first N training images and the first N test images"), allowed=positive,
        metavar="N", optional=True, group="data")

    def __post_init__(self) -> None:
        check_settings(self)

    def but(self, **changes: Any) -> "TorchSettings":
        """The same settings with some changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class TorchEnvironment:
    """Where and how a run is made. `TorchSettings` says what it computes."""

    ctx: str = "auto"  # as --ctx was given
    mode: str = "auto"  # one of `MODES`
    data_dir: Optional[str] = None  # as --data-dir was given
    # Tells a data set of the user's own from others of its name; see `nin_gluon.data.sets.own_data`
    own_data: Optional[str] = None
    machine: Optional[Dict[str, Any]] = None  # None before the run has started

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"mode is {shown(self.mode)}; the modes are {', '.join(MODES)}")


@dataclass(frozen=True)
class TorchConfig:
    """What ``config.json`` says: the settings, and where the run was made."""

    settings: TorchSettings = TorchSettings()
    environment: TorchEnvironment = TorchEnvironment()
    # Whether `environment.own_data` is known. Runs of version 0.1 did not note it.
    knows_own_data: bool = False

    def to_json(self) -> Dict[str, Any]:
        """One flat JSON object."""
        return {**asdict(self.settings), **asdict(self.environment)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TorchConfig":
        """The config that `to_json` gave.

        Raises
        ------
        ValueError
            A key is missing or unknown, or a value has the wrong type or is illegal.
        """
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
        known = {f.name: kind for kind in (TorchSettings, TorchEnvironment) for f in fields(kind)}
        for name in content:
            if name not in known:
                raise ValueError(f"{shown(name)} is not a setting of such a run")
        for name in known:
            if name not in content and name not in ("machine", "own_data"):
                raise ValueError(f"{name!r} is missing")
        settings, environment = ({name: content[name] for name in content if known[name] is kind}
                                 for kind in (TorchSettings, TorchEnvironment))
        check_environment(environment)
        return cls(TorchSettings(**settings), TorchEnvironment(**environment),
                   "own_data" in content)


def check_environment(content: Mapping[str, Any]) -> None:
    """Raise ValueError unless the fields of a `TorchEnvironment` are of the right types."""
    check_text("ctx", content["ctx"], longest=LONGEST_NAME)
    check_path("data_dir", content["data_dir"])
    if content.get("own_data") is not None:
        check_text("own_data", content["own_data"], longest=LONGEST_NAME)
    if not isinstance(content.get("machine"), (dict, type(None))):
        raise ValueError(f"machine is {shown(content['machine'])}, not a JSON object")


def read_config(folder: Path) -> TorchConfig:
    """The config of the run in a folder.

    Raises
    ------
    InputError
        The folder holds no run, its ``config.json`` is damaged, or it is of another command.
    """
    path = Path(folder, "config.json")
    try:
        return TorchConfig.from_json(parse_json(read_text(path, LONGEST_CONFIG)))
    except FileNotFoundError:
        raise InputError(f"--resume {folder} is not a run folder: it has no config.json.") from None
    except BadFile:
        raise
    except ValueError as error:
        raise InputError(f"{path} is not that of a run of nin_gluon.torch_edition "
                         f"({reason(error)}).") from None


def write_config(folder: Path, config: TorchConfig) -> None:
    """Write ``config.json``."""
    write_text(Path(folder, "config.json"), json.dumps(config.to_json(), indent=1) + "\n")
