"""Several processes that train one net: MXNet's distributed kvstores, as one worker sees them.

Each worker takes its part of every batch and sends its gradients to the servers, which give each
the sum over all workers; each then makes the same update. `nin_gluon.launch` starts the processes
and tells them of one another in the ``DMLC_*`` variables.
"""

import os

from nin_gluon.errors import InputError

__all__ = ["KVSTORES", "Workers", "check", "join"]

# Of one process, then of several.
KVSTORES = ("device", "local", "dist_sync", "dist_device_sync")

# The kvstore's key of what `allreduce` sums; gluon.Trainer takes the numbers from 0 on.
SUMS = 10**6


def check(kvstore, workers=None):
    """See that this process was started as `kvstore` needs it, as one of so many workers.

    Raises
    ------
    InputError
        The kvstore is distributed and this process is no worker of a job, or the other way round;
        or the run that is to go on had another number of workers.
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
    if workers and str(workers) != count:
        raise InputError(f"the run is one of {workers} workers; go on with it with -n {workers}, "
                         f"not -n {count}.")


def join(kvstore):
    """Become one of the workers; returns when all have come.

    Parameters
    ----------
    kvstore : str
        One of `KVSTORES`. With one of the first two this process is the only worker.

    Returns
    -------
    Workers
    """
    if not kvstore.startswith("dist"):
        return Workers(kvstore)
    import mxnet as mx

    store = mx.kv.create(kvstore)
    # The store numbers its workers by their ports; the launcher's number is the one the user sees,
    # and its worker 0 is on the first host.
    workers = Workers(store, int(os.environ.get("DMLC_WORKER_ID", store.rank)), store.num_workers)
    workers.wait_at_exit(False)
    return workers


class Workers:
    """The workers of a job, this process among them.

    Attributes
    ----------
    kvstore : KVStore or str
        For gluon.Trainer.
    rank : int
        Of this worker, from 0. Worker 0 prints, and writes the run folder.
    count : int
        Of all workers.
    allreduce : callable or None
        `sum_over_workers`; None where there is but one worker.
    launch : str
        What stands before the command that each worker is started with, where the user started
        them all; empty for one process.
    """

    def __init__(self, kvstore, rank=0, count=1):
        self.kvstore, self.rank, self.count = kvstore, rank, count
        self.distributed = not isinstance(kvstore, str)
        self.allreduce = self.sum_over_workers if self.distributed else None
        self.launch = os.environ.get("NIN_GLUON_LAUNCH", "") if self.distributed else ""
        if self.distributed:
            from mxnet import nd

            self.sums = nd.zeros(3)
            self.kvstore.init(SUMS, self.sums)

    def sum_over_workers(self, arrays):
        """Sum NDArrays of shape (3,), one a device, over these devices and all workers.

        Every worker must call it equally often. Nothing waits: the sum is on the way.
        """
        from mxnet import nd

        # A server takes the first pushes that come, as many as there are workers, for one from
        # each. A worker must not be a push ahead, then; by using one array for all of them it is
        # not, for MXNet writes into an array only after the pull before has filled it.
        nd.add_n(*[array.as_in_context(self.sums.context) for array in arrays], out=self.sums)
        self.kvstore.push(SUMS, self.sums)
        self.kvstore.pull(SUMS, self.sums)
        return self.sums.copy()

    def wait_at_exit(self, wait):
        """Whether this process, when it exits, waits until all workers do.

        So must they at a job's good end, for the servers to end too. One that exits because
        something went wrong must not, or it would never be seen to have ended.
        """
        if self.distributed:
            from mxnet.base import _LIB, check_call

            check_call(_LIB.MXKVStoreSetBarrierBeforeExit(self.kvstore.handle, int(wait)))
