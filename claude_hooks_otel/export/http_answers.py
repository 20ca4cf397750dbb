"""HTTP answers of any server, bounded in size and time. Imported only if OTLP over HTTP is in use."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import zlib
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes of a header, with all that comes before it: any number of answers may, with the status 100.
LONGEST_HEADER: Final = 1 << 16
# Bytes of a body that are read, compressed and expanded. An OTLP answer is a message for people at most.
LONGEST_BODY: Final = 1 << 16
# Seconds that a body may take after its header. It is only an explanation: the status is known.
BODY_TIMEOUT: Final = 2.0
# The encodings that are understood. ``requests`` would also ask for others, if their libraries are installed.
ACCEPTED_ENCODINGS: Final = "gzip, deflate"


def get(url: str, timeout: float) -> requests.Response:
    """Return the answer of any server to a GET request, within ``timeout`` seconds. Redirects are not followed.

    Raises:
        requests.RequestException: there is no answer.
    """
    return _request("GET", url, None, {}, timeout)


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> requests.Response:
    """Return the answer of any server to a POST request, as ``get`` does."""
    return _request("POST", url, body, headers, timeout)


def _request(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout: float
) -> requests.Response:
    adapter = BoundedAdapter()
    with requests.Session() as session, _alarm(timeout, adapter.end):
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        headers = {"accept-encoding": ACCEPTED_ENCODINGS, **headers}
        return session.request(method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False)


class BoundedAdapter(HTTPAdapter):
    """Sends requests for ``requests``. Of every answer it reads LONGEST_BODY at most, and ``end`` ends a request from another thread.

    The whole body is read before anything else can ask for it: on a redirect, ``requests`` reads it even with ``stream=True``.
    """

    def __init__(self) -> None:
        self._connections: WeakSet[_Connection] = WeakSet()
        super().__init__()

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, and return the answer. Its body is cut, or empty if it is broken or slow."""
        response = super().send(request, *arguments, **options | {"stream": True})
        body = _expanded(self._read(response.raw), response.headers)
        response.raw = HTTPResponse(io.BytesIO(body), preload_content=False)
        return response

    def _read(self, raw: HTTPResponse) -> bytes:
        body = b""
        with _alarm(BODY_TIMEOUT, self.end), suppress(HTTPError, OSError, ValueError):
            body = raw.read(LONGEST_BODY + 1, decode_content=False)
        if len(body) > LONGEST_BODY:
            raw.close()  # there is more: the connection cannot be used again
        raw.release_conn()
        return body[:LONGEST_BODY]

    def end(self) -> None:
        """End all requests under way, from another thread: their threads get an error at once."""
        for connection in list(self._connections):
            connection.end()
        self.close()  # it forgets the ended connections, and makes new ones for the next request

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """Return the connections to a host, of a kind that can be ended."""
        pool = super().get_connection_with_tls_context(*arguments, **options)
        if not issubclass(pool.ConnectionCls, _Connection):
            kind = pool.ConnectionCls
            pool.ConnectionCls = type(kind.__name__, (_Connection, kind), {"all": self._connections})
        return pool


class _Connection:
    """Makes a connection of urllib3 one that another thread can end, in whatever it waits."""

    all: WeakSet[_Connection]
    response_class: type[http.client.HTTPResponse]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_ended = False
        self._same_socket: socket.socket | None = None
        self.response_class = _Answer
        self.all.add(self)

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        self._same_socket = made.dup()  # TLS takes the first one over
        if self._is_ended:
            self.end()
        return made

    def close(self) -> None:
        super().close()  # type: ignore[misc]
        if self._same_socket is not None:
            self._same_socket.close()

    def end(self) -> None:
        self._is_ended = True
        if self._same_socket is not None:
            with suppress(OSError):  # it is closed already
                self._same_socket.shutdown(socket.SHUT_RDWR)


class _Answer(http.client.HTTPResponse):
    """An answer with a bounded header. The library bounds only each of its lines."""

    def begin(self) -> None:
        file = self.fp
        self.fp = _Header(file)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = file


class _Header:
    """Reads the lines of a header."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = LONGEST_HEADER
        self.close = file.close

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException(f"the header has more than {LONGEST_HEADER} bytes")
        return line


@contextmanager
def _alarm(seconds: float, ring: Any) -> Iterator[None]:
    """Call a function after some seconds, unless the block ends before."""
    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _expanded(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the body without its compression, at most LONGEST_BODY; empty if it is broken."""
    if headers.get("content-encoding", "identity").strip().lower() == "identity":
        return body
    with suppress(zlib.error):
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, LONGEST_BODY)  # 32: gzip and zlib
    return b""
