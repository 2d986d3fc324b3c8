"""A trained net, ready to be asked: that of a run folder, or one that comes with the package.

Whichever engine computes, images go in and maps and scores come out as NumPy arrays.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from nin_gluon import data
from nin_gluon.analysis.net_recipe import Built, Field, Recipe, Responses, Walk
from nin_gluon.array_files import Entry
from nin_gluon.data.choose import check_own_data
from nin_gluon.data.sets import DATASETS, SHAPES
from nin_gluon.data.whitening import standardized
from nin_gluon.errors import InputError
from nin_gluon.pretrained import Weights, read_packaged
from nin_gluon.runtime import choose_engine
from nin_gluon.runtime.engine_choice import engine_for_trained
from nin_gluon.settings import Settings
from nin_gluon.training.history import warn_unless_finished
from nin_gluon.training.run_data import check_memory
from nin_gluon.training.run_folder import Environment, RunConfig
from nin_gluon.training.saved_parameters import newest_parameters, read_newest

__all__ = ["TrainedNet", "evaluation_images", "load_pretrained", "load_run", "load_weights"]

@dataclass(frozen=True)
class TrainedNet:
    """A trained net.

    Attributes
    ----------
    name : str
        What to call it: the run folder, or "the trained nin of the package".
    source : str
        Which parameters these are: the name of a checkpoint or of a file.
    config : RunConfig
        Of the run that trained it; the engine and the arithmetic are those that are used now.
    classes : tuple of str
        Their names, in the order of the scores.
    shape : (int, int, int)
        (height, width, channels) of the images that it takes.
    field : list of (float, int, int)
        Where the maps' squares lie, as from `nin_gluon.models.geometry.receptive_field`.
    respond : callable
        Images (n, height, width, channels) uint8 -> for each batch of them maps
        (batch, classes, height', width') and scores (batch, classes), float32.
    walk : callable
        One image (height, width, channels) uint8 and the edge in pixels to which it is resized ->
        a list with what each layer makes of it, `LayerOutput`.
    smallest : int
        The smallest edge in pixels that leaves something for every layer.
    """

    name: str
    source: str
    config: RunConfig
    classes: Tuple[str, ...]
    shape: Tuple[int, int, int]
    field: Field
    respond: Responses
    walk: Walk
    smallest: int

    @property
    def settings(self) -> Settings:
        return self.config.settings

    @property
    def image_size(self) -> Tuple[int, int]:
        """(height, width) in pixels of the resized images, to which `field` refers."""
        edge = int(self.settings.resize or self.shape[0])
        return edge, edge

    @property
    def title(self) -> str:
        """The data set's, for people."""
        return DATASETS[str(self.settings.dataset)].title


def load_run(run: Path, config: RunConfig, ctx: str = "auto",
             engine: Optional[str] = None) -> TrainedNet:
    """The net of a run with its newest parameters.

    Parameters
    ----------
    run : Path
    config : RunConfig
        The run's, perhaps with another dtype or data folder.
    ctx : str
        As --ctx is given; of several devices the first is used.
    engine : {"gluon", "torch"}, optional
        By default the run's, or the other where that cannot compute here.

    Raises
    ------
    InputError
        The run has saved no parameters, they are damaged or those of another net, or the training
        images are needed for the preprocessing and cannot be had.
    """
    engine = engine or engine_for_trained(config.settings.engine, ctx)
    settings = config.settings.but(engine=engine)
    newest_parameters(run)  # if there are none, say so before the images are loaded
    name = str(settings.dataset)
    if name not in SHAPES or settings.resize is None:
        raise InputError(f"{run} does not say which images its net takes; the net has to be one of "
                         f"{', '.join(SHAPES)}, and the run one that has started.")
    dataset = DATASETS[name]
    check_memory(settings, SHAPES[name][2], 1, "use another run")
    found: List[Tuple[Path, str]] = []

    def read(wanted: List[Entry]) -> List[np.ndarray]:
        values, path, source = read_newest(run, wanted, settings.model)
        found.append((path, source))
        if wanted[-1].shape[0] != len(dataset.classes):
            raise InputError(f"the net of {run} tells {wanted[-1].shape[0]} classes and "
                             f"{dataset.title} has {len(dataset.classes)}; use a run whose net has "
                             "as many as its set.")
        return values

    fitted_to = training_images(config)
    levels = standardized(fitted_to) if settings.preprocess == "standardize" else None
    built = build(Recipe(settings, SHAPES[name], read, levels, fitted_to), ctx)
    path, source = found[0]
    warn_unless_finished(run, settings.epochs, path)
    return TrainedNet(str(run), source, replace(config, settings=settings), tuple(dataset.classes),
                      SHAPES[name], built.field, built.respond, built.walk, built.smallest)


def load_pretrained(name: str = "nin", ctx: str = "auto", engine: Optional[str] = None,
                    dtype: str = "float32", data_dir: Optional[str] = None) -> TrainedNet:
    """A trained net that comes with the package; no data set is needed.

    Parameters
    ----------
    name : str
        The net's.
    ctx, engine
        As of `load_run`; the engine is MXNet by default, or PyTorch where that cannot compute.
    dtype : {"float32", "bfloat16", "float16"}
    data_dir : str, optional
        Where to find the test images, should they be asked for.

    Raises
    ------
    InputError
        There is no such trained net, or its file is damaged.
    """
    return load_weights(read_packaged(name), ctx, engine, dtype, data_dir)


def load_weights(weights: Weights, ctx: str = "auto", engine: Optional[str] = None,
                 dtype: str = "float32", data_dir: Optional[str] = None) -> TrainedNet:
    """The same of a file that has been read."""
    made_of = weights.preprocessing
    settings = weights.run_settings(engine or choose_engine(ctx, "using PyTorch"), dtype)
    shape = (made_of.height, made_of.width, made_of.channels)
    recipe = Recipe(settings, shape, lambda wanted: weights.for_net([e.shape for e in wanted]),
                    made_of.levels, np.empty((0, *shape), np.uint8))
    built = build(recipe, ctx)
    config = RunConfig("pretrained", settings, Environment(ctx, data_dir))
    return TrainedNet(f"the trained {weights.name} of the package", f"{weights.name}.safetensors",
                      config, weights.classes, shape, built.field, built.respond, built.walk,
                      built.smallest)


def build(recipe: Recipe, ctx: str) -> Built:
    """The net, from the engine that the settings name."""
    if recipe.settings.engine == "torch":
        from nin_gluon.analysis import torch_net

        return torch_net.build(recipe, ctx)
    from nin_gluon.analysis import gluon_net

    return gluon_net.build(recipe, ctx)


# ------------------------------------------------------------------ a run's images


def training_images(config: RunConfig) -> np.ndarray:
    """The training images, if the run's preprocessing depends on them; else none."""
    settings = config.settings
    if settings.preprocess not in ("standardize", "zca"):
        return np.empty((0, 1, 1, 1), np.uint8)
    where = config.environment
    check_own_data(str(settings.dataset), where.data_dir, where.machine is not None,
                   where.own_data)
    images, _ = data.load_image_set(str(settings.dataset), "train", where.data_dir)
    return images[: len(images) - (settings.validation or 0)][: settings.limit]


def evaluation_images(config: RunConfig, limit: Optional[int] = None,
                      ) -> Tuple[np.ndarray, np.ndarray]:
    """The images by which a run is judged, and their labels.

    They are the test images, or the training images that a validation run holds out.

    Parameters
    ----------
    config : RunConfig
    limit : int, optional
        The first so many; by default as many as the run used.

    Returns
    -------
    images : numpy.ndarray, (n, height, width, channels), uint8
    labels : numpy.ndarray, (n,), integers

    Raises
    ------
    InputError
        The images cannot be had, or are others than those that the run began with.
    """
    settings, where = config.settings, config.environment
    name = str(settings.dataset)
    check_own_data(name, where.data_dir, where.machine is not None, where.own_data)
    if settings.validation:
        images, labels = data.load_image_set(name, "train", where.data_dir)
        held_out = slice(len(images) - settings.validation, None)
        return images[held_out][:limit], labels[held_out][:limit]
    images, labels = data.load_image_set(name, "test", where.data_dir)
    limit = limit or settings.limit
    return images[:limit], labels[:limit]
