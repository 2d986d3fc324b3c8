"""Pictures of several runs of one recipe."""

from nin_gluon import plots


def test_a_band_spans_runs_of_different_lengths_under_what_was_published():
    runs, published = [[(1, 2.0), (2, 1.0)], [(1, 1.0)], [(1, 1.2)]], [(1, 1.5), (2, 1.4), (3, 1.3)]
    axes, = plots.draw_band(runs, published, "loss", 2.3).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["median"] == [1.2, 1.0]
    assert lines["published"] == [1.5, 1.4, 1.3]
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (1.0, 2.0)
    assert axes.get_legend().get_texts()[0].get_text() == "range of 3 seeds"
    one, = plots.draw_band([[(1, 2.0)]], [], "loss", 2.3).axes  # nothing published
    assert "published" not in [text.get_text() for text in one.get_legend().get_texts()]


def test_all_runs_with_the_published_log_over_them():
    others, ours = [[(1, 0.3), (2, 0.8)], [(1, 0.1), (2, 0.1)]], [[(1, 0.4), (2, 0.7)]]
    axes, = plots.draw_runs(others, ours, [(1, 0.2), (2, 0.5)]).axes
    drawn = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in drawn] == [
        [0.3, 0.8], [0.1, 0.1], [0.4, 0.7], [0.2, 0.5]]
    assert drawn[-1].get_color() == plots.style.PUBLISHED
    assert drawn[-1].get_linewidth() > max(line.get_linewidth() for line in drawn[:-1])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "other published runs (2)", "our runs", "the published log"]
    limits = {line.get_ydata()[0] for line in axes.lines if line not in drawn}
    assert sorted(limits) == [living / 10 for living in range(1, 10)]
