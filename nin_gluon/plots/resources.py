"""What a net costs, layer by layer."""

from math import prod
from typing import Any, List, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nin_gluon.plots.style import LOSS, TRAIN

__all__ = ["draw_resources"]


def draw_resources(result: Mapping[str, Any]) -> Figure:
    """A net's parameters, MACs and outputs by layer, as bars.

    Parameters
    ----------
    result : dict
        As from `nin_gluon.analysis.cost.measure`. Used are ``model``, ``input`` (batch, channels,
        height, width), ``dtype`` and, of each of its ``layers``, ``kind``, ``parameters``,
        ``macs`` and ``output`` (a shape).

    Returns
    -------
    matplotlib.figure.Figure
    """
    layers = result["layers"]
    size = 4 if result["dtype"] == "float32" else 2  # bytes of a value
    figure = Figure(figsize=(11, 1.4 + 0.24 * len(layers)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    draw_bars(panels[0], [layer["parameters"] / 1e3 for layer in layers], "parameters, thousands")
    draw_bars(panels[1], [layer["macs"] / 1e6 for layer in layers],
              "multiply-adds (MACs), millions")
    draw_bars(panels[2], [size * prod(layer["output"]) / 1e6 for layer in layers], "output, MB")
    panels[0].set_yticks(range(len(layers)), [layer["kind"] for layer in layers])
    panels[0].invert_yaxis()
    batch, channels, height, width = result["input"]
    figure.suptitle(f"{result['model']}, input {batch} x {channels} x {height} x {width}, "
                    f"{result['dtype']}", fontsize=10)
    return figure


def draw_bars(axes: Axes, values: List[float], heading: str) -> None:
    """One bar a layer, from the top, with its value beside it unless that is 0."""
    axes.barh(range(len(values)), values, color=TRAIN)
    for place, value in enumerate(values):
        if value:
            axes.annotate(f" {value:,.3g}" if value < 1000 else f" {value:,.0f}",
                          (value, place), va="center", fontsize=7, color=LOSS)
    axes.set_xlim(0, 1.18 * max(values) or 1)
    axes.set_title(f"{heading}: {sum(values):,.4g} in all", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
