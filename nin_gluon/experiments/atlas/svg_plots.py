"""The values in a plot that a notebook of the book drew while it trained.

The later editions print the last epoch only and draw the others. Matplotlib writes a line's points
into an SVG file with six decimals and each tick's label as a comment, so the values can be read
back. Nothing in the file is executed, and no entity in it is expanded.
"""

import math
import re
import xml.etree.ElementTree as ET
from typing import Any, Dict, List, Optional, Tuple

__all__ = ["read_plot"]

# Legend entries, by edition, and what they are here. The last edition's training loss is that of a
# few batches, no mean over an epoch, so it is left out.
SERIES = {"train loss": "loss", "train acc": "train_acc", "test acc": "test_acc",
          "val_acc": "test_acc"}

MAX_BYTES = 4_000_000

Point = Tuple[float, float]


def read_plot(svg: str, epochs: int) -> Optional[Dict[str, List[Optional[float]]]]:
    """The values at the end of each epoch.

    Parameters
    ----------
    svg : str
        The text of an SVG file that Matplotlib wrote.
    epochs : int
        The most epochs that there can be.

    Returns
    -------
    dict or None
        ``loss``, ``train_acc`` and ``test_acc``, as far as they are drawn: a value an epoch to
        three digits, None where there is no point. None if this is no such plot.
    """
    if len(svg) > MAX_BYTES or "<!ENTITY" in svg:
        return None
    try:
        root = ET.fromstring(svg, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    except (ET.ParseError, ValueError):
        return None
    axes = by_id(root, "axes_1")
    if axes is None:
        return None
    to_epoch, to_value = scale(axes, "xtick_", "x"), scale(axes, "ytick_", "y")
    names = legend(axes)
    lines = [points(line) for line in axes if name_of(line).startswith("line2d_")]
    if not (to_epoch and to_value and 0 < len(names) <= len(lines)) or has_offset(axes):
        return None
    values: Dict[str, List[Optional[float]]] = {}
    # The Trainer edition draws all its lines anew over the old ones whenever there is a new point.
    for name, line in zip(names, lines[-len(names):]):
        if name in SERIES:
            column: List[Optional[float]] = [None] * epochs
            for x, y in line:
                epoch = to_epoch[0] + to_epoch[1] * x
                value = to_value[0] + to_value[1] * y
                if not (math.isfinite(epoch) and math.isfinite(value)):
                    continue
                # Training values are means over the part of an epoch that is done, drawn several
                # times an epoch. Some editions draw the last of them a little before its end.
                number = math.ceil(epoch - 0.01)
                if 1 <= number <= epochs and number - epoch < 0.1:
                    column[number - 1] = max(0.0, round(value, 3))
            values[SERIES[name]] = column
    return values if "test_acc" in values else None


def name_of(element: ET.Element) -> str:
    return element.get("id", "")


def by_id(root: ET.Element, name: str) -> Optional[ET.Element]:
    return next((element for element in root.iter() if name_of(element) == name), None)


def comments(element: ET.Element) -> List[str]:
    """The texts in an element, which Matplotlib writes as comments beside their outlines."""
    kind: Any = ET.Comment  # the tag of a comment is this function, whatever the types say
    return [(child.text or "").strip() for child in element.iter() if child.tag is kind]


def scale(axes: ET.Element, prefix: str, axis: str) -> Optional[Tuple[float, float]]:
    """(a, b) with value = a + b * position, from the first and the last tick; None if there are
    fewer than two."""
    ticks = []
    for element in axes.iter():
        if name_of(element).startswith(prefix):
            mark = next((use for use in element.iter() if use.get(axis) and use.get("y")), None)
            try:
                label = float(comments(element)[0].replace("\u2212", "-"))
                position = float(mark.get(axis, "")) if mark is not None else math.nan
            except (IndexError, ValueError):
                continue
            if math.isfinite(label) and math.isfinite(position):
                ticks.append((position, label))
    if len(ticks) < 2 or ticks[0][0] == ticks[-1][0]:
        return None
    slope = (ticks[-1][1] - ticks[0][1]) / (ticks[-1][0] - ticks[0][0])
    return ticks[0][1] - slope * ticks[0][0], slope


def has_offset(axes: ET.Element) -> bool:
    """Whether a text such as "1e6" beside an axis says that its labels are not the values.

    A loss of millions leaves too few digits for the accuracies in the same plot.
    """
    beside = [text for axis in axes.iter() if name_of(axis).startswith("matplotlib.axis_")
              for child in axis if "tick_" not in name_of(child) for text in comments(child)]
    return any(re.match(r"[+\u2212-]?\d|\$\\times", text) for text in beside)


def legend(axes: ET.Element) -> List[str]:
    box = by_id(axes, "legend_1")
    return [] if box is None else comments(box)


def points(line: ET.Element) -> List[Point]:
    """The points of a line, in the file's own coordinates."""
    path = next((element for element in line.iter() if element.get("d")), None)
    words = path.get("d", "").split() if path is not None else []
    found = []
    # "M x y L x y ...": one command and two numbers a point.
    for command, x, y in zip(words[::3], words[1::3], words[2::3]):
        try:
            found.append((float(x), float(y)))
        except ValueError:
            return []
        if command not in "ML":
            return []
    return found
