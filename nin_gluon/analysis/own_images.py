"""Images of the user's own, made into what a run's net takes."""

import io
import logging
import warnings
from typing import Sequence, Tuple

import mxnet as mx
import numpy as np
from PIL import Image, ImageOps

from nin_gluon import data
from nin_gluon.checked_files import BadFile, exactly, open_file, reason, size_of
from nin_gluon.data.loader import BatchLoader
from nin_gluon.data.preprocess import preprocessor
from nin_gluon.data.sets import DATASETS, SHAPES
from nin_gluon.data.whitening import standardized
from nin_gluon.errors import InputError
from nin_gluon.training.run_folder import RunConfig

__all__ = ["SHAPES", "own_images", "read_image"]

log = logging.getLogger(__name__)

MOST_BYTES = 100 * 10**6
MOST_PIXELS = 64 * 10**6  # each takes some 20 bytes for a moment

# Not EPS: Pillow has Ghostscript run the program that such a file is.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000")


def own_images(paths: Sequence[str], config: RunConfig, ctx: mx.Context, invert: bool = False,
               ) -> Tuple[BatchLoader, np.ndarray]:
    """Read images, and make the loader that prepares them as the run's images were prepared.

    The data set's test images are not read. Its training images are read only if the preprocessing
    depends on them.

    Parameters
    ----------
    paths : sequence of str
    config : RunConfig
    ctx : mxnet.Context
    invert : bool
        Whether to swap light and dark.

    Returns
    -------
    loader : BatchLoader
    images : numpy.ndarray, (n, height, width, channels), uint8

    Raises
    ------
    InputError
        A file is missing or is no image, or it is not known how large the set's images are.
    """
    settings, train = config.settings, np.empty((0, 1, 1, 1), np.uint8)
    name = settings.dataset or ""
    if name not in SHAPES:
        raise InputError(f"--images is for nets of {', '.join(SHAPES)}, and this one's set is "
                         f"{settings.dataset}.")
    images = np.stack([read_image(path, SHAPES[name], invert, DATASETS[name][0])
                       for path in paths])
    if settings.preprocess in ("standardize", "zca"):
        train = data.load_image_set(name, "train", config.environment.data_dir)[0]
        train = train[: len(train) - (settings.validation or 0)][: settings.limit]
    levels = standardized(train) if settings.preprocess == "standardize" else None
    loader = BatchLoader(images, np.zeros(len(images)), len(images), settings.resize, ctx=ctx,
                         levels=levels, preprocess=preprocessor(settings.preprocess, train))
    return loader, images


def read_image(path: str, shape: Tuple[int, int, int], invert: bool, title: str) -> np.ndarray:
    """A user's image in the form of a data set's.

    The image is turned upright, laid on white where it is transparent, made grey if the set is,
    and fitted into the set's size. If it is not square, the colour of its border fills the rest.

    Parameters
    ----------
    path : str
    shape : (int, int, int)
        (height, width, channels) of the set's images.
    invert : bool
        Whether to swap light and dark.
    title : str
        The set's name, for a hint.

    Returns
    -------
    numpy.ndarray, (height, width, channels), uint8

    Raises
    ------
    InputError
        There is no such file, or it is no image.
    """
    height, width, channels = shape
    try:
        with open_file(path, MOST_BYTES) as file:
            image = decoded(exactly(file, size_of(file)))
    except FileNotFoundError:
        raise InputError(f"there is no image {path}.") from None
    except ValueError as error:
        words = f"it {error.found}" if isinstance(error, BadFile) else reason(error)
        raise InputError(f"{path} cannot be read as an image ({words}).") from None
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if invert:
        image = ImageOps.invert(image)
    pixels = np.asarray(image).reshape(image.height, image.width, channels)
    border = np.concatenate([pixels[[0, -1]].reshape(-1, channels),
                             pixels[:, [0, -1]].reshape(-1, channels)])
    ground = tuple(np.median(border, axis=0).astype(int).tolist())
    if channels == 1 and ground[0] > pixels.mean():
        hint = "leave out --invert" if invert else "try --invert"
        log.warning("%s looks dark on light, and %s is light on black: %s", path, title, hint)
    image = ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR,
                         ground if channels > 1 else ground[0])
    return np.asarray(image).reshape(shape)


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
