"""The ids of traces, spans and log events.

Each id is derived from the thing that it identifies. So a restart or a retry makes the same id again.
"""

from __future__ import annotations

import hashlib

TRACE_BYTES, SPAN_BYTES = 16, 8


def trace_id(session_id: str, prompt_id: str) -> int:
    """Return the id of a turn's trace."""
    return _derived(TRACE_BYTES, "turn", session_id, prompt_id)


def program_trace_id(outermost_id: str) -> int:
    """Return the id of the trace that a program's outermost task or span begins."""
    return _derived(TRACE_BYTES, "program", outermost_id)


def span_id(kind: str, *key: str | int) -> int:
    """Return the id of a span.

    Args:
        kind: the kind of thing that the span shows. Equal keys of different kinds have different ids.
        key: the natural key of that thing.
    """
    return _derived(SPAN_BYTES, kind, *map(str, key))


def tool_span_id(tool_use_id: str) -> int:
    """Return the id of a tool call's span."""
    return span_id("tool", tool_use_id)


def chat_span_id(message_id: str, answer_id: str) -> int:
    """Return the id of an API request's span."""
    return span_id("chat", message_id, answer_id)


def permission_span_id(session_id: str, asked_ns: int, tool: str) -> int:
    """Return the id of the span that shows the wait for a human's answer."""
    return span_id("permission", session_id, asked_ns, tool)


def event_id(name: str, *key: str | int) -> int:
    """Return the unique id of a log event, from the event's name and the natural key of its fact."""
    return span_id("event", name, *key)


def _derived(size: int, *parts: str) -> int:
    # Each part follows its length, so that different parts never make the same text. Zero is not a valid id.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest()) or 1
