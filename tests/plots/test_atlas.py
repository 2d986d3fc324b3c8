"""The picture of the atlas: every run has a mark, and nothing is cut off or covered."""

import matplotlib
import pytest
from matplotlib.text import Text

from nin_gluon.experiments.atlas.groups import Run, group_runs, published_runs
from nin_gluon.experiments.atlas.published_logs import read_atlas
from nin_gluon.plots import png
from nin_gluon.plots.atlas import BOOK, STYLES, draw_atlas, heights


def ours(count):
    return [Run(f"seed {i}", "ours", "sgd-0.1", 5, (0.74 + 0.11 * i / count,))
            for i in range(count)]


def marks(figure):
    """(accuracy, row and height, colour) of every mark of a run."""
    return [(*offset, matplotlib.colors.to_hex(collection.get_facecolor()[0]))
            for collection in figure.axes[0].collections
            for offset in collection.get_offsets().tolist()]


@pytest.mark.parametrize("runs", [
    published_runs(read_atlas()), published_runs(read_atlas()) + ours(50), ours(1)],
    ids=["published", "with fifty seeds", "one run"])
def test_every_run_has_a_mark_in_its_own_row(runs):
    groups = group_runs(runs)
    drawn = marks(draw_atlas(groups))
    assert len(drawn) == len(runs)
    for row, group in enumerate(groups):
        there = [mark for mark in drawn if abs(mark[1] - row) < 0.5]
        assert sorted(mark[0] for mark in there) == [run.final for run in group.runs]


def test_the_axis_reaches_every_run():
    runs = [Run(str(end), "mxnet", "sgd-0.1", 5, (end,)) for end in (0.02, 0.978)]
    low, high = draw_atlas(group_runs(runs)).axes[0].get_xlim()
    assert low < 0.02 and high > 0.978


@pytest.fixture(scope="module")
def published():
    """The picture of the published runs."""
    return draw_atlas(group_runs(published_runs(read_atlas())))


def test_the_books_run_is_the_only_red_one(published):
    drawn = marks(published)
    assert [mark[0] for mark in drawn if mark[2] == BOOK.lower()] == [0.544]
    assert {mark[2] for mark in drawn} == {
        BOOK.lower(), *(style["color"].lower() for style in STYLES.values())}


def test_the_bars_hold_the_counts(published):
    bars = [text.get_text() for text in published.axes[1].texts]
    assert bars[:6] == ["13", "9", "1", "9", "11", "3"] and sum(map(int, bars)) == 112


@pytest.mark.parametrize("count", [0, 50])
def test_no_text_is_cut_off(count):
    figure = draw_atlas(group_runs(published_runs(read_atlas()) + ours(count)))
    figure.draw_without_rendering()
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, text
            assert box.y0 >= 0 and box.y1 <= figure.bbox.y1, text


def test_marks_near_each_other_stand_above_each_other():
    assert heights([0.1, 0.5, 0.9]) == [0, 0, 0]
    first, second, third, apart = heights([0.8, 0.801, 0.802, 0.9])
    assert len({first, second, third}) == 3 and apart == first == 0
    assert max(map(abs, heights([0.85] * 100))) < 0.5


def test_the_same_runs_give_the_same_bytes():
    groups = group_runs(ours(3))
    picture = png(draw_atlas(groups), "a mark")
    assert picture == png(draw_atlas(groups), "a mark")
    assert b"a mark" in picture
