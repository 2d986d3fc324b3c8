"""The learning rate of every update, for engines that have no schedules of their own."""

import math
from typing import Callable

from nin_gluon.settings import Settings

__all__ = ["schedule_of"]


def schedule_of(settings: Settings, steps: int) -> Callable[[int], float]:
    """A function from the number of an update, from 1, to its learning rate.

    It gives what MXNet's ``CosineScheduler`` and ``MultiFactorScheduler`` give in a run of the
    Gluon engine; see `nin_gluon.training.gluon_run.optimizer_options`.

    Parameters
    ----------
    settings : Settings
    steps : int
        Of the whole run.
    """
    lr, warm_up = settings.lr, steps // 10
    if settings.schedule == "cosine":

        def cosine(update: int) -> float:
            if update < warm_up:
                return lr * update / warm_up
            return lr * (1 + math.cos(math.pi * (update - warm_up) / (steps - warm_up))) / 2

        return cosine
    if settings.schedule == "warmup":
        return lambda update: lr * update / warm_up if update < warm_up else lr
    if settings.schedule == "step":
        first = max(1, steps * 5 // 6)
        second = max(first + 1, steps * 11 // 12)
        return lambda update: lr * 0.1 ** ((update > first) + (update > second))
    return lambda update: lr
