"""Gluon's DataLoader takes no more worker processes than the machine has room for.

Which batches it gives does not depend on how many workers make them.
"""

import functools
import inspect
import logging
import shutil
from types import ModuleType
from typing import Any

from nin_gluon.runtime import available_cpus

__all__ = ["limit_workers"]

log = logging.getLogger(__name__)

# Workers hand over their batches through this folder. Docker gives it 64 MiB, and four workers of
# the book's loader at 224x224 fill 200 MB: they then die, and the loader waits for them.
SHARED_MEMORY = "/dev/shm"
ENOUGH = 2**30  # bytes


def limit_workers(dataloader: ModuleType) -> None:
    """Let ``DataLoader`` start at most as many workers as there is room for.

    Parameters
    ----------
    dataloader : module
        ``mxnet.gluon.data.dataloader``.
    """
    theirs = dataloader.DataLoader.__init__
    signature = inspect.signature(theirs)

    @functools.wraps(theirs)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        asked = given.arguments.get("num_workers", 0)
        if asked > 0 and not given.arguments.get("thread_pool"):
            given.arguments["num_workers"] = min(asked, room_for_workers())
        theirs(*given.args, **given.kwargs)

    dataloader.DataLoader.__init__ = __init__


def room_for_workers() -> int:
    """How many workers this machine can have; 0 if they could not hand over their batches."""
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:  # not Linux
        return available_cpus()
    if free < ENOUGH:
        say_once(f"{SHARED_MEMORY} has {free // 2**20} MiB, too little for the workers of a "
                 "DataLoader; batches are made without them")
        return 0
    return available_cpus()


@functools.lru_cache(maxsize=None)
def say_once(text: str) -> None:
    log.warning(text)
