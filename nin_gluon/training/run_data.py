"""The images of a run, as its settings ask for them."""

from dataclasses import replace
from typing import Any, Callable, Tuple

from nin_gluon.data.choose import check_own_data, choose_dataset
from nin_gluon.errors import InputError
from nin_gluon.runtime.processors import memory_bytes
from nin_gluon.settings import Settings
from nin_gluon.text_tables import counted
from nin_gluon.training.run_folder import RunConfig

__all__ = ["check_memory", "load_settled"]


def load_settled(config: RunConfig, load: Callable[..., Any],
                 alone: bool = True) -> Tuple[Any, Any, RunConfig]:
    """A run's training and test iterators, whatever their framework.

    Parameters
    ----------
    config : RunConfig
    load : callable
        Takes the name of the data set, and what the settings say as the options of
        `nin_gluon.data.load_data`; returns both iterators.
    alone : bool
        As for `nin_gluon.data.choose.choose_dataset`.

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
    name, (train_iter, test_iter) = choose_dataset(
        settings.dataset, environment.data_dir, lambda name: load(
            name, resize=settings.resize, root=environment.data_dir, limit=settings.limit,
            interpolation=settings.interpolation, augment=settings.augment,
            preprocess=settings.preprocess, validation=settings.validation), alone)
    own = check_own_data(name, environment.data_dir, environment.machine is not None,
                         environment.own_data)
    resize = settings.resize or train_iter.images.shape[1]
    return train_iter, test_iter, replace(
        config, settings=settings.but(dataset=name, resize=resize),
        environment=replace(environment, own_data=own))


def check_memory(settings: Settings, channels: int, images: int,
                 advice: str = "lower --resize or --batch-size") -> None:
    """Raise `InputError` if one batch of images alone is larger than the machine's memory.

    A run folder from elsewhere, or a slip of the finger, may ask for images of a million pixels a
    side. The frameworks would then end with an error of their own, or the system would end them.
    A batch has no more than all `images`. The message ends in the `advice`.
    """
    size = settings.edge
    batch = min(settings.batch_size, images)
    needed, there = 4 * channels * size**2 * batch, memory_bytes()
    if there and needed > there:
        raise InputError(f"a batch of {counted(batch, 'image')} of {size}x{size} takes "
                         f"{needed / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f} GB; "
                         f"{advice}.")
