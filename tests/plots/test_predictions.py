"""Images with the classes that a net gives them."""

import numpy as np

from nin_gluon import plots


def test_predictions_name_what_was_said_and_what_is_true():
    images = np.zeros((3, 28, 28, 1), np.uint8)
    names = ["shirt", "bag", "coat"]
    figure = plots.draw_predictions(images, [0, 1, 2], [0, 2, 2], names, columns=2)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["shirt", "coat, not\nbag", "coat", ""]
    colours = [axes.title.get_color() for axes in figure.axes[:3]]
    assert colours[0] == colours[2] != colours[1]
