"""The resizing that GPUs use, against Gluon's operator on the CPU, which is OpenCV's."""

import os
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.data.vision import transforms

from nin_gluon.data.resize import INTERPOLATIONS, BicubicResize, BilinearResize
from nin_gluon.data.sets import load_image_set

RANDOM = np.random.RandomState(3)
CLASSES = {"bilinear": BilinearResize, "bicubic": BicubicResize}

both = pytest.mark.parametrize("interpolation", CLASSES)


def assert_as_gluons(images, height, width, interpolation):
    images = mx.nd.array(images, dtype="uint8")
    ours = CLASSES[interpolation](images.shape[1:3], (height, width), mx.cpu())(images)
    gluons = transforms.Resize((width, height), interpolation=INTERPOLATIONS[interpolation])(images)
    assert (ours.dtype, ours.shape) == (gluons.dtype, gluons.shape)
    assert np.array_equal(ours.asnumpy(), gluons.asnumpy()), f"{height}x{width}"


@both
def test_every_size_from_28_to_300(garments, interpolation):
    # Half a garment, and noise, which has no black borders to hide a wrong weight.
    image = garments("test", 1)[0].copy()
    image[:, :, 14:] = RANDOM.randint(0, 256, (1, 28, 14, 1))
    for size in range(28, 301):
        assert_as_gluons(image, size, size, interpolation)


@both
def test_every_smaller_size(garments, interpolation):
    images, _ = garments("test", 8)
    for size in range(1, 28):
        assert_as_gluons(images, size, size, interpolation)


@both
@pytest.mark.parametrize("size", [20, 28, 29, 67, 112, 224, 299])
def test_every_pixel_of_many_images(garments, size, interpolation):
    assert_as_gluons(garments("train", 40)[0], size, size, interpolation)


@pytest.mark.parametrize("size", [16, 33, 67, 224])
def test_colour_photographs(photographs, size):
    for interpolation in CLASSES:
        assert_as_gluons(photographs, size, size, interpolation)


@pytest.fixture(scope="module")
def photographs():
    """CIFAR-10's first test images if NIN_GLUON_DATA has them, else smooth noise in colour."""
    data = os.environ.get("NIN_GLUON_DATA")
    if data and Path(data, "cifar-10").is_dir():
        return load_image_set("cifar10", "test")[0][:20]
    noise = RANDOM.randint(0, 256, (20, 34, 32, 3))
    return (noise[:, :-2] + noise[:, 1:-1] + noise[:, 2:]) // 3


@both
@pytest.mark.parametrize("levels", [256, 2], ids=["all levels", "black and white"])
def test_noise_has_every_grey_level_beside_every_other(levels, interpolation):
    noise = RANDOM.randint(0, levels, (20, 28, 28, 1)) * (255 // (levels - 1))
    for size in (14, 28, 31, 97, 224, 251):
        assert_as_gluons(noise, size, size, interpolation)


@both
@pytest.mark.parametrize("height, width", [(20, 31), (21, 31), (40, 62), (57, 93), (224, 299),
                                           (20, 300), (300, 31), (10, 15), (7, 40), (1, 1)])
def test_colour_oblong_and_smaller(height, width, interpolation):
    assert_as_gluons(RANDOM.randint(0, 256, (3, 20, 31, 3)), height, width, interpolation)
