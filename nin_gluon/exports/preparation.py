"""What a run does to its images before the net sees them, fitted to its training images."""

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from nin_gluon.data import select_images
from nin_gluon.data.choose import check_own_data
from nin_gluon.data.sets import SHAPES
from nin_gluon.data.whitening import NORM, contrast_normalized, fit_whitening, standardized
from nin_gluon.training.run_folder import RunConfig

__all__ = ["Preparation", "preparation_of"]


@dataclass(frozen=True)
class Preparation:
    """From pixels of 0 to 255 to the net's input.

    Attributes
    ----------
    name : {"none", "standardize", "gcn", "zca"}
        As the setting ``preprocess``; see `nin_gluon.data.preprocess`.
    line : (float, float)
        Of ``standardize``: a pixel x becomes ``line[0] + line[1] * x``.
    whitening : (numpy.ndarray, numpy.ndarray) or None
        Of ``zca``: the mean (1, values) and the matrix (values, values), float32. Values go by row,
        column and channel.
    resize : ((int, int), (int, int)) or None
        If the images are resized first, from one (height, width) to another, bilinearly.
    """

    name: str = "none"
    line: Tuple[float, float] = (0.0, 1 / 255)
    whitening: Optional[Tuple[np.ndarray, np.ndarray]] = None
    resize: Optional[Tuple[Tuple[int, int], Tuple[int, int]]] = None

    @property
    def words(self) -> str:
        """What happens, in a sentence for the file's metadata."""
        first = ("resized from {}x{} to {}x{} with OpenCV's 8-bit bilinear weights, then ".format(
            *self.resize[0], *self.resize[1]) if self.resize else "")
        return first + {
            "none": "divided by 255",
            "standardize": f"x -> {self.line[0]:.6g} + {self.line[1]:.6g} x",
            "gcn": f"each image's mean subtracted, then scaled to a Euclidean norm of {NORM:g}",
            "zca": f"each image's mean subtracted, scaled to a Euclidean norm of {NORM:g}, then "
                   "whitened (ZCA)",
        }[self.name]


def preparation_of(config: RunConfig, with_resize: bool = False,
                   line: Optional[Tuple[float, float]] = None) -> Preparation:
    """How a run prepares its images; reads the training images where that has to be fitted.

    Parameters
    ----------
    config : RunConfig
        Of a run that has started.
    with_resize : bool
        Include the resizing from the data set's own size.
    line : (float, float), optional
        As in `Preparation`, where it is settled; then the training images are not read.

    Raises
    ------
    InputError
        The training images are needed, and cannot be had or are others than the run's.
    """
    settings = config.settings
    own = SHAPES[str(settings.dataset)][:2]
    new = (settings.edge,) * 2
    resize = (own, new) if with_resize and own != new else None
    name = settings.preprocess
    if name in ("none", "gcn"):
        return Preparation(name, resize=resize)
    if line:
        return Preparation(name, line, resize=resize)
    dataset, environment = str(settings.dataset), config.environment
    check_own_data(dataset, environment.data_dir, True, environment.own_data)
    images = select_images(dataset, environment.data_dir, settings.limit, settings.validation)[0]
    if name == "standardize":
        levels = standardized(images).astype(float)
        return Preparation(name, (levels[0], (levels[255] - levels[0]) / 255), resize=resize)
    return Preparation(name, whitening=fit_whitening(images, contrast_normalized))
