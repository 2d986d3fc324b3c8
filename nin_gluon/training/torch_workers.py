"""Several processes that train one net in PyTorch, from the view of one of them.

``torchrun`` starts the processes and tells them about one another. Each takes its part of every
batch; DistributedDataParallel averages their gradients, over NCCL on GPUs and gloo on CPUs.
"""

import atexit
import os
import sys
from typing import Optional

import torch
from torch import distributed

from nin_gluon.errors import InputError
from nin_gluon.training.workers import started_by_torchrun, worker_count

__all__ = ["TorchWorkers", "device_of_worker", "join"]


class TorchWorkers:
    """The processes of a job, as this process sees them; a single process is a job of one.

    Attributes
    ----------
    rank : int
        The number of this process, from 0. Process 0 prints, and writes the run folder.
    count : int
    distributed : bool
        Whether torchrun started this process.
    launch : str
        The start of the command line that starts all of them; empty for a single process.
    """

    def __init__(self) -> None:
        self.count, self.distributed = worker_count(), started_by_torchrun()
        self.rank = int(os.environ["RANK"]) if self.distributed else 0
        here = os.environ.get("LOCAL_WORLD_SIZE", str(self.count))
        self.launch = (f"torchrun --nproc_per_node {here} --no-python " if self.distributed else "")

    def wait_at_exit(self, wait: bool) -> None:
        """Leave the job, at its good end; nothing may remain to be done."""
        if self.distributed and wait:
            distributed.barrier()
            distributed.destroy_process_group()
            atexit.register(exit_at_once)


def exit_at_once() -> None:
    """End this process, which was successful, without taking the interpreter down.

    DistributedDataParallel keeps the process group, so gloo's threads are still running. One that
    lets go of a tensor while the interpreter is taken down aborts the process ("terminate called
    without an active exception"), and torchrun then reports that the job failed. See
    https://github.com/pytorch/pytorch/pull/179291.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def device_of_worker(ctx: str) -> str:
    """``--ctx`` for this process: of several on one machine each takes a GPU of its own."""
    name = ctx.strip()
    if started_by_torchrun() and (name in ("gpu", "cuda")
                                  or name == "auto" and torch.cuda.is_available()):
        return f"gpu({os.environ.get('LOCAL_RANK', '0')})"
    return ctx


def join(device: torch.device, count: Optional[int] = None) -> TorchWorkers:
    """Become one of the processes. Returns when all of them are there.

    Parameters
    ----------
    device : torch.device
    count : int, optional
        How many there must be, where a run is resumed.

    Raises
    ------
    InputError
        There is another number of them, or another launcher has started them.
    """
    if count and worker_count() != count:
        how = (f"with torchrun --nproc_per_node {count} --no-python" if count > 1
               else "without torchrun")
        trained = "1 process" if count == 1 else f"{count} processes"
        raise InputError(f"this run was trained by {trained}, and this job has {worker_count()}; "
                         f"resume it {how}.")
    if os.environ.get("DMLC_ROLE") == "worker" and os.environ.get("DMLC_NUM_WORKER", "1") != "1":
        raise InputError("nin_gluon.launch starts MXNet's workers, and with PyTorch each would "
                         "train alone; start them with torchrun.")
    workers = TorchWorkers()
    if workers.distributed:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return workers
