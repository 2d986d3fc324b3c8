"""The folder that a run leaves: who may write there, what is in ``config.json``, the exported net.

A run folder holds ``config.json`` (settings, machine and versions), ``history.jsonl`` (a line an
epoch), ``progress.jsonl`` (loss within the epochs), ``curves.png``, ``predictions.png``, the
exported net (``model-symbol.json``, ``model-EEEE.params``) and ``checkpoint/``. Each file is
written beside its place and renamed, so nobody ever reads half of one.
"""

import json
import os
import re
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional

from nin_gluon.atomic_files import make_folder, replacing, write_text
from nin_gluon.checked_files import (
    BadFile,
    check_path,
    check_text,
    check_whole,
    is_file,
    parse_json,
    read_text,
    reason,
    shown,
)
from nin_gluon.errors import InputError, WriteError, why
from nin_gluon.settings import MODES, Settings

if TYPE_CHECKING:
    import filelock
    from mxnet.gluon import Block

__all__ = ["EXPORT_PARTS", "LONGEST_CONFIG", "TORCH_EDITION", "Environment", "RunConfig",
           "check_places", "claim", "export_net", "exported_models", "lock", "new_folder",
           "read_config", "write_config", "write_export"]

EXPORTED = re.compile(r"model-\d{4,}\.(params|safetensors)")

# What `write_export` may leave beside the parameters if it is killed.
AGAIN = "again"
EXPORT_PARTS = ("model-symbol.json", AGAIN)

LONGEST_CONFIG = 2**20  # bytes
TORCH_EDITION = "torch_edition"  # the preset of runs that only the command of that name trains
LONGEST_NAME = 500  # characters of a preset, a device, a fingerprint


@dataclass(frozen=True)
class Environment:
    """Where a run is made: devices, machine, files. `Settings` says what it computes."""

    ctx: str = "auto"  # as --ctx was given
    data_dir: Optional[str] = None  # as --data-dir was given
    workers: int = 1  # processes that train the net together
    # Tells a data set of the user's own from others of its name; see `nin_gluon.data.sets.own_data`
    own_data: Optional[str] = None
    init_file: Optional[str] = None  # as --init-from was given; the settings have its digest
    mode: str = "auto"  # as --mode was given: how PyTorch runs a step
    # `nin_gluon.runtime.describe_machine`, and the devices; None before the run has started.
    machine: Optional[Dict[str, Any]] = None


@dataclass(frozen=True)
class RunConfig:
    """What ``config.json`` says: the settings, the preset they came from, and where it ran."""

    preset: str
    settings: Settings
    environment: Environment = Environment()

    def to_json(self) -> Dict[str, Any]:
        """One flat JSON object."""
        return {"preset": self.preset, **self.settings.to_json(), **asdict(self.environment)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunConfig":
        """The config that `to_json` gave; a setting that is missing has the textbook's value.

        Runs of earlier versions lack the settings that there were not yet.

        Raises
        ------
        ValueError
            A value has the wrong type or is illegal, or a key is unknown.
        """
        if not isinstance(content, dict):
            raise InputError("it is not a JSON object")
        rest = dict(content)
        preset = check_text("preset", rest.pop("preset", None), longest=LONGEST_NAME)
        where = {f.name: rest.pop(f.name) for f in fields(Environment) if f.name in rest}
        environment = Environment(**where)
        check_text("ctx", environment.ctx, longest=LONGEST_NAME)
        if environment.mode not in MODES:
            raise ValueError(f"mode is {shown(environment.mode)}; it must be one of "
                             f"{', '.join(MODES)}")
        check_path("data_dir", environment.data_dir)
        check_path("init_file", environment.init_file)
        check_whole("workers", environment.workers, 1)
        if environment.own_data is not None:
            check_text("own_data", environment.own_data, longest=LONGEST_NAME)
        if not isinstance(environment.machine, (dict, type(None))):
            raise ValueError(f"machine is {shown(environment.machine)}, not a JSON object")
        return cls(preset, Settings.from_json(rest), environment)


def read_config(folder: Path) -> RunConfig:
    """The config of the run in a folder.

    Raises
    ------
    InputError
        The folder holds no run, or one of the book's PyTorch edition, or its ``config.json`` is
        damaged.
    """
    path = Path(folder, "config.json")
    try:
        config = RunConfig.from_json(parse_json(read_text(path, LONGEST_CONFIG)))
    except FileNotFoundError:
        raise InputError(f"{folder} is not a run folder: it has no config.json.") from None
    except BadFile:
        raise
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({reason(error)}).") from None
    if config.preset == TORCH_EDITION:
        raise InputError(f"{folder} is a run of the book's PyTorch edition, which only python -m "
                         "nin_gluon.torch_edition --resume takes.")
    return config


def write_config(folder: Path, config: RunConfig) -> None:
    """Write ``config.json``."""
    write_text(Path(folder, "config.json"), json.dumps(config.to_json(), indent=1) + "\n")


# ------------------------------------------------------------------ the folder itself


def new_folder(out: Optional[str], name: str) -> Path:
    """The folder for a new run: `out` if the user named one, else ``runs/<time>-<name>``.

    Raises
    ------
    InputError
        Something is in `out` already.
    """
    if not out:
        return Path("runs", f"{time.strftime('%Y-%m-%d_%H%M%S')}-{name}")
    folder = Path(out)
    if not folder.exists():
        return folder
    # A run that could not even write its config.json has left a lock, and nothing else.
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {".lock"}:
        raise already_there(folder)
    return folder


def already_there(folder: Path) -> InputError:
    return InputError(f"--out {folder} is there already; choose another folder, or go on with the "
                      f"run in it by --resume {folder}.")


def claim(folder: Path) -> Path:
    """Make a folder that we named ourselves; of two runs started in one second each gets its own.
    """
    make_folder(folder.parent)
    try:
        folder.mkdir()
        return folder
    except FileExistsError:
        return folder.with_name(f"{folder.name}-{os.getpid()}")
    except OSError as error:
        raise WriteError(f"the run folder {folder} cannot be made: {why(error)}") from None


def lock(folder: Path) -> "filelock.AcquireReturnProxy":
    """Make the run folder and hold its lock: one process at a time trains in it.

    Raises
    ------
    InputError
        Another process holds it.
    """
    import filelock

    make_folder(folder)
    path = folder / ".lock"
    if path.is_symlink():  # to open a lock is to empty the file
        raise InputError(f"{path} is a link, and this command makes none; move it away.")
    is_file(path)
    try:
        return filelock.FileLock(path, timeout=0).acquire()
    except filelock.Timeout:
        raise InputError(f"another process is training in {folder}; wait for it or stop it."
                         ) from None
    except OSError as error:
        raise WriteError(f"the run folder {folder} cannot be written: {why(error)}") from None


def check_places(folder: Path, names: Iterable[str]) -> None:
    """Raise InputError if something else than a file is where a run writes its files."""
    for name in [*names, *(path.name for path in exported_models(folder))]:
        is_file(folder / name)


def exported_models(folder: Path, suffix: str = "*") -> List[Path]:
    """What earlier epochs exported, oldest first. Files of a user's own names are none of them."""
    return sorted(path for path in Path(folder).glob(f"model-*.{suffix}")
                  if EXPORTED.fullmatch(path.name))


def export_net(net: "Block", folder: Path, epoch: int) -> Path:
    """Write ``model-symbol.json`` and ``model-EEEE.params``, and remove an earlier epoch's.

    ``gluon.SymbolBlock.imports`` reads the pair. Returns the parameters' path.
    """
    target = Path(folder, f"model-{epoch:04d}.params")
    earlier = [path for path in exported_models(folder, "params") if path != target]
    with replacing(target) as parameters:
        with replacing(Path(folder, "model-symbol.json")) as symbol:
            write_export(net, parameters.with_name("model"), epoch)
            parameters.with_name("model-symbol.json").rename(symbol)
    for path in earlier:
        path.unlink()
    return target


def write_export(net: "Block", path: Path, epoch: int) -> None:
    """Have MXNet write the pair; if the operating system refuses, raise its OSError.

    MXNet does not pass on why a write failed, so the same bytes are written once more to find out.
    """
    import mxnet as mx

    try:
        net.export(str(path), epoch)
    except mx.base.MXNetError:
        size = sum(p.data(p.list_ctx()[0]).size for p in net.collect_params().values())
        path.with_name(AGAIN).write_bytes(bytes(4 * size))
        raise
