r"""What one file of the spool holds: a few header lines that only the writer can know, an empty line, and the payload as it came.

``claude-hooks-otel 1\nevent=PostToolUse\nagent=backend\n...\n\n{"session_id": ...}``

The payload is never touched on the way: it may be empty, huge, or no valid UTF-8. An empty *file* is what a hook leaves that had
no room to write: its name still says which event of which session was lost. Standard library only: the SDK imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAGIC = b"claude-hooks-otel 1"


class EnvelopeError(ValueError):
    """A spool file that no version of the writers produced."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it was captured.

    Attributes:
        name: the file's name in the spool.
        received_ns: when it was captured: the file's modification time, Unix nanoseconds.
        event: the hook event's name, or the SDK's record kind.
        headers: the other header lines.
        payload: the bytes after the empty line.
    """

    name: str
    received_ns: int
    event: str
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: bytes = b""

    def encode(self) -> bytes:
        """The file's content. A header value is cut at its first line break, so that it can never end the header."""
        lines = [MAGIC, f"event={self.event}".encode()]
        lines += [f"{key}={_one_line(value)}".encode(errors="replace") for key, value in self.headers.items() if value]
        return b"\n".join(lines) + b"\n\n" + self.payload


def _one_line(value: str) -> str:
    return value.partition("\n")[0]


def decode(name: str, received_ns: int, content: bytes) -> Envelope:
    """Reads a spool file's content.

    Raises:
        EnvelopeError: the content does not begin with a complete header.
    """
    header, separator, payload = content.partition(b"\n\n")
    lines = header.split(b"\n")
    if lines[0] != MAGIC or not separator:
        raise EnvelopeError(
            f"{name}: expected a header that begins with {MAGIC.decode()!r} and ends with an empty line"
        )
    headers: dict[str, str] = {}
    for line in lines[1:]:
        key, _, value = line.partition(b"=")
        headers[key.decode(errors="replace")] = value.decode(errors="replace")
    return Envelope(name, received_ns, headers.pop("event", ""), headers, payload)
