"""A server of a distributed job that runs no code which comes over the network; the scheduler, too.

MXNet's own server unpickles an optimizer that a worker may send it, and a pickle can run any code.
ps-lite knows no password, so that code may come from whoever reaches the server's port. The train
command needs no optimizer on the servers: they only add up gradients.
"""

import logging
import os

__all__ = ["serve", "serve_any"]

log = logging.getLogger(__name__)

REFUSED = 2  # exit status


def serve() -> None:
    """Be what DMLC_ROLE says, server or scheduler, until the workers are done."""
    # Importing MXNet in one of these roles starts MXNet's own server.
    role = os.environ.pop("DMLC_ROLE")
    import mxnet as mx
    from mxnet.kvstore.kvstore_server import KVStoreServer

    os.environ["DMLC_ROLE"] = role

    class Server(KVStoreServer):
        def _controller(self) -> object:
            return refuse

    Server(mx.kv.create("dist")).run()


def serve_any() -> None:
    """The same, but with MXNet's own server, which unpickles the optimizer that it is sent."""
    import mxnet  # noqa: F401  (is all there is to do)


def refuse(command: int, body: bytes, handle: object) -> None:
    """End this process, and so the job. To go on without the optimizer would be wrong silently."""
    log.error("refused a command to the servers, because it could run code. The train command "
              "sends none, so somebody else did.")
    os._exit(REFUSED)  # MXNet calls this from C++, which ignores exceptions
