"""The guard: runs one process of a distributed job, and kills it when the launcher is gone.

A guard runs on this machine or at the far end of an ssh connection. It reads its standard input:
first one line with an `Order`, then signal numbers to pass on. When its input ends, because the
launcher or the connection is gone, the guard kills what it runs. So the same mechanism works on
one machine and on several, and no process outlives the launcher.
"""

import contextlib
import ctypes
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Callable, Dict, List, Optional

from nin_gluon.runtime import THREADS_GIVEN, available_cpus
from nin_gluon.training.hosts import address_towards, is_loopback

__all__ = ["Order", "guard", "shell_status"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What a guard runs, and how."""

    command: List[str]
    environment: Dict[str, str]  # added to the guard's own
    sharers: int  # how many workers share the processors of the machine
    remote: bool  # whether ssh started the guard

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Order":
        return cls(**json.loads(line))


def guard() -> int:
    """Run the order on the first line of standard input; pass on the signals that follow.

    Returns
    -------
    int
        The exit status of the process, 128 + n if signal n ended it, 127 if it cannot be run.
    """
    # Not sys.stdin: a thread that waits in it holds its lock, and Python aborts on that at exit.
    orders = io.FileIO(0, closefd=False)
    order = Order.from_line(orders.readline())
    try:
        child = subprocess.Popen(order.command, env=environment_of(order),
                                 stdin=subprocess.DEVNULL, start_new_session=True,
                                 preexec_fn=die_with_parent())
    except OSError as error:
        log.error("cannot run %s: %s", order.command[0], error.strerror)
        return 127
    threading.Thread(target=pass_signals_on, args=(orders, child.pid), daemon=True).start()
    status = child.wait()
    kill_group(child.pid, signal.SIGKILL)  # children that it left behind
    return shell_status(status)


def environment_of(order: Order) -> Dict[str, str]:
    """The whole environment of the process."""
    environment = {**os.environ, **order.environment}
    if THREADS_GIVEN is None and "OMP_NUM_THREADS" not in order.environment:
        environment["OMP_NUM_THREADS"] = str(max(1, available_cpus() // order.sharers))
    set_address(environment)
    if order.remote:  # `python` has to be the one that runs the guard, with its packages
        environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return environment


def set_address(environment: Dict[str, str]) -> None:
    """Choose the address on which the process listens: that of one interface, never all of them.

    A job on one machine listens on the loopback address, whatever the user's environment says:
    ps-lite knows no password, so nobody else may reach it.
    """
    environment.pop("DMLC_USE_KUBERNETES", None)  # makes the scheduler listen on every address
    root = environment["DMLC_PS_ROOT_URI"]
    if is_loopback(root):
        environment.pop("DMLC_INTERFACE", None)  # would win over DMLC_NODE_HOST
        environment["DMLC_NODE_HOST"] = root
    elif "DMLC_INTERFACE" not in environment:
        address = address_towards(root)
        if address:
            environment.setdefault("DMLC_NODE_HOST", address)


def pass_signals_on(orders: io.FileIO, group: int) -> None:
    """Send the process group each signal whose number comes; at the end of the input, kill it."""
    for line in iter(orders.readline, b""):
        kill_group(group, int(line))
    kill_group(group, signal.SIGKILL)


def kill_group(group: int, signum: int) -> None:
    """Send a signal to all processes of a group, if any are left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signum)


def die_with_parent() -> Optional[Callable[[], None]]:
    """A function for the child to call, so that Linux kills it when its guard is killed."""
    if not sys.platform.startswith("linux"):
        return None
    libc, set_death_signal = ctypes.CDLL(None), 1  # PR_SET_PDEATHSIG

    def ask_linux() -> None:
        libc.prctl(set_death_signal, signal.SIGKILL)

    return ask_linux


def shell_status(status: int) -> int:
    """The status as a shell gives it: 128 + n, where subprocess says -n, for signal n."""
    return status if status >= 0 else 128 - status
