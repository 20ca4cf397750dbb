"""The ids of traces and spans, derived from what they stand for: made again, after a restart or by a retry, they are the same."""

from __future__ import annotations

import hashlib

TRACE_BYTES, SPAN_BYTES = 16, 8


def trace_id(session_id: str, prompt_id: str) -> int:
    """The trace of a turn."""
    return _derived(TRACE_BYTES, "turn", session_id, prompt_id)


def program_trace_id(outermost_id: str) -> int:
    """The trace of a program's outermost task or span."""
    return _derived(TRACE_BYTES, "program", outermost_id)


def span_id(kind: str, *name: str | int) -> int:
    """The span of one thing.

    Args:
        kind: what sort of thing, so that equal names of different sorts differ.
        name: its natural key.
    """
    return _derived(SPAN_BYTES, kind, *map(str, name))


def tool_span_id(tool_use_id: str) -> int:
    """The span of a tool call."""
    return span_id("tool", tool_use_id)


def chat_span_id(message_id: str) -> int:
    """The span of an API request."""
    return span_id("chat", message_id)


def permission_span_id(session_id: str, asked_ns: int, tool: str) -> int:
    """The span of the wait for an answer to a question."""
    return span_id("permission", session_id, asked_ns, tool)


def event_id(name: str, *key: str | int) -> int:
    """The unique id of one log event: its name, and the natural key of what it tells of."""
    return _derived(SPAN_BYTES, "event", name, *map(str, key))


def _derived(size: int, *parts: str) -> int:
    # Lengths stand before the parts, so that no two lists of parts are one text; zero is no valid id.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest()) or 1
