"""Records as the texts in which they wait: JSON, the fields under their own names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from claude_hooks_otel.traces.model import Item, LogEvent, Severity, Span, SpanEvent, SpanKind, SpanLink

# What stays here: the fact that a span shows.
_NOT_SENT = frozenset(("fact",))


def encode(item: Item) -> str:
    """The record's text; ``decode`` makes an equal record of it. Half a surrogate pair, which no UTF-8 can hold, becomes ``?``."""
    text = json.dumps(_plain(item), separators=(",", ":"), ensure_ascii=False, default=_plain)
    return text.encode(errors="replace").decode()


def decode(text: str) -> Item:
    """The record that a text stands for.

    Raises:
        ValueError, KeyError, TypeError: it is not a text of ``encode``.
    """
    values = json.loads(text)
    values["attributes"] = _attributes(values["attributes"])
    if "uid" in values:
        return LogEvent(**{**values, "severity": Severity(values["severity"])})
    values["kind"] = SpanKind(values["kind"])
    values["events"] = tuple(
        SpanEvent(event["name"], event["at_ns"], _attributes(event["attributes"])) for event in values["events"]
    )
    values["links"] = tuple(
        SpanLink(link["trace_id"], link["span_id"], _attributes(link["attributes"])) for link in values["links"]
    )
    return Span(**values)


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.name not in _NOT_SENT}
    raise TypeError(f"{type(value).__name__} has no place in a record")


def _attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
