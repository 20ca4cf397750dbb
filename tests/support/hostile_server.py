"""A server on loopback whose answers are broken in a way that a test chooses. It speaks bytes, because no library would send them.

``HTTP`` and ``GRPC`` hold the ways by name: functions that get a connection on which a request has arrived.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Self

Answer = Callable[[socket.socket], None]
HTTP: dict[str, Answer] = {}
GRPC: dict[str, Answer] = {}

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
# Seconds between two bytes of an answer that drips.
DRIP = 0.1
MEGABYTE = bytes(1 << 20)


class HostileServer:
    """Answers every request with ``answer``. It is a context manager.

    Args:
        answer: the first answer.

    Attributes:
        requests: how many requests have come.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: set[socket.socket] = set()
        self._is_closed = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def behave(self, answer: Answer) -> None:
        """Answer in another way from now on, and end the connections of earlier answers."""
        self.answer = answer
        self._hang_up()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self._listener.close()
        self._hang_up()

    def _hang_up(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._is_closed:
                connection, _ = self._listener.accept()
                self._connections.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, struct.error), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while _read_request(connection):
                self.requests += 1
                self.answer(connection)
        self._connections.discard(connection)


def _read_request(connection: socket.socket) -> bool:
    """Read a request of HTTP/1 with its body, or of HTTP/2 up to its end. Return False without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            return False
        data += chunk
    if data.startswith(PREFACE):
        return _read_grpc_request(connection, data[len(PREFACE) :])
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536)
    return True


def _read_grpc_request(connection: socket.socket, data: bytes) -> bool:
    connection.sendall(frame(SETTINGS))
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3]):
            if not (chunk := connection.recv(65536)):
                return False
            data += chunk
        size, kind, flags = int.from_bytes(data[:3]), data[3], data[4]
        if kind == SETTINGS and not flags:
            connection.sendall(frame(SETTINGS, flags=1))
        if kind == PING and not flags:
            connection.sendall(frame(PING, data[9 : 9 + size], flags=1))
        data = data[9 + size :]
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return True


# -- HTTP ----------------------------------------------------------------------------------------------------------------


def _bomb(bits: int, megabytes: int = 1500) -> bytes:
    """Return a small body that expands to a huge one. Its checksum is wrong, but that comes at the end."""
    compressor = zlib.compressobj(wbits=bits)
    block, next_block = (compressor.compress(MEGABYTE) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return block + next_block * (megabytes - 1) + compressor.flush()


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Return an answer of HTTP/1."""
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _sends(*parts: bytes, close: bool = True) -> Answer:
    """Send the parts, and hang up."""

    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        if close:
            raise OSError

    return send


def _repeats(begin: bytes, part: bytes, pause: float = 0) -> Answer:
    """Send a part again and again, until the client hangs up."""

    def send(connection: socket.socket) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return send


def _drips(begin: bytes, rest: bytes) -> Answer:
    """Send the rest byte by byte, again and again."""

    def send(connection: socket.socket) -> None:
        connection.sendall(begin)
        for byte in itertools.cycle(rest):
            connection.sendall(bytes([byte]))
            time.sleep(DRIP)

    return send


def _bombs_with(status: str, encoding: str, bits: int, *headers: str) -> Answer:
    return _sends(answer(status, _bomb(bits), f"content-encoding: {encoding}", *headers), close=False)


def reset(connection: socket.socket) -> None:
    """End the connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise OSError


def hang(connection: socket.socket) -> None:
    """Say nothing until the client hangs up."""
    while connection.recv(65536):
        pass


GZIP, ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
PROTOBUF = "content-type: application/x-protobuf"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
OK_HTTP = _sends(answer("200 OK"), close=False)


def _lazily(make: Callable[[], Answer]) -> Answer:
    """Make an answer with megabytes only when it is sent."""

    def send(connection: socket.socket) -> None:
        make()(connection)

    return send


def _text() -> bytes:
    return b"x" * 50_000_000


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that holds a text or another message."""
    size, encoded = len(content), b""
    while size >= 0x80:
        encoded, size = encoded + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + encoded + bytes([size]) + content


for _status in ("200 OK", "302 Found", "400 Bad Request", "413 Too Large", "503 Service Unavailable"):
    _place = ("location: http://127.0.0.1:1/",) if _status.startswith("302") else ()
    HTTP[f"gzip bomb with {_status}"] = _bombs_with(_status, "gzip", GZIP, *_place)
HTTP |= {
    "zlib bomb with 503 Service Unavailable": _bombs_with("503 Service Unavailable", "deflate", ZLIB),
    "zlib bomb with 200 OK": _bombs_with("200 OK", "deflate", ZLIB, PROTOBUF),
    "raw deflate bomb": _bombs_with("500 Error", "deflate", -ZLIB),
    "bomb inside a bomb": lambda c: c.sendall(
        answer("503 Away", gzip.compress(_bomb(GZIP)), "content-encoding: gzip, gzip")
    ),
    "unknown encoding": _sends(answer("503 Away", b"x" * 1000, "content-encoding: br")),
    "broken gzip": _sends(answer("503 Away", b"\x1f\x8b broken", "content-encoding: gzip")),
    "endless body without a length": _repeats(b"HTTP/1.1 503 Away\r\n\r\n", MEGABYTE),
    "endless body with 200": _repeats(answer("200 OK", length=1 << 60), MEGABYTE),
    "endless body with 302": _repeats(answer("302 Found", b"", "location: /elsewhere", length=1 << 60), MEGABYTE),
    "endless chunks": _repeats(CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n"),
    "endless small chunks": _repeats(CHUNKED, b"1\r\nx\r\n" * 1000),
    "one chunk of 2^60 bytes": _repeats(CHUNKED + b"1000000000000000\r\n", MEGABYTE),
    "chunk size that is no number": _sends(CHUNKED + b"many\r\nx\r\n"),
    "negative chunk size": _sends(CHUNKED + b"-5\r\nx\r\n"),
    "endless chunk extension": _repeats(CHUNKED + b"5;", b"x" * 1000),
    "endless trailers": _repeats(CHUNKED + b"0\r\n", b"x: y\r\n" * 1000),
    "endless headers": _repeats(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000),
    "endless header line": _repeats(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1000),
    "endless status line": _repeats(b"HTTP/1.1 200 ", b"y" * 1000),
    "99 headers of 64 kB": _sends(
        b"HTTP/1.1 503 Away\r\n" + b"".join(b"x%d: %s\r\n" % (n, b"y" * 65_000) for n in range(98)) + b"content-length: 0\r\n\r\n"
    ),
    "flood of 100 Continue": _repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "101 Switching Protocols": _repeats(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", MEGABYTE, 0.1),
    "204 with a body": _sends(answer("204 No Content", b"x" * 1000)),
    "dripping status line": _drips(b"", b"HTTP/1.1 200 OK"),
    "dripping headers": _drips(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "dripping body with 200": _drips(answer("200 OK", length=1 << 40), b"x"),
    "dripping body with 503": _drips(answer("503 Away", length=1 << 40), b"x"),
    "dripping chunks": _drips(CHUNKED, b"1\r\nx\r\n"),
    "no answer": hang,
    "garbage as protobuf": _sends(answer("200 OK", os.urandom(5000), PROTOBUF)),
    "garbage as the protobuf of an error": _sends(answer("400 Bad Request", os.urandom(5000), PROTOBUF)),
    "partial success with a message of 50 MB": lambda c: c.sendall(
        answer("200 OK", _field(1, _field(2, _text())), PROTOBUF)
    ),
    "error with a message of 50 MB": lambda c: c.sendall(answer("503 Away", _field(2, _text()), PROTOBUF)),
    "page of HTML with 200": _sends(answer("200 OK", b"<html>Welcome</html>", "content-type: text/html")),
    "page of HTML with 502": _sends(answer("502 Bad Gateway", b"<html>" * 50_000, "content-type: text/html")),
    "redirect to itself": _sends(answer("307 Temporary Redirect", b"", "location: /v1/metrics")),
    "redirect to a file": _sends(answer("301 Moved", b"", "location: file:///etc/shadow")),
    "redirect to an invalid address": _sends(answer("302 Found", b"", "location: http://[::/\x80")),
    "binary in the reason": _sends(answer("400 \x00\x1b[2J\xff\xfe", b"")),
    "reason of 60 kB": _sends(answer(f"400 {'x' * 60_000}", b"")),
    "wrong type of content": _sends(answer("200 OK", b"\0" * 100, "content-type: \xff/\xfe; charset=\xff")),
    "length that is too large": _sends(answer("200 OK", b"x", length=1000)),
    "length that is too small": _sends(answer("200 OK", b"x" * 1000, length=1)),
    "negative length": _sends(answer("503 Away", b"x", length=-1)),
    "two lengths": _sends(answer("200 OK", b"x" * 10, "content-length: 3")),
    "body that ends in the middle": _sends(answer("503 Away", b"x" * 100, length=1 << 40)),
    "headers that end in the middle": _sends(b"HTTP/1.1 503 Aw"),
    "end without an answer": _sends(b""),
    "reset": reset,
    "reset in the body": lambda c: (c.sendall(answer("200 OK", b"x", length=9)), reset(c))[1],
    "text without a status": _sends(b"hello\r\n\r\n"),
    "status 999": _sends(answer("999 Odd", b"x")),
    "status 0": _sends(answer("0 Odd", b"x")),
    "status that is no number": _sends(answer("OK fine", b"x")),
    "answer of HTTP/2": _sends(b"\0\0\0\4\0\0\0\0\0" * 10),
    "answer of TLS": _sends(b"\x15\x03\x01\x00\x02\x02\x46" * 10),
    "Retry-After in a thousand years": _sends(answer("503 Away", b"", "retry-after: 31536000000")),
    "Retry-After that is no time": _sends(answer("429 Slow Down", b"", "retry-after: later")),
    "negative Retry-After": _sends(answer("503 Away", b"", "retry-after: -5")),
    "flood of cookies": _sends(answer("200 OK", b"", *(f"set-cookie: a{n}={'x' * 4000}" for n in range(90)))),
}  # fmt: skip


# -- gRPC ----------------------------------------------------------------------------------------------------------------


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """Return a frame of HTTP/2."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _integer(value: int) -> bytes:
    """Return an integer of HPACK with a prefix of seven bits."""
    if value < 127:
        return bytes([value])
    encoded, value = b"\x7f", value - 127
    while value >= 0x80:
        encoded, value = encoded + bytes([value & 0x7F | 0x80]), value >> 7
    return encoded + bytes([value])


def _fields(*pairs: tuple[bytes, bytes]) -> bytes:
    """Return header fields of HPACK, as literals."""
    return b"".join(b"\0" + _integer(len(name)) + name + _integer(len(value)) + value for name, value in pairs)


def _headers(*pairs: tuple[bytes, bytes], end: bool = False) -> bytes:
    """Return the frames of a header, on stream 1."""
    block = _fields(*pairs)
    parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    flags = [END_STREAM if end and not at else 0 for at in range(len(parts))]
    flags[-1] |= END_HEADERS
    kinds = [HEADERS, *[CONTINUATION] * (len(parts) - 1)]
    return b"".join(frame(kind, part, flag, 1) for kind, part, flag in zip(kinds, parts, flags, strict=True))


_STATUS, _TYPE = (b":status", b"200"), (b"content-type", b"application/grpc")
_BEGIN = _headers(_STATUS, _TYPE)


def _message(content: bytes, *, is_compressed: bool = False, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    data = bytes([is_compressed]) + size.to_bytes(4) + content
    return b"".join(frame(DATA, data[at : at + 16_000], 0, 1) for at in range(0, len(data), 16_000))


def _trailers(status: bytes, message: bytes = b"", *more: tuple[bytes, bytes]) -> bytes:
    return _headers((b"grpc-status", status), (b"grpc-message", message), *more, end=True)


def _refuses(status: bytes, message: bytes = b"", *more: tuple[bytes, bytes]) -> Answer:
    """Answer with trailers only."""
    return _speaks(_headers(_STATUS, _TYPE, (b"grpc-status", status), (b"grpc-message", message), *more, end=True))


def _speaks(*parts: bytes) -> Answer:
    """Send the parts, and wait for the client to hang up."""

    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        hang(connection)
        raise OSError

    return send


def _compressed(content: bytes) -> Iterator[bytes]:
    yield _headers(_STATUS, _TYPE, (b"grpc-encoding", b"gzip"))
    yield _message(content, is_compressed=True)
    yield _trailers(b"0")


# A success, after which the client makes a new connection for its next request.
OK_GRPC = _speaks(_BEGIN, _message(b""), _trailers(b"0"), frame(GOAWAY, (1).to_bytes(4) + bytes(4)))

GRPC |= {
    "trailers only": _refuses(b"14", b"away"),
    "trailers without a status": _speaks(_BEGIN, _message(b""), _headers((b"x", b"y"), end=True)),
    "message of 15 kB": _refuses(b"14", b"x" * 15_000),
    "message of 60 kB": _refuses(b"14", b"x" * 60_000),
    "message of 50 MB": _lazily(lambda: _refuses(b"14", _text())),
    "message with broken escapes": _refuses(b"3", b"%zz%\xff\xfe%00"),
    "details of 60 kB": _refuses(b"13", b"no", (b"grpc-status-details-bin", b"QUJD" * 15_000)),
    "details that are no base64": _refuses(b"13", b"no", (b"grpc-status-details-bin", b"\xff***")),
    "ten thousand trailers": _refuses(b"13", b"no", *[(b"x", b"y")] * 10_000),
    "unknown status": _refuses(b"99", b"odd"),
    "status that is no number": _refuses(b"odd", b"odd"),
    "success without an answer": _speaks(_BEGIN, _trailers(b"0")),
    "answer without success": _speaks(_BEGIN, _message(b""), _trailers(b"14", b"away")),
    "garbage as an answer": _speaks(_BEGIN, _message(os.urandom(5000)), _trailers(b"0")),
    "answer of 50 MB": _lazily(lambda: _speaks(_BEGIN, _message(_field(1, _field(2, _text()))), _trailers(b"0"))),
    "answer of 4 GB, which never ends": _repeats(_BEGIN + _message(b"", length=(1 << 32) - 1), frame(DATA, b"x" * 16_000, 0, 1)),
    "endless answers": _repeats(_BEGIN, _message(b"") * 1000),
    "gzip bomb": _lazily(lambda: _speaks(*_compressed(_bomb(GZIP)))),
    "small gzip bomb": _lazily(lambda: _speaks(*_compressed(_bomb(GZIP, 50)))),
    "broken gzip": _speaks(*_compressed(b"\x1f\x8b broken")),
    "unknown compression": _speaks(_headers(_STATUS, _TYPE, (b"grpc-encoding", b"odd")), _message(b"x", is_compressed=True), _trailers(b"0")),
    "compressed without an encoding": _speaks(_BEGIN, _message(gzip.compress(b""), is_compressed=True), _trailers(b"0")),
    "dripping answer": _drips(_BEGIN + _message(b"", length=1000), frame(DATA, b"x", 0, 1)),
    "no end": _speaks(_BEGIN),
    "no answer": hang,
    "end without an answer": _sends(b""),
    "RST_STREAM": _speaks(frame(RST_STREAM, (2).to_bytes(4), 0, 1)),
    "RST_STREAM after the answer": _speaks(_BEGIN, _message(b""), frame(RST_STREAM, (8).to_bytes(4), 0, 1)),
    "GOAWAY": _speaks(frame(GOAWAY, bytes(8) + b"go away")),
    "GOAWAY with 16 kB and a hang-up": _sends(frame(GOAWAY, bytes(8) + b"x" * 16_000)),
    "reset": reset,
    "HTTP status 503": _speaks(_headers((b":status", b"503"), (b"content-type", b"text/html"), end=True)),
    "page of HTML": _speaks(_headers(_STATUS, (b"content-type", b"text/html")), frame(DATA, b"<html>" * 1000, END_STREAM, 1)),
    "header without a status": _speaks(_headers(_TYPE, end=True)),
    "broken HPACK": _speaks(frame(HEADERS, b"\xff" * 100, END_HEADERS | END_STREAM, 1)),
    "endless CONTINUATION": _repeats(frame(HEADERS, _fields((b"x", b"y")), 0, 1), frame(CONTINUATION, _fields((b"x", b"y")) * 1000, 0, 1)),
    "data before the header": _speaks(frame(DATA, b"x" * 100, 0, 1)),
    "data on another stream": _speaks(frame(DATA, b"x" * 100, 0, 7)),
    "pushed stream": _speaks(frame(PUSH_PROMISE, (2).to_bytes(4) + _fields(_STATUS), END_HEADERS, 1)),
    "frame of 16 MB": _repeats(b"\xff\xff\xff\0\0\0\0\0\1", MEGABYTE),
    "flood of PING": _repeats(b"", frame(PING, bytes(8)) * 100),
    "flood of SETTINGS": _repeats(b"", frame(SETTINGS, struct.pack(">HI", 3, 100)) * 100),
    "overflow of the window": _speaks(frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff") * 3),
    "answer of HTTP/1": _sends(answer("200 OK", b"hello")),
    "garbage": _sends(bytes(range(256)) * 100),
}  # fmt: skip
