"""What an exercise measures of a finished run: its size, its stall at ln 10, its start."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from nin_gluon.analysis.initial_state import measure_start
from nin_gluon.checked_files import check_number, parse_json, read_text, reason, shown
from nin_gluon.errors import InputError
from nin_gluon.experiments.records import Record
from nin_gluon.settings import Settings
from nin_gluon.training.progress_marks import no_better_than_guessing

__all__ = ["Progress", "cost", "image_counts", "measured", "read_progress", "stall_steps"]


def measured(record: Record, folder: Path, data_dir: Optional[str], start: bool) -> Record:
    """A run's record with what is measured of it; `start`: of the net that it started from, too."""
    channels, train_images, test_images = image_counts(record.settings, data_dir)
    parameters, macs = cost(record.settings, channels)
    steps = -(-train_images // record.settings.batch_size)  # in an epoch
    return replace(
        record, parameters=parameters, macs=macs, train_images=train_images,
        test_images=test_images, steps=steps * record.settings.epochs,
        stall=stall_steps(read_progress(folder), steps),
        start=measure_start(record.settings, data_dir) if start else None)


# ------------------------------------------------------------------ before a run


def image_counts(settings: Settings, data_dir: Optional[str]) -> Tuple[int, int, int]:
    """Channels, and how many images a run is trained on and how many it is judged by."""
    dataset = settings.dataset or "fashion-mnist"
    (train, *_), (test, *_, channels) = (image_shape(dataset, split, data_dir)
                                         for split in ("train", "test"))
    limit, held_out = settings.limit or train + test, settings.validation
    return (channels, min(train - (held_out or 0), limit),
            held_out or min(test, limit))  # --limit is not for those held out


@functools.lru_cache(maxsize=None)
def image_shape(dataset: str, split: str, data_dir: Optional[str]) -> Tuple[int, int, int, int]:
    """(images, height, width, channels) of a split."""
    from nin_gluon.data import load_image_set

    images, height, width, channels = load_image_set(dataset, split, data_dir)[0].shape
    return images, height, width, channels


def cost(settings: Settings, channels: int) -> Tuple[int, int]:
    """Parameters, and MACs of one image, of a run's net.

    Raises
    ------
    InputError
        There is no such net, or the images are too small for it.
    """
    size = settings.edge
    if settings.engine == "torch":
        from nin_gluon.torch_models import nets

        return nets.cost(nets.known_net(settings.model, channels, size), channels, size)

    from nin_gluon.models import get_model
    from nin_gluon.models.geometry import layer_table

    rows = layer_table(get_model(settings.model), (1, channels, size, size))
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)


# ------------------------------------------------------------------ after it


@dataclass(frozen=True)
class Progress:
    """A line of a run's progress."""

    epochs: float  # that were done, with a fraction
    loss: float  # mean since the line before, which is a hundredth of an epoch or more


def stall_steps(progress: Sequence[Progress], steps: int) -> Optional[int]:
    """In how many steps a run's loss was no better than guessing: less than 1 % below ln 10.

    Parameters
    ----------
    progress : sequence of Progress
    steps : int
        In an epoch.

    Returns
    -------
    int or None
        None if it was so in all of them.
    """
    if all(no_better_than_guessing(line.loss) for line in progress):
        return None
    before, stalled = 0.0, 0.0
    for line in progress:
        if no_better_than_guessing(line.loss):
            stalled += line.epochs - before
        before = line.epochs
    return round(stalled * steps)


def read_progress(folder: Path) -> List[Progress]:
    """The progress within the epochs that a finished run has left in ``progress.jsonl``.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    path = folder / "progress.jsonl"
    progress: List[Progress] = []
    try:
        for text in read_text(path).splitlines():
            content = parse_json(text)
            if not isinstance(content, dict) or not {"epochs", "loss"} <= set(content):
                raise ValueError(f"{shown(content)} has no 'epochs' and 'loss'")
            progress.append(Progress(check_number("epochs", content["epochs"], 1e9),
                                     check_number("loss", content["loss"])))
            if len(progress) > 1 and progress[-1].epochs < progress[-2].epochs:
                raise ValueError("epochs fall")
    except (FileNotFoundError, ValueError) as error:
        words = "it is missing" if isinstance(error, FileNotFoundError) else reason(error)
        raise InputError(f"{path} cannot be read ({words}); move the run folder away to have the "
                         "run made again.") from None
    return progress
