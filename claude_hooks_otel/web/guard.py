"""Who may read the page: a browser of this machine that has opened the link which the command printed.

Other pages in the same browser and other users of the machine can reach a port on loopback. So each request needs a cookie, the link that
sets it works once, and a request that another site makes is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENTER: Final = "/enter"
COOKIE: Final = "claude_hooks_otel"
_METHODS: Final = ("GET", "HEAD")
# Nothing inline, nothing from anywhere else, and no frame around it.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_WITHOUT_COOKIE: Final = (
    "This page opens only with the link that `claude-hooks-otel serve` prints. The link works once. "
    "The command prints a new one as soon as the last one was used.\n"
)
# A redirect would not bring the cookie along if another site had linked here. A page of our own that goes on does.
_ENTERED: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
    '<title>claude-hooks-otel</title><p><a href="/">Open the page</a></p></html>'
)


class Guard:
    """Refuses every request that may not read the page, and adds the headers that keep a browser from doing anything else with it.

    Args:
        app: the page.
        port: the port on loopback.
        on_entry: called with the next link when a link was used.
    """

    def __init__(self, app: ASGIApp, port: int, on_entry: Callable[[str], None] = lambda _: None) -> None:
        self._app = app
        self._hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        self._origins = tuple(f"http://{host}" for host in self._hosts)
        self._cookie = f"{COOKIE}_{port}"
        self._key = secrets.token_urlsafe(32)
        self._token = secrets.token_urlsafe(32)
        self._on_entry = on_entry

    @property
    def link(self) -> str:
        """The link that opens the page, once."""
        return f"{self._origins[0]}{ENTER}?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        response = self._refusal(request) or self._entry(request)
        if response is None and not self._is_known(request):
            response = PlainTextResponse(_WITHOUT_COOKIE, 403)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (response or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that no browser window of this machine makes by itself."""
        if request.headers.get("host") not in self._hosts:  # a foreign name that points to loopback
            return PlainTextResponse("This server answers only to its own address on loopback.\n", 421)
        if request.method not in _METHODS:
            return PlainTextResponse("The page only reads.\n", 405, {"Allow": ", ".join(_METHODS)})
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        is_embedded = site in ("cross-site", "same-site") and request.headers.get("sec-fetch-mode") != "navigate"
        if (origin is not None and origin not in self._origins) or is_embedded:
            return PlainTextResponse("Another site asks for this page. It gets nothing.\n", 403)
        return None

    def _entry(self, request: Request) -> Response | None:
        """Return the answer to the link: the cookie, once."""
        if request.url.path != ENTER or request.method != "GET":
            return None
        if not secrets.compare_digest(request.query_params.get("token", "").encode(), self._token.encode()):
            return HTMLResponse(_ENTERED) if self._is_known(request) else None
        self._token = secrets.token_urlsafe(32)
        self._on_entry(self.link)
        response = HTMLResponse(_ENTERED)
        response.set_cookie(self._cookie, self._key, path="/", httponly=True, samesite="strict")
        return response

    def _is_known(self, request: Request) -> bool:
        return secrets.compare_digest(request.cookies.get(self._cookie, "").encode(), self._key.encode())
