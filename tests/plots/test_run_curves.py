"""The curves of any runs over one another."""

import pytest

from nin_gluon import plots
from nin_gluon.plots.run_curves import COLOURS, DARK_COLOURS
from nin_gluon.training.history import EpochRecord


def epochs(*losses):
    return [EpochRecord(i, loss, 0.5, 1 - loss / 3, 1.0) for i, loss in enumerate(losses, 1)]


@pytest.mark.parametrize("dark, colours", [(False, COLOURS), (True, DARK_COLOURS)])
def test_each_run_has_a_curve_in_its_colour(dark, colours):
    marks = [{"epochs": 0.5, "loss": 2.2}, {"epochs": 1.0, "loss": 2.0}]
    figure = plots.draw_run_curves([("a", epochs(2.0, 1.0), marks), ("b", epochs(1.5), [])], dark)
    left, right = figure.axes
    curves = {line.get_label(): line for line in left.lines if line.get_label()[0] != "_"}
    assert list(curves["a"].get_ydata()) == [2.0, 1.0]
    assert [curves[name].get_color() for name in "ab"] == colours[:2]
    assert [2.2, 2.0] in [list(line.get_ydata()) for line in left.lines]
    assert [list(line.get_xdata()) for line in right.lines] == [[1, 2], [1]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_many_runs_are_told_apart_by_lines_as_well():
    runs = [(f"_{i} $x$ " + 90 * "long", epochs(1.0 + i / 100), []) for i in range(30)]
    figure = plots.draw_run_curves(runs)
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.legends[0].get_lines()}
    assert len(looks) == 28  # seven colours, four lines
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == 30 and all(len(text) < 60 and "..." in text for text in texts)
    assert plots.png(figure, "test").startswith(b"\x89PNG")  # the names are no formulas


def test_runs_without_an_epoch():
    figure = plots.draw_run_curves([("a", [], [{"epochs": 0.1, "loss": 2.3}]), ("b", [], [])])
    assert plots.png(figure, "test").startswith(b"\x89PNG")
