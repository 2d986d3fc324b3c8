"""Which data set a run uses: what both editions do when the user has left it open."""

import logging
from pathlib import Path
from typing import Callable, Optional, Tuple, TypeVar, Union

from nin_gluon.data.download import DownloadError
from nin_gluon.data.sets import ALIASES, DATASETS, own_data
from nin_gluon.errors import InputError

__all__ = ["choose_dataset", "check_own_data"]

log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


def choose_dataset(dataset: Optional[str], data_dir: Union[None, str, Path],
                   load: Callable[[str], Loaded], alone: bool = True) -> Tuple[str, Loaded]:
    """The data set's usual name, and what `load` makes of it.

    Parameters
    ----------
    dataset : str or None
        As the user named it. None stands for Fashion-MNIST, or for the sample if that cannot be
        had.
    data_dir : str or Path, optional
        The user's folder. If one is named, nothing stands in for what it lacks.
    load : callable
        Takes the name.
    alone : bool
        Whether this process trains alone. For several nothing stands in, since each would choose
        for itself.

    Raises
    ------
    InputError
        The data set is unknown, or cannot be had.
    """
    name = dataset or "fashion-mnist"
    name = ALIASES.get(name, name)
    try:
        return name, load(name)
    except DownloadError as error:
        if dataset or data_dir or not alone:
            raise
        log.warning("Fashion-MNIST is not at hand and cannot be downloaded (%s): training on the "
                    "built-in sample of drawn garments instead. For the real data, name its folder "
                    "with --data-dir or NIN_GLUON_DATA.", error.reason)
        return "sample", load("sample")


def check_own_data(dataset: str, data_dir: Union[None, str, Path], begun: bool,
                   noted: Optional[str]) -> Optional[str]:
    """Fingerprint of the user's own files; None for a published data set.

    Parameters
    ----------
    dataset : str
    data_dir : str or Path, optional
    begun : bool
        Whether the run goes on, so that it has to find the files that it began with.
    noted : str or None
        What this function returned when the run began.

    Raises
    ------
    InputError
        The run began with other files.
    """
    found = own_data(dataset, data_dir)
    if begun and found != noted:
        raise InputError(f"the run began with other files of {DATASETS[dataset].title} than are "
                         "found now; name their folder with --data-dir.")
    return found
