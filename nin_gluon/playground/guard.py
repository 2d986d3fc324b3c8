"""Keeps other web pages away from the server, and its pages from doing what they need not."""

from typing import Any, Awaitable, Callable, Dict, List, MutableMapping, Tuple

from starlette.responses import PlainTextResponse

__all__ = ["HEADERS", "Guard"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Everything comes from this server; no inline code or style, no frames, no forms.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: refuses requests that other pages make, and adds the headers to replies.

    Another page can reach a server on the loopback address in two ways. It can send requests from
    the browser, which then bear its ``Origin``. Or its own name can be pointed at 127.0.0.1 (DNS
    rebinding), and then this name stands in ``Host``.

    Parameters
    ----------
    app : callable
        The ASGI application behind it.
    hosts : list of str
        What ``Host`` may be, with the port.
    """

    def __init__(self, app: App, hosts: List[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *encoded(HEADERS)]
            await send(message)

        headers: Dict[str, str] = {name.decode("latin-1"): value.decode("latin-1")
                                   for name, value in scope["headers"]}
        refusal = self.refusal(scope["method"], headers)
        reply = PlainTextResponse(refusal, 403) if refusal else self.app
        await reply(scope, receive, send_with_headers)

    def refusal(self, method: str, headers: Dict[str, str]) -> str:
        """Why a request is refused; empty if it is not."""
        host = headers.get("host", "")
        if host not in self.hosts:
            return f"This server answers to {' and '.join(self.hosts)} only."
        if method in ("GET", "HEAD"):  # other pages cannot read the replies
            return ""
        own = headers.get("origin", f"http://{host}") == f"http://{host}"
        if not own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "This server takes nothing from other pages."
        return ""


def encoded(headers: Dict[str, str]) -> List[Tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
