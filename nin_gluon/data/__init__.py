"""From the files of an image set to batches."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple, Union

import numpy as np

from nin_gluon.data.sets import get_fashion_mnist_labels, load_image_set
from nin_gluon.errors import InputError

if TYPE_CHECKING:
    import mxnet as mx

    from nin_gluon.data.loader import BatchLoader

__all__ = ["get_fashion_mnist_labels", "load_data", "load_data_fashion_mnist", "load_image_set",
           "select_images"]


def load_data_fashion_mnist(batch_size: int, resize: Optional[int] = None,
                            root: Union[None, str, Path] = None,
                            ctx: "Optional[mx.Context]" = None,
                            ) -> "Tuple[BatchLoader, BatchLoader]":
    """Fashion-MNIST as a training and a test iterator; d2lzh's function, batch for batch.

    Parameters
    ----------
    batch_size : int
    resize : int, optional
        Edge length in pixels that the 28x28 images are resized to.
    root : str or Path, optional
        Folder with the four files. Without it they are looked for in the folder that
        ``NIN_GLUON_DATA`` names, then in MXNet's data folder. Missing files are downloaded.
    ctx : mxnet.Context, optional
        Where the batches go; the CPU by default.

    Returns
    -------
    train_iter, test_iter : BatchLoader
        Yield X (batch, 1, height, width) float32 in [0, 1] and y (batch,) int32. The training
        set is shuffled anew each pass, by NumPy's global random numbers.

    Raises
    ------
    InputError
        A file is damaged, foreign, unreadable, or missing and cannot be downloaded.
    """
    return load_data("fashion-mnist", batch_size, resize, root=root, ctx=ctx)


def load_data(name: str, batch_size: int, resize: Optional[int] = None, *,
              root: Union[None, str, Path] = None, ctx: "Optional[mx.Context]" = None,
              limit: Optional[int] = None, part: Tuple[int, int] = (0, 1), augment: str = "none",
              preprocess: str = "none", validation: Optional[int] = None,
              interpolation: str = "bilinear") -> "Tuple[BatchLoader, BatchLoader]":
    """A training and a test iterator over any known image set.

    Parameters
    ----------
    name : str
        One of `nin_gluon.data.sets.DATASETS`.
    batch_size, resize, root, ctx
        As in `load_data_fashion_mnist`.
    limit : int, optional
        Use only the first so many training images and as many test images.
    part : (int, int)
        (rank, workers): the iterators give this worker's part of every batch.
    augment : str
        How training images are changed at random: a choice of the setting of this name.
    preprocess : str
        A choice of the setting of this name, fitted to the training images.
    validation : int, optional
        Hold out so many training images, the last ones. They take the place of the test set, which
        is not even read.
    interpolation : {"bilinear", "bicubic"}
        How images are resized; see `nin_gluon.data.resize`.

    Returns
    -------
    train_iter, test_iter : BatchLoader

    Raises
    ------
    InputError
        As `load_data_fashion_mnist`; also if an argument has an unknown or impossible value.
    """
    from nin_gluon.data.loader import BatchLoader
    from nin_gluon.data.preprocess import preprocessor
    from nin_gluon.data.whitening import standardized

    images, labels, test_images, test_labels = select_images(name, root, limit, validation)
    shared: Dict[str, Any] = {
        "ctx": ctx, "part": part, "interpolation": interpolation,
        "levels": standardized(images) if preprocess == "standardize" else None,
        "preprocess": preprocessor(preprocess, images)}
    return (BatchLoader(images, labels, batch_size, resize, shuffle=True, augment=augment,
                        **shared),
            BatchLoader(test_images, test_labels, batch_size, resize, **shared))


def select_images(name: str, root: Union[None, str, Path] = None, limit: Optional[int] = None,
                  validation: Optional[int] = None,
                  ) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The training images and labels, then the test images and labels, that a run uses.

    The parameters are those of `load_data`.

    Raises
    ------
    InputError
        As `load_data`.
    """
    images, labels = load_image_set(name, "train", root)
    if validation:
        kept = len(images) - validation
        if kept < 1:
            raise InputError(f"of {len(images)} training images {validation} cannot be held out "
                             "for validation; choose fewer.")
        test_images, test_labels = images[kept:], labels[kept:]
        images, labels = images[:kept], labels[:kept]
    else:
        test_images, test_labels = load_image_set(name, "test", root)
        test_images, test_labels = test_images[:limit], test_labels[:limit]
    return images[:limit], labels[:limit], test_images, test_labels
