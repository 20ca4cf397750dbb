r"""The format of a spool file: header lines with what only the writer knows, an empty line, and the unchanged payload.

``claude-hooks-otel 1\nevent=PostToolUse\nagent=backend\n...\n\n{"session_id": ...}``

The payload may be empty, huge, or invalid UTF-8. If the disk is full, a hook leaves an empty *file*. Its name still says which event of
which session was lost. Standard library only, because the SDK imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAGIC = b"claude-hooks-otel 1"


class EnvelopeError(ValueError):
    """A spool file does not have the format of any version."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it was captured.

    Attributes:
        name: the file's name in the spool.
        received_ns: when it was captured: the file's modification time, in Unix nanoseconds.
        event: the name of the hook event, or the kind of program record.
        headers: the other header lines.
        payload: the bytes after the empty line.
    """

    name: str
    received_ns: int
    event: str
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the file's content. A header value is cut at its first line break, so that it cannot end the header."""
        first_lines = {key: value.partition("\n")[0] for key, value in self.headers.items() if value}
        lines = [MAGIC, f"event={self.event}".encode()]
        lines += [f"{key}={value}".encode(errors="replace") for key, value in first_lines.items()]
        return b"\n".join(lines) + b"\n\n" + self.payload


def decode(name: str, received_ns: int, content: bytes) -> Envelope:
    """Read the content of a spool file.

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
