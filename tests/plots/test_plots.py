"""Pictures: what is in them, as far as matplotlib can tell, and that they are written whole."""

import numpy as np

from nin_gluon import plots
from nin_gluon.training.history import EpochRecord


def test_curves_show_every_epoch_and_the_marks_within(tmp_path):
    history = [EpochRecord(1, 2.2, 0.2, 0.3, 1.0), EpochRecord(2, 1.5, 0.5, 0.6, 1.0)]
    marks = [{"epochs": 0.5, "loss": 2.3, "train_acc": 0.1}]
    left, right = plots.draw_curves(history, "a title", marks).axes
    assert [list(line.get_ydata()) for line in left.lines[:2]] == [[2.3], [2.2, 1.5]]
    assert [list(line.get_ydata()) for line in right.lines] == [[0.1], [0.2, 0.5], [0.3, 0.6]]
    plots.save(plots.draw_curves(history), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


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


def test_a_picture_is_the_same_on_any_day():
    first, second = (plots.png(plots.draw_band([[(1, 0.5)]], [], "test acc", 0.1), "me")
                     for _ in range(2))
    assert first == second and b"Software\0me" in first


def test_predictions_name_what_was_said_and_what_is_true():
    images = np.zeros((3, 28, 28, 1), np.uint8)
    names = ["shirt", "bag", "coat"]
    figure = plots.draw_predictions(images, [0, 1, 2], [0, 2, 2], names, columns=2)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["shirt", "coat, not\nbag", "coat", ""]
    colours = [axes.title.get_color() for axes in figure.axes[:3]]
    assert colours[0] == colours[2] != colours[1]


def test_show_fashion_mnist_takes_d2lzhs_arguments():
    images = np.random.randint(0, 256, (2, 28, 28, 1))
    figure = plots.show_fashion_mnist(images, ["coat", "bag"])
    assert [axes.get_title() for axes in figure.axes] == ["coat", "bag"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), images[1, ..., 0])


def test_class_maps_frame_what_was_predicted_and_lie_where_they_belong():
    images = np.zeros((2, 28, 28, 1), np.uint8)
    maps = np.zeros((2, 3, 5, 5), np.float32)
    maps[0, 1, 2, 2] = 4.0  # the second image's maps are zero
    figure = plots.draw_class_maps(images, maps, maps.mean(axis=(2, 3)), [1, 2],
                                   ["shirt", "bag", "coat"], [(33.5, 32, 195)] * 2, (224, 224))
    first = figure.axes[:4]
    assert [axes.get_title() for axes in first] == ["", "shirt", "bag", "coat"]
    assert [axes.spines["top"].get_visible() for axes in first] == [False, False, True, False]
    assert first[2].images[1].get_clim() == (0, 4)
    np.testing.assert_allclose(first[2].images[1].get_extent(),
                               np.array([17.5, 177.5, 177.5, 17.5]) / 8 - 0.5)
    assert figure.axes[4].get_ylabel() == "shirt,\nnot coat"
