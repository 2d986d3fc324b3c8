"""Several processes that train one net, from the view of one of them: MXNet's distributed kvstores.

Each worker takes its part of every batch and sends its gradients to the servers. The servers give
each worker the sum over all workers, and all workers then make the same update.
`nin_gluon.launch` starts the processes; the ``DMLC_*`` variables tell them about one another.
"""

import os
from typing import TYPE_CHECKING, Any, Optional, Sequence, Union

from nin_gluon.errors import InputError
from nin_gluon.text_tables import counted

if TYPE_CHECKING:
    from mxnet.kvstore import KVStore
    from mxnet.ndarray import NDArray

__all__ = ["Workers", "check", "join", "started_by_torchrun", "worker_count"]

# The kvstore key under which `Workers.all_reduce` sums. gluon.Trainer counts from 0.
SUMS = 10**6


def started_by_torchrun() -> bool:
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ and "MASTER_ADDR" in os.environ


def worker_count() -> int:
    """How many processes torchrun has started, this one among them; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if started_by_torchrun() else 1


def check(kvstore: str, workers: Optional[int] = None) -> None:
    """Check that this process was started as `kvstore` needs it.

    Parameters
    ----------
    kvstore : str
        One of `nin_gluon.settings.KVSTORES`.
    workers : int, optional
        How many workers the job must have, where a run is resumed.

    Raises
    ------
    InputError
        The kvstore is distributed but this process is not a worker of a job, or the other way
        round; or the job has another number of workers.
    """
    worker = os.environ.get("DMLC_ROLE") == "worker" and "DMLC_PS_ROOT_URI" in os.environ
    count = os.environ.get("DMLC_NUM_WORKER", "1") if worker else "1"
    if kvstore.startswith("dist") and not worker:
        raise InputError(f"--kvstore {kvstore} is for the workers of a job; start one with: python "
                         "-m nin_gluon.launch -n 2 -s 1 -- python -m nin_gluon.train --kvstore "
                         f"{kvstore} (or, to go on with a run, --resume RUN)")
    if count != "1" and not kvstore.startswith("dist"):
        raise InputError(f"this is one of {count} workers, and with --kvstore {kvstore} each would "
                         "train alone; use --kvstore dist_sync.")
    if worker_count() > 1:
        raise InputError(f"torchrun has started {worker_count()} processes, which would each train "
                         "alone with MXNet; add --engine torch, or use nin_gluon.launch.")
    if workers and str(workers) != count:
        raise InputError(f"this run was trained by {counted(workers, 'worker')}; resume it with -n "
                         f"{workers}, not -n {count}.")


def join(kvstore: str) -> "Workers":
    """Become one of the workers. Returns when all of them are there.

    Parameters
    ----------
    kvstore : str
        One of `nin_gluon.settings.KVSTORES`. With ``device`` or ``local`` this process is the only
        worker.
    """
    if not kvstore.startswith("dist"):
        return Workers(kvstore)
    import mxnet as mx

    store = mx.kv.create(kvstore)
    # The kvstore numbers the workers by their ports. Use the launcher's numbers instead: the user
    # sees those, and they put worker 0 on the first host.
    workers = Workers(store, int(os.environ.get("DMLC_WORKER_ID", store.rank)), store.num_workers)
    workers.wait_at_exit(False)
    return workers


class Workers:
    """The workers of a job, as this worker sees them.

    Attributes
    ----------
    kvstore : KVStore or str
        For gluon.Trainer.
    rank : int
        The number of this worker, from 0. Worker 0 prints, and writes the run folder.
    count : int
        The number of workers.
    distributed : bool
        Whether the launcher started this process as one of a job.
    launch : str
        The start of the command line that starts all workers, before the command of each; empty
        for a single process.
    """

    def __init__(self, kvstore: "Union[KVStore, str]", rank: int = 0, count: int = 1) -> None:
        self.kvstore: Any = kvstore
        self.rank, self.count = rank, count
        self.distributed = not isinstance(kvstore, str)
        self.launch = os.environ.get("NIN_GLUON_LAUNCH", "") if self.distributed else ""
        if not isinstance(kvstore, str):
            from mxnet import nd

            self.sums = nd.zeros(3)
            kvstore.init(SUMS, self.sums)

    def all_reduce(self, arrays: "Sequence[NDArray]") -> "NDArray":
        """Sum NDArrays of shape (3,), one for each device, over the devices and all workers.

        All workers must call this equally often. The call does not wait: the sum arrives later.
        """
        from mxnet import nd

        # With n workers, a server adds up the first n pushes that come, as if each worker had
        # sent one. So no worker may be a push ahead. Using the same array each time prevents
        # that: MXNet writes into it only after the last pull has filled it.
        nd.add_n(*[array.as_in_context(self.sums.context) for array in arrays], out=self.sums)
        self.kvstore.push(SUMS, self.sums)
        self.kvstore.pull(SUMS, self.sums)
        return self.sums.copy()

    def wait_at_exit(self, wait: bool) -> None:
        """Choose whether this process, when it exits, waits until all workers do.

        When a job ends well, all workers must wait, so that the servers end too. A worker that
        exits because of an error must not wait: it would hang, and nobody would see it end.
        """
        if self.distributed:
            from mxnet.base import _LIB, check_call

            check_call(_LIB.MXKVStoreSetBarrierBeforeExit(self.kvstore.handle, int(wait)))
