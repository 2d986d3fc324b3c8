"""A server of a distributed job that runs no code which comes over the network; the scheduler, too.

MXNet's own server unpickles an optimizer that a worker may send it, and a pickle can run any code.
ps-lite knows no password, so that code may come from whoever reaches the server's port. The train
command needs no optimizer on the servers: they only add up gradients.
"""

import ctypes
import importlib.util
import logging
import os
from pathlib import Path

__all__ = ["serve", "serve_any"]

log = logging.getLogger(__name__)

REFUSED = 2  # exit status

# What MXNet calls with a command from a worker; the third argument is the None below.
Controller = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def serve() -> None:
    """Be what DMLC_ROLE says, server or scheduler, until the workers are done.

    A server needs MXNet's library but not its Python package, which takes a second to import and
    would start MXNet's own server.
    """
    mxnet = importlib.util.find_spec("mxnet")  # our import hook then prepares this process
    assert mxnet and mxnet.origin
    library = ctypes.CDLL(str(next(Path(mxnet.origin).parent.glob("libmxnet.*"))),
                          mode=ctypes.RTLD_LOCAL)
    library.MXGetLastError.restype = ctypes.c_char_p
    kvstore, controller = ctypes.c_void_p(), Controller(refuse)
    if (library.MXKVStoreCreate(b"dist", ctypes.byref(kvstore))
            or library.MXKVStoreRunServer(kvstore, controller, None)
            or library.MXKVStoreFree(kvstore) or library.MXNotifyShutdown()):
        raise RuntimeError(library.MXGetLastError().decode("utf-8", "replace"))


def serve_any() -> None:
    """The same, but with MXNet's own server, which unpickles the optimizer that it is sent."""
    import mxnet  # noqa: F401  (is all there is to do)


def refuse(command: int, body: bytes, handle: object) -> None:
    """End this process, and so the job. To go on without the optimizer would be wrong silently."""
    log.error("refused a command to the servers, because it could run code. The train command "
              "sends none, so somebody else did.")
    os._exit(REFUSED)  # MXNet calls this from C++, which ignores exceptions
