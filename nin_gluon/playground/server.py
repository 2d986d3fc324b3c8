"""The page's server: a few addresses, on the loopback address only."""

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Tuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nin_gluon.errors import InputError
from nin_gluon.playground.guard import Guard
from nin_gluon.playground.looks import look, some_images
from nin_gluon.playground.nets import Nets
from nin_gluon.runtime import MXNetUnavailable

__all__ = ["LOOPBACK", "MOST_BYTES", "make_app", "open_socket", "serve"]

LOOPBACK = "127.0.0.1"
MOST_BYTES = 20 * 10**6  # of a picture; `own_images` bounds its pixels
MOST_IMAGES = 48  # test images at once

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css",
         ".svg": "image/svg+xml"}

INVERT = {"auto": None, "yes": True, "no": False}


class Refused(Exception):
    """A request that is not answered.

    The page has a sentence for each `code`, in its languages. `sentence` is the English one.
    """

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence


def make_app(nets: Nets, port: int) -> Guard:
    """The application, behind its guard.

    ========================  ==================================================================
    ``/``, ``/page/NAME``     the page and what belongs to it
    ``/api/nets``             the ids of the nets
    ``/api/net?net=``         facts about one
    ``/api/images?net=``      test images: ``first`` is the first one's number, ``count`` how many
    ``/api/look?net=``        POST of an image file: what the net makes of it. ``size`` is the edge
                              in pixels; ``invert`` auto, yes or no
    ========================  ==================================================================

    Nets are loaded and computed in one thread, so one request is answered at a time.
    """
    worker = ThreadPoolExecutor(1, "nets")

    async def work(do: Callable[..., Any], *arguments: Any) -> Response:
        loop = asyncio.get_running_loop()
        return JSONResponse(await loop.run_in_executor(worker, do, *arguments))

    async def all_nets(request: Request) -> Response:
        return await work(nets.ids)

    async def one_net(request: Request) -> Response:
        return await work(known(nets.facts), request.query_params.get("net", ""))

    async def images(request: Request) -> Response:
        first, count = whole(request, "first", 10**9), whole(request, "count", MOST_IMAGES)
        return await work(lambda name: some_images(known(nets.get)(name), first, count),
                          request.query_params.get("net", ""))

    async def one_look(request: Request) -> Response:
        invert = request.query_params.get("invert", "auto")
        if invert not in INVERT:
            raise Refused(422, "request", "invert is auto, yes or no.")
        size = whole(request, "size", 10**5)
        return await work(answer, nets, request.query_params.get("net", ""),
                          await body(request), size, INVERT[invert])

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse({"error": error.code, "sentence": error.sentence}, error.status)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it

    app = Starlette(
        routes=[Route("/", page_file), Route("/page/{name}", page_file),
                Route("/api/nets", all_nets), Route("/api/net", one_net),
                Route("/api/images", images), Route("/api/look", one_look, methods=["POST"])],
        exception_handlers={Refused: refused, ClientDisconnect: gone})
    return Guard(app, [f"{LOOPBACK}:{port}", f"localhost:{port}"])


def page_file(request: Request) -> Response:
    """A file of the page."""
    name = request.path_params.get("name", "index.html")
    path = PAGE / name
    if path.suffix not in TYPES or path not in PAGE.iterdir():
        return Response("There is nothing here.", 404, media_type="text/plain")
    return Response(path.read_bytes(), media_type=TYPES[path.suffix])


def answer(nets: Nets, name: str, picture: bytes, size: int, invert: Any) -> Any:
    """What the net of an id makes of a picture."""
    net, facts = known(nets.get)(name), known(nets.facts)(name)
    if size not in facts["sizes"]:
        raise Refused(422, "size", f"size is one of {', '.join(map(str, facts['sizes']))}.")
    try:
        return look(net, picture, size, invert)
    except InputError as error:
        code = "diverged" if "diverged" in str(error) else "picture"
        raise Refused(422, code, sentence_of(error)) from None


def known(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same function, but an id that is not there, or a net that cannot be loaded, is refused.
    """

    def checked(name: str) -> Any:
        try:
            return load(name)
        except KeyError:
            raise Refused(404, "net", "There is no such net.") from None
        except (InputError, MXNetUnavailable) as error:
            raise Refused(422, "net", sentence_of(error)) from None

    return checked


def sentence_of(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def whole(request: Request, name: str, most: int) -> int:
    """A whole number from 0 to `most` in a request."""
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise Refused(422, "request", f"{name} is a whole number from 0 to {most}.")
    return int(text)


async def body(request: Request) -> bytes:
    """The content that was sent; nothing beyond `MOST_BYTES` is read."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise Refused(413, "large", f"The picture has more than {MOST_BYTES // 10**6} million "
                                        "bytes; make it smaller.")
        parts.append(part)
    return b"".join(parts)


# ------------------------------------------------------------------ serving


def open_socket(port: int) -> Tuple[socket.socket, int]:
    """A listening socket on the loopback address, and its port; 0 chooses a free one.

    Raises
    ------
    InputError
        The port cannot be had.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen()
    except OSError:
        listening.close()
        raise InputError(f"port {port} is taken, or only the administrator may use it; choose "
                         "another for --port, or leave it out.") from None
    return listening, listening.getsockname()[1]


def serve(app: Guard, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C."""
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_level="warning",
                            access_log=False, server_header=False, timeout_graceful_shutdown=1,
                            limit_concurrency=64)
    with contextlib.suppress(KeyboardInterrupt):  # newer uvicorn raises it when it has ended
        uvicorn.Server(config).run([listening])
