"""The recipe of the PyTorch edition, and the ``config.json`` of its runs.

PyTorch is not imported here: ``--help`` has to be quick.
"""

from pathlib import Path
from typing import Any, Dict

from nin_gluon.checked_files import BadFile, parse_json, read_text, reason, shown
from nin_gluon.errors import InputError
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.run_folder import LONGEST_CONFIG, TORCH_EDITION, RunConfig

__all__ = ["DTYPES", "FREE", "RECIPE", "parse_config", "read_config"]

# Source: Dive into Deep Learning 2.0, section 7.3. Initial biases, order of the images and resizing
# are that edition's, too, which the settings have no words for.
RECIPE = TEXTBOOK.but(engine="torch", epochs=10)

# The settings that this command has options for; the others are the recipe's.
FREE = ("epochs", "batch_size", "lr", "dtype", "seed", "dataset", "resize", "limit")

DTYPES = ("float32", "bfloat16")

# What the ``config.json`` of such runs held besides before it had today's form.
OLD_ENVIRONMENT = ("ctx", "mode", "data_dir", "own_data", "machine")


def read_config(folder: Path) -> RunConfig:
    """The config of the run in a folder.

    Raises
    ------
    InputError
        The folder holds no run, its ``config.json`` is damaged, or it is of another command.
    """
    path = Path(folder, "config.json")
    try:
        return parse_config(parse_json(read_text(path, LONGEST_CONFIG)))
    except FileNotFoundError:
        raise InputError(f"--resume {folder} is not a run folder: it has no config.json.") from None
    except BadFile:
        raise
    except ValueError as error:
        raise InputError(f"{path} is not that of a run of nin_gluon.torch_edition "
                         f"({reason(error)}).") from None


def parse_config(content: Any) -> RunConfig:
    """The config that a JSON object holds, in today's form or in the one before.

    Raises
    ------
    ValueError
        A key is missing or unknown, a value has the wrong type or is illegal, or the settings are
        not that edition's.
    """
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    config = RunConfig.from_json(content if "preset" in content else from_old(content))
    settings = config.settings
    other = sorted(set(settings.differences(RECIPE)) - set(FREE))
    if config.preset != TORCH_EDITION or other:
        raise ValueError(f"its {other[0] if other else 'preset'} is another")
    if settings.dtype not in DTYPES:
        raise ValueError(f"dtype is {shown(settings.dtype)}; it must be one of "
                         f"{', '.join(DTYPES)}")
    if settings.resize is None:
        raise ValueError("resize is missing")
    return config


def from_old(content: Dict[str, Any]) -> Dict[str, Any]:
    """Today's form of a ``config.json`` of the form before; its values are still to be checked."""
    known = (*FREE, *OLD_ENVIRONMENT)
    for name in content:
        if name not in known:
            raise ValueError(f"{shown(name)} is not a setting of such a run")
    for name in known:
        if name not in content and name not in ("machine", "own_data"):
            raise ValueError(f"{name!r} is missing")
    config = {**RECIPE.to_json(), **content, "preset": TORCH_EDITION}
    if "own_data" not in content:  # without a machine nobody asks which files the run began with
        config["machine"] = None
    return config
