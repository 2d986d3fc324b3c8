"""What the pictures share: colours, the look of axes, and how a figure becomes a file."""

import io
from pathlib import Path
from typing import Union

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nin_gluon.atomic_files import replacing

__all__ = ["LN_10", "LOSS", "PUBLISHED", "RIGHT", "TEST", "TRAIN", "WRONG", "open_axes", "png",
           "save"]

LOSS, TRAIN, TEST = "#4c4c4c", "#1f77b4", "#d95f02"
PUBLISHED = "#b2182b"
RIGHT, WRONG = "#1b7837", "#b2182b"

LN_10 = 2.302585  # the loss of a net that gives each of ten classes the same probability

DPI = 120


def open_axes(axes: Axes) -> None:
    """Draw a faint grid, and no frame above and to the right."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Union[str, Path]) -> None:
    """Write the figure to a file, whole or not at all. The suffix chooses the format."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI)


def png(figure: Figure, software: str) -> bytes:
    """The figure as a PNG file's bytes, the same on any day.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    software : str
        Kept in the file, as the program that wrote it.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": software})
    return buffer.getvalue()
