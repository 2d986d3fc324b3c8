"""Images of the user's own, of any shape and kind."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from nin_gluon.analysis import own_images
from nin_gluon.analysis.own_images import files_of, fit, read_file, read_image, read_stream
from nin_gluon.data.sets import SHAPES, load_image_set
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


# ------------------------------------------------------------------ what is decided


def garment():
    """Something light on black, like nothing turned or mirrored."""
    grey = np.zeros((28, 28), np.uint8)
    grey[4:24, 9:19] = 200
    grey[4:9, 5:9] = 120
    return grey


# What a camera has done to the picture, by EXIF's orientation: its inverse turns it upright.
TURNS = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
         4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
         6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
         8: Image.Transpose.ROTATE_270}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_a_picture_is_turned_upright(tmp_path, orientation, suffix):
    image, exif = Image.fromarray(garment()).convert("RGB"), Image.Exif()
    if TURNS[orientation] is not None:
        image = image.transpose(TURNS[orientation])
    exif[0x0112] = orientation
    image.save(tmp_path / f"turned.{suffix}", exif=exif, lossless=True)
    found = fit(read_file(tmp_path / f"turned.{suffix}"), (28, 28, 1))
    np.testing.assert_array_equal(found.pixels[..., 0], garment())


@pytest.mark.parametrize("size", [(1200, 20), (20, 1200)])
def test_a_picture_that_is_too_thin_is_refused(tmp_path, size):
    path = tmp_path / "strip.png"
    Image.new("L", size, 200).save(path)
    with pytest.raises(InputError, match=r"strip.png cannot be .*has \d+x\d+ pixels; crop it"):
        read_file(str(path))
    Image.new("L", (1000, 20), 200).save(path)
    assert fit(read_file(str(path)), (28, 28, 1)).pixels.shape == (28, 28, 1)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "RGBA", "1", "CMYK"])
def test_pictures_of_any_mode(tmp_path, mode):
    grey = np.where(garment() > 0, 255, 0).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "any.tif")
    np.testing.assert_array_equal(fit(read_file(tmp_path / "any.tif"), (28, 28, 1)).pixels[..., 0],
                                  grey)


def test_dark_on_light_is_inverted_unless_told_otherwise():
    light, dark = (Image.fromarray(grey).convert("RGBA") for grey in (garment(), 255 - garment()))
    shape = (28, 28, 1)
    for image, inverted in ((light, False), (dark, True)):
        found = fit(image, shape)
        np.testing.assert_array_equal(found.pixels[..., 0], garment())
        assert found.inverted is inverted and not found.dark_on_light
    for image, invert in ((light, True), (dark, False)):
        found = fit(image, shape, invert)
        np.testing.assert_array_equal(found.pixels[..., 0], 255 - garment())
        assert found.inverted is invert and found.dark_on_light
    assert fit(dark, (28, 28, 3)).inverted is False  # a set in colour has no such convention
    grey = Image.new("RGBA", (9, 9), "gray")
    assert not fit(grey, shape).inverted and not fit(grey, shape, True).dark_on_light


@pytest.mark.parametrize("level", [40, 220])
def test_a_cut_out_garment_is_seen_whatever_its_colour(level):
    """On transparent ground a light one would vanish on white."""
    cut_out = np.zeros((28, 28, 4), np.uint8)
    cut_out[garment() > 0] = (level, level, level, 255)
    found = fit(Image.fromarray(cut_out), (28, 28, 1))
    assert not found.pixels[0, 0] and found.pixels[14, 14] == max(level, 255 - level)
    assert found.inverted is (level < 128)


def test_a_folder_stands_for_the_images_in_it(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    for name in ("z.PNG", "a.jpeg", "notes.txt", "b/x.webp", "b/deep/y.gif", "b/config.json"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    names = ("a.jpeg", "b/deep/y.gif", "b/x.webp", "z.PNG")
    assert files_of(["first.txt", str(tmp_path), "-"]) == [
        "first.txt", *(str(tmp_path / name) for name in names), "-"]
    with pytest.raises(InputError, match="folder.png has no file that ends in one of .png"):
        files_of([str(tmp_path / "folder.png")])


def test_a_stream_is_bounded(monkeypatch):
    buffer = io.BytesIO()
    Image.fromarray(garment()).save(buffer, "PNG")
    found = fit(read_stream(io.BytesIO(buffer.getvalue()), "it"), (28, 28, 1))
    np.testing.assert_array_equal(found.pixels[..., 0], garment())
    with pytest.raises(InputError, match="it cannot be read as an image"):
        read_stream(io.BytesIO(b""), "it")
    monkeypatch.setattr(own_images, "MOST_BYTES", 50)
    with pytest.raises(InputError, match="it has more than 50 bytes"):
        read_stream(io.BytesIO(buffer.getvalue()), "it")
