"""What a net costs, as bars."""

from nin_gluon import plots
from nin_gluon.analysis.cost import measure


def test_the_picture_has_a_bar_a_layer():
    result = measure("nin", (1, 1, 67, 67))
    panels = plots.draw_resources(result).axes
    widths = [bar.get_width() for bar in panels[0].patches]
    assert widths == [layer["parameters"] / 1e3 for layer in result["layers"]]
