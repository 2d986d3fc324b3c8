"""Images of the user's own, made into what a trained net takes."""

import io
import logging
import os
import warnings
from pathlib import Path
from typing import BinaryIO, Iterable, List, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image, ImageOps

from nin_gluon.checked_files import BadFile, exactly, open_file, reason, size_of
from nin_gluon.errors import InputError

__all__ = ["MOST_BYTES", "OwnImage", "decode", "files_of", "fit", "read_file",
           "read_image", "read_stream"]

log = logging.getLogger(__name__)

MOST_BYTES = 100 * 10**6
MOST_PIXELS = 64 * 10**6  # each takes some 20 bytes for a moment
MOST_STRETCHED = 50  # fitted into 28 pixels, nothing would be left of the short side

# Not EPS: Pillow has Ghostscript run the program that such a file is.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000")

# What the names of such files end in; of a folder, only these are taken.
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
            ".jp2")


class OwnImage(NamedTuple):
    """A user's image in the form of a data set's.

    Attributes
    ----------
    pixels : numpy.ndarray, (height, width, channels), uint8
    inverted : bool
        Whether light and dark were swapped.
    dark_on_light : bool
        Whether it now looks dark on a light ground, if the set is grey.
    """

    pixels: np.ndarray
    inverted: bool
    dark_on_light: bool


# ------------------------------------------------------------------ finding and reading


def files_of(paths: Iterable[str]) -> List[str]:
    """The paths, and in place of each folder the image files in it and in its folders, by name.

    Raises
    ------
    InputError
        A folder has none.
    """
    found: List[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = sorted(str(file) for file in Path(path).rglob("*")
                        if file.suffix.lower() in SUFFIXES and not file.is_dir())
        if not inside:
            raise InputError(f"the folder {path} has no file that ends in one of "
                             f"{' '.join(SUFFIXES)}.")
        found += inside
    return found


def read_file(path: str) -> Image.Image:
    """The image in a file, upright, as RGBA.

    Raises
    ------
    InputError
        There is no such file, or it is no image.
    """
    try:
        with open_file(path, MOST_BYTES) as file:
            content = exactly(file, size_of(file))
    except FileNotFoundError:
        raise InputError(f"there is no image {path}.") from None
    except ValueError as error:
        words = f"it {error.found}" if isinstance(error, BadFile) else reason(error)
        raise InputError(f"{path} cannot be read as an image ({words}).") from None
    return decode(content, path)


def read_stream(stream: BinaryIO, name: str) -> Image.Image:
    """The same from a stream that need not be a file."""
    content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"{name} has more than {MOST_BYTES:,} bytes; make the image smaller.")
    return decode(content, name)


def decode(content: bytes, name: str) -> Image.Image:
    """The same from the bytes of a file; `name` is for the message."""
    try:
        return decoded(content)
    except ValueError as error:
        raise InputError(f"{name} cannot be read as an image ({reason(error)}).") from None


def read_image(path: str, shape: Tuple[int, int, int], invert: bool, title: str) -> np.ndarray:
    """A user's image in the form of a data set's; see `fit`.

    Logs a hint where `invert` seems to be wrong.

    Parameters
    ----------
    path : str
    shape : (int, int, int)
        (height, width, channels) of the set's images.
    invert : bool
        Whether to swap light and dark.
    title : str
        The set's name, for the hint.

    Returns
    -------
    numpy.ndarray, (height, width, channels), uint8

    Raises
    ------
    InputError
        There is no such file, or it is no image.
    """
    image = fit(read_file(path), shape, invert)
    if image.dark_on_light:
        hint = "leave out --invert" if invert else "try --invert"
        log.warning("%s looks dark on light, and %s is light on black: %s", path, title, hint)
    return image.pixels


# ------------------------------------------------------------------ into the form of a set


def fit(image: Image.Image, shape: Tuple[int, int, int], invert: Optional[bool] = None) -> OwnImage:
    """Bring an image into the form of a data set's.

    It is laid on white where it is transparent (on black, if the set is grey and what can be seen
    is light), made grey if the set is, and fitted into the set's size. If it is not square, the
    colour of its border fills the rest.

    Parameters
    ----------
    image : Image
        Upright, RGBA.
    shape : (int, int, int)
        (height, width, channels) of the set's images.
    invert : bool, optional
        Whether to swap light and dark. By default a grey image is inverted if its border is lighter
        than its mean, because the sets of grey images are light on black.
    """
    height, width, channels = shape
    ground = "black" if channels == 1 and is_light(image) else "white"
    image = Image.alpha_composite(Image.new("RGBA", image.size, ground), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if invert is None:
        invert = channels == 1 and is_dark_on_light(image)
    if invert:
        image = ImageOps.invert(image)
    dark_on_light, border = channels == 1 and is_dark_on_light(image), border_of(image)
    image = ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR,
                         border if channels > 1 else border[0])
    return OwnImage(np.asarray(image).reshape(shape), invert, dark_on_light)


def is_light(image: Image.Image) -> bool:
    """Whether an RGBA image is transparent somewhere, and what can be seen of it is light."""
    alpha = np.asarray(image.getchannel("A"))
    if alpha.min() == 255 or not alpha.any():
        return False
    return bool(np.average(np.asarray(image.convert("RGB").convert("L")), weights=alpha) > 127.5)


def is_dark_on_light(image: Image.Image) -> bool:
    """Whether the border of a grey image is lighter than its mean."""
    return bool(border_of(image)[0] > np.asarray(image).mean())


def border_of(image: Image.Image) -> Tuple[int, ...]:
    """The median colour of an image's border."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    border = np.concatenate([pixels[[0, -1]].reshape(-1, pixels.shape[2]),
                             pixels[:, [0, -1]].reshape(-1, pixels.shape[2])])
    return tuple(np.median(border, axis=0).astype(int).tolist())


def decoded(content: bytes) -> Image.Image:
    """The image in a file, upright, as RGBA; ValueError if Pillow cannot decode it."""
    # Not from the file: Pillow reads as much as the file claims, and Python takes memory first.
    file = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which do not matter
            with Image.open(file, formats=FORMATS) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    raise ValueError(f"it has {opened.width}x{opened.height} pixels, more than "
                                     f"{MOST_PIXELS:,}; make it smaller")
                if max(opened.size) > MOST_STRETCHED * min(opened.size):
                    raise ValueError(f"it has {opened.width}x{opened.height} pixels; crop it to "
                                     f"less than {MOST_STRETCHED} times as long as wide")
                return eight_bits(ImageOps.exif_transpose(opened)).convert("RGBA")
    except Image.UnidentifiedImageError:
        raise ValueError(f"it is none of {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow's decoders raise whatever they come across
        raise ValueError(reason(error)) from None


def eight_bits(image: Image.Image) -> Image.Image:
    """The image with 8 bits a value. Pillow's own conversion would cut 16 bits off at 255."""
    if image.mode == "F":
        raise ValueError("its grey is in floating point; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its grey has more than 16 bits; save it with 8 or 16")
    return Image.fromarray((values // 256).astype(np.uint8))
