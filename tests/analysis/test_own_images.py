"""Images of the user's own, of any shape and kind."""

import os

import numpy as np
import pytest
from PIL import Image

from nin_gluon.analysis.own_images import SHAPES, read_image
from nin_gluon.data.sets import load_image_set
from nin_gluon.errors import InputError


@pytest.mark.parametrize("name", ["sample", pytest.param(
    "fashion-mnist", marks=pytest.mark.skipif(not os.environ.get("NIN_GLUON_DATA"),
                                              reason="no real images"))])
def test_shapes_are_those_of_the_sets(name):
    assert load_image_set(name, "test")[0].shape[1:] == SHAPES[name]


def test_images_of_any_shape_and_kind(tmp_path):
    wide = np.zeros((20, 60), np.uint8)
    wide[5:15, 10:50] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = read_image(tmp_path / "wide.png", (28, 28, 1), False, "set")
    assert image.shape == (28, 28, 1)
    assert not image[:9].any() and not image[-9:].any() and image[14, 14] == 200
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    image = read_image(tmp_path / "clear.png", (32, 32, 3), False, "set")
    assert image.shape == (32, 32, 3) and (image == 255).all()


@pytest.mark.parametrize("name, kind", [("a.png", "<u2"), ("a.tif", "<u2"), ("a.tif", ">u2"),
                                        ("b.tif", "<i4")])
def test_grey_of_16_bits_is_scaled(tmp_path, name, kind):
    """Not cut off at 255, and what was made of 8 bits is those again."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray((grey * 257.0).astype(kind)).save(tmp_path / name)
    image = read_image(tmp_path / name, (16, 16, 1), False, "set")
    np.testing.assert_array_equal(image[..., 0], grey)


@pytest.mark.parametrize("values, says", [(np.float32(0.5), "floating point"),
                                          (np.int32(70000), "more than 16 bits"),
                                          (np.int32(-1), "more than 16 bits")])
def test_grey_that_nothing_says_the_scale_of_is_refused(tmp_path, values, says):
    Image.fromarray(np.full((8, 8), values)).save(tmp_path / "odd.tif")
    with pytest.raises(InputError, match=f"odd.tif cannot be read as an image .*{says}"):
        read_image(tmp_path / "odd.tif", (16, 16, 1), False, "set")


def test_postscript_is_no_image(tmp_path, monkeypatch):
    """Pillow would have Ghostscript run it."""
    path = tmp_path / "mine.png"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args: pytest.fail("it was run"))
    with pytest.raises(InputError, match="cannot be read as an image .it is none of PNG, JPEG"):
        read_image(str(path), (28, 28, 1), False, "Fashion-MNIST")


def test_an_image_of_very_many_pixels_is_refused(tmp_path, recwarn):
    """Before memory is taken for them."""
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 10_000)).save(path)
    with pytest.raises(InputError, match="it has 10000x10000 pixels, more than 64,000,000"):
        read_image(str(path), (28, 28, 1), False, "Fashion-MNIST")
    assert not recwarn.list
