"""Images as they are."""

import numpy as np

from nin_gluon import plots


def test_show_fashion_mnist_takes_d2lzhs_arguments():
    images = np.random.randint(0, 256, (2, 28, 28, 1))
    figure = plots.show_fashion_mnist(images, ["coat", "bag"])
    assert [axes.get_title() for axes in figure.axes] == ["coat", "bag"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), images[1, ..., 0])
