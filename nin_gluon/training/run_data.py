"""The images of a run, as its settings ask for them."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, List, Optional, Tuple

from nin_gluon.data import load_data
from nin_gluon.data.download import DownloadError
from nin_gluon.data.sets import ALIASES, DATASETS, own_data
from nin_gluon.errors import InputError
from nin_gluon.settings import Settings
from nin_gluon.training.run_folder import RunConfig

if TYPE_CHECKING:
    import mxnet as mx

    from nin_gluon.data.loader import BatchLoader

__all__ = ["choose_dataset", "load_run_data"]

log = logging.getLogger(__name__)


def load_run_data(config: RunConfig, contexts: "List[mx.Context]", part: Tuple[int, int] = (0, 1),
                  ) -> "Tuple[BatchLoader, BatchLoader, RunConfig]":
    """A run's training and test iterators.

    Parameters
    ----------
    config : RunConfig
    contexts : list of mxnet.Context
        The devices of this process.
    part : (int, int)
        (rank, workers): the iterators give this worker's part of every batch.

    Returns
    -------
    train_iter, test_iter : BatchLoader
    config : RunConfig
        The same with everything settled that was open: data set, image size, own files.

    Raises
    ------
    InputError
        The data cannot be had, or the run began with other files than are found now.
    """
    settings, environment = config.settings, config.environment
    # Batches go to the device at once; with several devices the loop splits them.
    ctx = contexts[0] if len(contexts) == 1 else None

    def load(name: str) -> "Tuple[BatchLoader, BatchLoader]":
        return load_data(name, settings.batch_size * part[1], settings.resize,
                         root=environment.data_dir, ctx=ctx, limit=settings.limit, part=part,
                         augment=settings.augment, preprocess=settings.preprocess,
                         validation=settings.validation)

    name, (train_iter, test_iter) = choose_dataset(settings, environment.data_dir, load)
    own = own_data(name, environment.data_dir)
    if environment.machine and environment.own_data != own:  # the run has begun already
        raise InputError(f"the run began with other files of {DATASETS[name][0]} than are "
                         "found now; name their folder with --data-dir.")
    resize = settings.resize or train_iter.images.shape[1]
    return train_iter, test_iter, replace(
        config, settings=settings.but(dataset=name, resize=resize),
        environment=replace(environment, own_data=own))


def choose_dataset(settings: Settings, data_dir: Optional[str], load):  # type: ignore
    """The data set's name and what `load` makes of it.

    If the user left the data set open and Fashion-MNIST cannot be had, it is the sample.
    """
    name = settings.dataset or "fashion-mnist"
    name = ALIASES.get(name, name)
    try:
        return name, load(name)
    except DownloadError as error:
        if settings.dataset or data_dir:
            raise
        log.warning("Fashion-MNIST is not at hand and cannot be downloaded (%s): training on the "
                    "built-in sample of drawn garments instead. For the real data, name its folder "
                    "with --data-dir or NIN_GLUON_DATA.", error.reason)
        return "sample", load("sample")
