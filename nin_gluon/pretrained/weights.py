"""The file of a trained net: its parameters, and what one has to know to use them.

It is a safetensors file. The arrays are named by position in the net (``000.weight``,
``001.bias``), in float32 or float16. The metadata maps these names to text:

- ``format``: ``nin_gluon 1``, the version of all this;
- ``name``: the net's, as `nin_gluon.get_model` takes it;
- ``classes``: their names in the order of the scores, a JSON list;
- ``preprocessing``: how an image becomes the net's input, the JSON of `Preprocessing`;
- ``settings``: of the training run, the JSON of `nin_gluon.settings.Settings`;
- ``command``: makes that run;
- ``evaluation``: how the net does on the test images, JSON: ``accuracy``, ``loss``, ``images``,
  and ``dtype``, the arithmetic;
- ``sha256``: of the other metadata (JSON with sorted keys, no spaces, UTF-8), followed by the data.
"""

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from nin_gluon.array_files import (
    LONGEST_HEADER,
    Entry,
    opened,
    read_entry,
    scan_safetensors,
    write_safetensors,
)
from nin_gluon.atomic_files import replacing
from nin_gluon.checked_files import (
    check_keys,
    check_number,
    check_text,
    check_whole,
    exactly,
    parse_json,
    reason,
    shown,
    size_of,
)
from nin_gluon.data.sets import SHAPES
from nin_gluon.errors import InputError
from nin_gluon.settings import Settings

__all__ = ["Preprocessing", "Weights", "read_packaged", "read_weights", "write_weights"]

FORMAT = "nin_gluon 1"
KEYS = ("format", "name", "classes", "preprocessing", "settings", "command", "evaluation")

MOST_BYTES = 16 * 2**20  # of parameters; the chapter's net has 8 million
MOST_CLASSES = 1000
LONGEST_NAME = 100  # characters, of a net, a class or an array
LONGEST_COMMAND = 2000
LARGEST_IMAGE = 4096  # pixels along an edge

# Names the folder with the trained nets, in place of this one.
VARIABLE = "NIN_GLUON_PRETRAINED"

DTYPES: Dict[str, np.dtype] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the net's input.

    It is fitted into `height` x `width` pixels with `channels` colours of one byte, and enlarged to
    `resize` x `resize` pixels. A byte b then becomes (b - mean) / deviation.
    """

    height: int
    width: int
    channels: int
    resize: int
    interpolation: str  # "bilinear" or "bicubic"; see `nin_gluon.data.resize`
    mean: float
    deviation: float

    @property
    def levels(self) -> np.ndarray:
        """What each of the 256 bytes becomes: (256,), float32."""
        return ((np.arange(256) - self.mean) / self.deviation).astype(np.float32)


@dataclass(frozen=True)
class Weights:
    """A trained net, as the file has it.

    Attributes
    ----------
    name : str
    classes : tuple of str
    preprocessing : Preprocessing
    settings : Settings
    command : str
    evaluation : dict
    parameters : dict of str to numpy.ndarray
        In the net's order, float32.
    storage : {"float32", "float16"}
        How the file has them.
    """

    name: str
    classes: Tuple[str, ...]
    preprocessing: Preprocessing
    settings: Settings
    command: str
    evaluation: Dict[str, Any]
    parameters: Dict[str, np.ndarray]
    storage: str = "float32"

    def run_settings(self, engine: str, dtype: str) -> Settings:
        """The settings of a run that computes the net on the images that it was made for."""
        return self.settings.but(
            engine=engine, dtype=dtype, resize=self.preprocessing.resize,
            interpolation=self.preprocessing.interpolation, limit=None, validation=None,
            preprocess="standardize")

    def for_net(self, shapes: List[Tuple[int, ...]]) -> List[np.ndarray]:
        """The parameters, if they have the shapes of a net's, in its order.

        Raises
        ------
        InputError
            They are those of another net, or of this one with other options.
        """
        if [array.shape for array in self.parameters.values()] != shapes:
            raise InputError(f"the trained {self.name} is that of {self.settings.model} with "
                             f"{len(self.classes)} classes; leave out other options with "
                             "pretrained=True.")
        return list(self.parameters.values())


# ------------------------------------------------------------------ reading


def read_packaged(name: str) -> Weights:
    """The trained net of a name that comes with the package.

    The environment variable ``NIN_GLUON_PRETRAINED`` may name another folder to look in.

    Raises
    ------
    InputError
        There is none, or its file is damaged.
    """
    folder = Path(os.environ.get(VARIABLE) or Path(__file__).parent)
    path = folder / f"{name}.safetensors"
    try:
        weights = read_weights(path)
    except FileNotFoundError:
        there = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none"
        raise InputError(f"there is no trained {name} in {folder} (trained nets there: {there}); "
                         "train one with python -m nin_gluon.train, or name a folder that has "
                         f"{name}.safetensors with {VARIABLE}.") from None
    if weights.name != name:
        raise InputError(f"{path} has the net {weights.name}; name the file after it.")
    return weights


def read_weights(path: Path) -> Weights:
    """Read and check the file of a trained net.

    Raises
    ------
    FileNotFoundError
        There is nothing under this name.
    InputError
        It is damaged, or not such a file.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise FileNotFoundError(str(path))
    try:
        with opened(path, MOST_BYTES + LONGEST_HEADER + 8) as file:
            content = exactly(file, size_of(file))
        return parse_weights(content)
    except ValueError as error:
        raise InputError(f"{path} cannot be read as a trained net ({reason(error)}); install the "
                         "package again, or bring back a whole copy.") from None


def parse_weights(content: bytes) -> Weights:
    """The trained net in a file of this content; ValueError says what is wrong with it."""
    file = io.BytesIO(content)
    entries, metadata = scan_safetensors(file, len(content))
    check_keys(metadata, [*KEYS, "sha256"])
    if metadata["format"] != FORMAT:
        raise ValueError(f"its format is {shown(metadata['format'])}, not {FORMAT}")
    if any(not isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not text")
    start = min((entry.offset for entry in entries), default=len(content))
    if metadata.pop("sha256") != checksum(metadata, content[start:]):
        raise ValueError("its content is not that of its checksum")
    check_text("name", metadata["name"], 1, LONGEST_NAME)
    check_text("command", metadata["command"], 1, LONGEST_COMMAND)
    classes = parse_json(metadata["classes"])
    if not isinstance(classes, list) or not 1 <= len(classes) <= MOST_CLASSES:
        raise ValueError(f"classes are not a list of 1 to {MOST_CLASSES} names")
    for name in classes:
        check_text("a class", name, 1, LONGEST_NAME)
    storage = storage_of(entries)
    parameters = {entry.name: read_entry(file, entry).astype(np.float32) for entry in
                  sorted(entries, key=lambda entry: entry.name)}
    if not all(np.isfinite(array).all() for array in parameters.values()):
        raise ValueError("a parameter is not finite")
    last = list(parameters.values())[-1:]
    if not last or last[0].shape != (len(classes),):
        raise ValueError(f"its net does not tell its {len(classes)} classes")
    settings = Settings.from_json(parse_object("settings", metadata["settings"]))
    if settings.dataset not in SHAPES:
        raise ValueError(f"its data set is {shown(settings.dataset)}, which is unknown")
    return Weights(metadata["name"], tuple(classes),
                   parse_preprocessing(parse_json(metadata["preprocessing"])), settings,
                   metadata["command"], parse_evaluation(parse_json(metadata["evaluation"])),
                   parameters, storage)


def checksum(metadata: Dict[str, str], data: bytes) -> str:
    """SHA-256 of metadata and data, in hexadecimal digits."""
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8") + data).hexdigest()


def storage_of(entries: List[Entry]) -> str:
    """The type of all arrays; ValueError unless they are alike and named by position."""
    for number, name in enumerate(sorted(entry.name for entry in entries)):
        position, _, role = name.partition(".")
        if position != f"{number:03d}" or role not in ("weight", "bias"):
            raise ValueError(f"an array is called {shown(name)}, not {number:03d}.weight or .bias")
    for storage, dtype in DTYPES.items():
        if entries and all(entry.dtype == dtype for entry in entries):
            return storage
    raise ValueError(f"its arrays are not all of {' or all of '.join(DTYPES)}")


def parse_object(name: str, text: str) -> Dict[str, Any]:
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError(f"{name} is {shown(content)}, not a JSON object")
    return content


def parse_preprocessing(content: Any) -> Preprocessing:
    """The preprocessing that a JSON object describes; else ValueError."""
    check_keys(content, Preprocessing.__dataclass_fields__)
    for name in ("height", "width", "resize"):
        check_whole(name, content[name], 1, LARGEST_IMAGE)
    check_whole("channels", content["channels"], 1, 3)
    if content["interpolation"] not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolation is {shown(content['interpolation'])}, neither bilinear "
                         "nor bicubic")
    check_number("mean", content["mean"], 255)
    check_number("deviation", content["deviation"], 255, 1e-3)
    return Preprocessing(**content)


def parse_evaluation(content: Any) -> Dict[str, Any]:
    """The result of an evaluation, a JSON object; else ValueError."""
    check_keys(content, ["accuracy", "loss", "images", "dtype"])
    check_number("accuracy", content["accuracy"], 1)
    check_number("loss", content["loss"])
    check_whole("images", content["images"], 1)
    check_text("dtype", content["dtype"], 1, LONGEST_NAME)
    return dict(content)


# ------------------------------------------------------------------ writing


def write_weights(path: Path, weights: Weights) -> None:
    """Write the file of a trained net, its parameters as `weights.storage` says."""
    arrays = {name: array.astype(DTYPES[weights.storage])
              for name, array in weights.parameters.items()}
    metadata: Dict[str, str] = {
        "format": FORMAT, "name": weights.name, "classes": json.dumps(weights.classes),
        "preprocessing": json.dumps(asdict(weights.preprocessing)),
        "settings": json.dumps(weights.settings.to_json()), "command": weights.command,
        "evaluation": json.dumps(weights.evaluation)}
    with replacing(path) as temporary:
        # Twice, because only the written file tells the order of its data.
        write_safetensors(temporary, arrays, metadata)
        content = temporary.read_bytes()
        entries, _ = scan_safetensors(io.BytesIO(content), len(content))
        digest = checksum(metadata, content[min(entry.offset for entry in entries):])
        write_safetensors(temporary, arrays, {**metadata, "sha256": digest})
        parse_weights(temporary.read_bytes())  # what is written can be read
