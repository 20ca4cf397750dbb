"""Answer ClickHouse's HTTP interface with its real engine, as far as the Collector's exporter and the tests use it.

There is no server to install everywhere, but chdb has the whole engine. This file runs in an environment of its own, with chdb-core:

    python clickhouse_server.py PORT FOLDER
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session  # type: ignore[import-not-found,unused-ignore]

# The first question of the driver clickhouse-go. It reads the answer in the format of its own protocol version, and everything after it in
# that of the version in the answer: 0 is the plain format Native, which chdb writes.
HELLO = "SELECT displayName(), version(), revision(), timezone()"


def hello(version: str) -> bytes:
    """Return the answer to HELLO, as a block of a new protocol version: block info, then name, type and value of each column."""
    columns = [
        ("displayName()", "String", _text("chdb")),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", bytes(4)),
        ("timezone()", "String", _text("UTC")),
    ]
    block = b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01"
    return block + b"".join(_text(name) + _text(kind) + b"\x00" + value for name, kind, value in columns)


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


class Engine:
    """The engine. It answers one query at a time."""

    def __init__(self, folder: str) -> None:
        self._session, self._lock = Session(folder), threading.Lock()

    def answer(self, query: str, data: bytes, parameters: dict[str, str]) -> bytes:
        with self._lock:
            if query.strip() == HELLO:
                return hello(self._session.query("SELECT version()", "TSVRaw").data().strip())
            if data:
                return self._insert(query, data)
            given = {name.removeprefix("param_"): value for name, value in parameters.items() if "param_" in name}
            found: bytes = self._session.query(query, parameters.get("default_format", "JSON"), params=given).bytes()
            return found or b""

    def _insert(self, query: str, data: bytes) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(data)
            file.flush()
            self._session.query(
                re.sub(r"\s*FORMAT Native\s*$", "", query) + f" FROM INFILE '{file.name}' FORMAT Native"
            )
        return b""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        self._send(200, b"Ok.\n")

    def do_POST(self) -> None:
        parameters = dict(parse_qsl(urlsplit(self.path).query))
        body = self._body()
        query, data = (parameters["query"], body) if "query" in parameters else (body.decode(), b"")
        try:
            self._send(200, self.engine.answer(query, data, parameters))
        except Exception as error:
            print(query, error, file=sys.stderr, flush=True)
            self._send(500, str(error).encode())

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Handler.engine = Engine(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
