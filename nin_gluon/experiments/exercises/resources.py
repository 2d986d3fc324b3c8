"""Exercise 3: what does the net take? Counted, held against the published figures, and recorded."""

import json
import re
from math import prod
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

from nin_gluon.analysis import cost, memory
from nin_gluon.atomic_files import write_ours
from nin_gluon.experiments.published import RESOURCES

__all__ = ["METHOD", "NAME", "QUESTION", "compare_published", "measure", "write_record"]

NAME = "resources"
QUESTION = "how many parameters, how much computation and memory, to train and to infer?"

METHOD = """\
Counts layer by layer, for one image of the chapter's, and puts the published figures beside it.
With --check MXNet runs the net, and what it allocates stands beside what was counted. The same
table, with more options and without a record: python -m nin_gluon.resources."""

USUAL = {"model": "nin", "size": "224", "batch": 1, "channels": 1, "check": False}


def measure(model: str = "nin", size: Union[int, Tuple[int, int]] = 224, batch: int = 1,
            channels: int = 1, dtype: str = "float32", check: bool = False) -> Dict[str, Any]:
    """What a net costs, with the published figures and what MXNet allocates beside it.

    Parameters
    ----------
    model : str
        A net's name, as `get_model` takes it.
    size : int or (int, int)
        Edge length, or (height, width), in pixels.
    batch, channels : int
        Of the images.
    dtype : {"float32", "bfloat16"}
        Arithmetic of the convolutions. Parameters and gradients are float32 in either.
    check : bool
        Whether to let MXNet run the net, in processes of its own; takes seconds.

    Returns
    -------
    dict
        What `nin_gluon.analysis.cost.measure` returns, with ``published``, what
        `compare_published` returns (for one image of the chapter's, in float32; else None), and
        ``allocated``, what `nin_gluon.analysis.memory.allocations` returns (None unless checked).

    Raises
    ------
    InputError
        The model is unknown, the size too small for it, or MXNet cannot run it.
    """
    height, width = (size, size) if isinstance(size, int) else size
    shape = (batch, channels, height, width)
    result = cost.measure(model, shape, dtype)
    chapters = (model, shape, dtype) == ("nin", (1, 1, 224, 224), "float32")
    return {**result, "published": compare_published(result) if chapters else None,
            "allocated": memory.allocations(model, shape, dtype) if check else None}


def compare_published(result: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The published figures, each beside the chapter's net's and beside what comes nearest to it.

    Returns
    -------
    list of dict
        ``figure``, ``published``, ``unit``, ``exact`` (for one channel, in powers of 1000) and
        ``three_channels`` (for three channels, in powers of 1024).
    """
    exact = figures(tuple(result["input"]), result, 1000)
    colour = (1, 3, 224, 224)
    in_colour = figures(colour, cost.count("nin", colour), 1024)
    return [{"figure": name, "published": value, "unit": unit, "exact": exact[name],
             "three_channels": in_colour[name]} for name, (value, unit) in RESOURCES.items()]


def figures(shape: Tuple[int, ...], counted: Dict[str, Any], kilo: int) -> Dict[str, float]:
    """The figures that are published, from what was counted; in millions or billions of `kilo`."""
    # The images and every output, each twice: what one layer puts out another takes in.
    activations = 8 * (prod(shape) + sum(layer["values"] for layer in counted["layers"]))
    parameters = 4 * counted["parameters"]
    return {
        "parameters": counted["parameters"] / kilo**2,
        "compute": counted["flops"] / kilo**3,
        "inference parameters": parameters / kilo**2,
        "inference activations": activations / kilo**2,
        "inference memory": (parameters + activations) / kilo**2,
        "training parameters": 2 * parameters / kilo**2,
        "training activations": 2 * activations / kilo**2,
        "training memory": 2 * (parameters + activations) / kilo**2,
    }


def write_record(result: Dict[str, Any], folder: Path) -> Tuple[Path, Path]:
    """Write what `measure` returned, and its picture, below the folder of results.

    Requests other than the exercise's own have files of their own, named after what differs.

    Returns
    -------
    record, picture : Path

    Raises
    ------
    InputError
        A file that this exercise did not write is in the way.
    """
    from nin_gluon import plots
    from nin_gluon.experiments.stores import EXERCISE_SIGNATURE as MARK

    words, options = [NAME], ""
    for name, value in request_of(result).items():
        if value != USUAL[name]:
            words += [name] if value is True else [name, str(value)]
            options += f" --{name}" if value is True else f" --{name} {value}"
    path = Path(folder, "exercises", re.sub(r"[^\w.-]", "_", "-".join(words)) + ".json")
    record = {"about": MARK, "exercise": NAME, "question": QUESTION,
              "command": f"python -m nin_gluon.exercises {NAME}{options}", **result}
    if result["allocated"]:  # that depends on the machine; all else is arithmetic
        from nin_gluon.runtime import describe_machine

        record["machine"] = describe_machine()
    write_ours(path, (json.dumps(record, indent=1) + "\n").encode(), MARK)
    picture = path.with_suffix(".png")
    write_ours(picture, plots.png(plots.draw_resources(result), MARK), MARK)
    return path, picture


def request_of(result: Dict[str, Any]) -> Dict[str, Any]:
    """The options that asked for a result: the names of `USUAL` and their values."""
    batch, channels, height, width = result["input"]
    size = str(height) if height == width else f"{height}x{width}"
    return {"model": result["model"], "size": size, "batch": batch, "channels": channels,
            "check": bool(result["allocated"])}
