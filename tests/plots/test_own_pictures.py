"""The picture of pictures of the user's own."""

import numpy as np
import pytest

from nin_gluon import plots
from nin_gluon.plots.own_pictures import shortened

NAMES = ("a", "b", "c", "d")


def picture(size, name="shoe.jpg", inverted=False, channels=1):
    rng = np.random.RandomState(0)
    return plots.OwnPicture(
        name, rng.randint(0, 256, (60, 90, 3)).astype(np.uint8),
        rng.randint(0, 256, (28, 28, channels)).astype(np.uint8),
        rng.rand(4, size, size).astype(np.float32), inverted, [(2, 0.75), (0, 0.2), (3, 0.05)])


@pytest.mark.parametrize("size", [5, 1])
def test_a_row_for_each_picture(tmp_path, size):
    pictures = [picture(size), picture(size, inverted=True, channels=3)]
    figure = plots.draw_own_pictures(pictures, NAMES, [(97.5, 32, 195)] * 2, (224, 224), "title")
    assert len(figure.axes) == 8
    original, given, seen, bars = figure.axes[4:]
    assert original.get_xlabel() == "shoe.jpg"
    assert given.get_xlabel() == "light and dark swapped" and not figure.axes[1].get_xlabel()
    assert seen.get_xlabel() == ("the map of c" if size > 1 else "one value: no telling where")
    assert len(seen.images) == (2 if size > 1 else 1)
    assert [bar.get_width() for bar in bars.patches] == [0.75, 0.2, 0.05]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["c", "a", "d"]
    plots.save(figure, tmp_path / "a.png")


def test_long_names_keep_their_end():
    assert shortened("a.png") == "a.png"
    name = shortened("folder/" * 30 + "shoe.png")
    assert len(name) == 40 and name.startswith("...") and name.endswith("/shoe.png")
