"""What a trained net takes pictures of the user's own for."""

import itertools
from dataclasses import dataclass
from typing import BinaryIO, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

import numpy as np
from PIL import Image

from nin_gluon.analysis.class_maps import maps_of
from nin_gluon.analysis.evaluation import probabilities
from nin_gluon.analysis.own_images import OwnImage, fit, read_file, read_stream
from nin_gluon.analysis.trained_net import TrainedNet
from nin_gluon.errors import InputError

__all__ = ["STDIN", "Prediction", "Unread", "predict"]

BATCH = 128  # pictures that the net is given at once
STDIN = "-"
THUMBNAIL = 256  # pixels along the longer edge


@dataclass(frozen=True)
class Unread:
    """A picture that could not be read."""

    image: str  # its path
    error: str  # a sentence that names it


@dataclass(frozen=True)
class Prediction:
    """What a net says of one picture.

    Attributes
    ----------
    image : str
        The picture's path.
    own : OwnImage
        The picture as the net was given it.
    thumbnail : numpy.ndarray, (height, width, 3), uint8
        The picture itself, upright and small.
    probabilities : numpy.ndarray, (classes,), float64
        The softmax of the scores.
    maps : numpy.ndarray, (classes, map height, map width), float32
        One for each class.
    """

    image: str
    own: OwnImage
    thumbnail: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray

    def top(self, most: int) -> List[Tuple[int, float]]:
        """The most probable classes and their probabilities, the first class first among equals."""
        order = np.argsort(-self.probabilities, kind="stable")[:most]
        return [(int(k), float(self.probabilities[k])) for k in order]


def predict(net: TrainedNet, paths: Iterable[str], stdin: Optional[BinaryIO] = None,
            invert: Optional[bool] = None) -> Iterator[Union[Prediction, Unread]]:
    """What the net takes each picture for, in their order.

    They are read in batches, so there may be any number of them. One that cannot be read does not
    stop the others.

    Parameters
    ----------
    net : TrainedNet
    paths : iterable of str
        Of image files; "-" stands for `stdin`.
    stdin : binary file, optional
        With one picture in it.
    invert : bool, optional
        Whether to swap light and dark; by default as `nin_gluon.analysis.own_images.fit` decides.
    """
    waiting = iter(paths)
    for part in iter(lambda: list(itertools.islice(waiting, BATCH)), []):
        read = [read_one(path, net, stdin, invert) for path in part]
        good = [picture for picture in read if isinstance(picture, Picture)]
        if good:
            found = maps_of(net, np.stack([picture.own.pixels for picture in good]))
            answers = zip(probabilities(found.scores), found.maps)
        for path, picture in zip(part, read):
            yield (Prediction(path, *picture, *next(answers)) if isinstance(picture, Picture)
                   else picture)


class Picture(NamedTuple):
    """A picture that has been read: what the net is given, and a small copy."""

    own: OwnImage
    thumbnail: np.ndarray


def read_one(path: str, net: TrainedNet, stdin: Optional[BinaryIO],
             invert: Optional[bool]) -> Union[Picture, Unread]:
    """Read a picture and make it small at once: a batch of large ones would fill the memory."""
    try:
        if path == STDIN and stdin is not None:
            image = read_stream(stdin, "the picture on standard input")
        else:
            image = read_file(path)
        return Picture(fit(image, net.shape, invert), small(image))
    except InputError as error:
        return Unread(path, str(error))


def small(image: Image.Image) -> np.ndarray:
    """A small copy of an RGBA image, laid on white: (height, width, 3), uint8."""
    copy = image.copy()
    copy.thumbnail((THUMBNAIL, THUMBNAIL))
    copy = Image.alpha_composite(Image.new("RGBA", copy.size, "white"), copy)
    return np.asarray(copy.convert("RGB"))
