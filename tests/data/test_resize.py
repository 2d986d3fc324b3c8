"""BilinearResize, which GPUs use, against Gluon's Resize, which is OpenCV's."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.data.vision import transforms

from nin_gluon.data.resize import BilinearResize

RANDOM = np.random.RandomState(3)


def assert_as_gluons(images, height, width):
    images = mx.nd.array(images, dtype="uint8")
    ours = BilinearResize(images.shape[1:3], (height, width), mx.cpu())(images)
    gluons = transforms.Resize((width, height))(images)
    assert (ours.dtype, ours.shape) == (gluons.dtype, gluons.shape)
    assert np.array_equal(ours.asnumpy(), gluons.asnumpy()), f"{height}x{width}"


def test_every_size_from_28_to_300(garments):
    images, _ = garments("test", 8)
    for size in range(28, 301):
        assert_as_gluons(images, size, size)


@pytest.mark.parametrize("size", [28, 29, 67, 112, 224, 299])
def test_every_pixel_of_many_images(garments, size):
    assert_as_gluons(garments("train", 400)[0], size, size)


def test_noise_has_every_grey_level_beside_every_other():
    noise = RANDOM.randint(0, 256, (40, 28, 28, 1))
    for size in (28, 31, 97, 224, 251):
        assert_as_gluons(noise, size, size)


@pytest.mark.parametrize("height, width", [(20, 31), (21, 31), (40, 62), (57, 93), (224, 299),
                                           (20, 300), (300, 31), (10, 15), (7, 40), (1, 1)])
def test_colour_oblong_and_smaller(height, width):
    assert_as_gluons(RANDOM.randint(0, 256, (3, 20, 31, 3)), height, width)
