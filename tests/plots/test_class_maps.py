"""Maps of the classes over images."""

import numpy as np

from nin_gluon import plots


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
