"""A Messages API on loopback that answers from scripts. A prompt names its script (``script:NAME``), which has one answer a turn.

The server keeps no conversation. The number of assistant messages after the prompt says which turn it is. The prompt of a
sub-agent names another script. The server keeps what it charged, so that tests can compare it with the client's telemetry and ours.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_SCRIPT = re.compile(r"script:([\w-]+)")
_COMPACTION = "Your task is to create a detailed summary"
_ERROR_TYPES = {400: "invalid_request_error", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}


@dataclass(frozen=True)
class Usage:
    """The tokens of a turn."""

    input: int = 11
    output: int = 7
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
        }


@dataclass(frozen=True)
class Tool:
    """A tool that the model calls."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """One answer of the model.

    Attributes:
        text: the text of the answer.
        tools: the tools that it calls.
        usage: the tokens of the answer.
        errors: HTTP statuses. The first requests for this turn get one of them each.
    """

    text: str = "ok"
    tools: Sequence[Tool] = ()
    usage: Usage = field(default_factory=Usage)
    errors: Sequence[int] = ()


@dataclass(frozen=True)
class Charge:
    """An answered request."""

    model: str
    usage: Usage


COMPACTION = Turn("<summary>A scripted summary.</summary>", usage=Usage(input=900, output=300))


class ScriptedApi:
    """The server, a context manager.

    Args:
        scripts: name → turns. After the last turn the answer is "done".

    Attributes:
        headers: more headers of every answer.
        charges: what was charged.
        prompts: the texts of the last message of each request.
        tool_results: the results of tools, as JSON.
    """

    def __init__(self, scripts: Mapping[str, Sequence[Turn]]) -> None:
        self.scripts = dict(scripts)
        self.charges: list[Charge] = []
        self.headers: dict[str, str] = {}
        self.prompts: list[str] = []
        self.tool_results: list[str] = []
        self._failed: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.api = self  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def turn(self, request: Mapping[str, Any]) -> Turn | int:
        """Return the answer to a request, or the HTTP status with which it fails."""
        messages = request.get("messages", [])
        if messages and any(_COMPACTION in text for text in _texts(messages[-1])):
            return COMPACTION
        for index in range(len(messages) - 1, -1, -1):
            found = [name for text in _texts(messages[index]) for name in _SCRIPT.findall(text)]
            if messages[index].get("role") != "user" or not found:
                continue
            number = sum(message.get("role") == "assistant" for message in messages[index + 1 :])
            script = self.scripts.get(found[-1], ())
            turn = script[number] if number < len(script) else Turn("done")
            with self._lock:
                failed = self._failed.get((found[-1], number), 0)
                if failed < len(turn.errors):
                    self._failed[found[-1], number] = failed + 1
                    return turn.errors[failed]
            return turn
        return Turn()

    def note(self, request: Mapping[str, Any]) -> None:
        """Keep the texts of the last message, and the results of tools in it."""
        for message in request.get("messages", [])[-1:]:
            content = message.get("content")
            blocks = content if isinstance(content, list) else []
            with self._lock:
                self.prompts += _texts(message)
                self.tool_results += [
                    json.dumps(block["content"]) for block in blocks if block.get("type") == "tool_result"
                ]

    def charge(self, model: str, usage: Usage) -> None:
        with self._lock:
            self.charges.append(Charge(model, usage))


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [block.get("text", "") for block in content or [] if block.get("type") == "text"]


def _message(turn: Turn, model: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": turn.text}]
    blocks += [
        {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:22]}", "name": tool.name, "input": dict(tool.input)}
        for tool in turn.tools
    ]
    return {
        "id": f"msg_{uuid.uuid4().hex[:22]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks,
        "stop_reason": "tool_use" if turn.tools else "end_turn",
        "stop_sequence": None,
        "usage": turn.usage.as_json(),
    }


def _stream(message: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the message as server-sent events (Messages API, "Streaming messages")."""
    usage = message["usage"]
    yield (
        "message_start",
        {"message": {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}},
    )
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            start, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            start, delta = (
                {**block, "input": {}},
                {"type": "input_json_delta", "partial_json": json.dumps(block["input"])},
            )
        yield "content_block_start", {"index": index, "content_block": start}
        yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    counts = {name: value for name, value in usage.items() if name != "cache_creation"}
    yield "message_delta", {"delta": end, "usage": counts}
    yield "message_stop", {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _api(self) -> ScriptedApi:
        return self.server.api  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self._send(200, {"data": [], "has_more": False})

    def do_HEAD(self) -> None:
        self._send(200, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if self.path.startswith("/v1/messages/count_tokens"):
            self._send(200, {"input_tokens": 100})
            return
        if not self.path.startswith("/v1/messages"):
            self._send(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})
            return
        try:
            self._answer(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client was killed

    def _answer(self, body: dict[str, Any]) -> None:
        turn = self._api.turn(body)
        self._api.note(body)
        if isinstance(turn, int):
            error = {"type": _ERROR_TYPES.get(turn, "api_error"), "message": "scripted"}
            self._send(turn, {"type": "error", "error": error}, {"retry-after": "0"})
            return
        model = body.get("model", "unknown")
        message = _message(turn, model)
        self._api.charge(model, turn.usage)
        if not body.get("stream"):
            self._send(200, message)
            return
        self.send_response(200)
        for name, value in self._headers("text/event-stream").items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        events = "".join(
            f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in _stream(message)
        ).encode()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(events), events))

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"content-type": content_type, "request-id": f"req_{uuid.uuid4().hex[:20]}", **self._api.headers}

    def _send(self, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**self._headers("application/json"), **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
