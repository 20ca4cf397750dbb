"""The text form of spans and log events in the outbox: JSON with the names of the fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from claude_hooks_otel.traces.model import Item, LogEvent, Severity, Span, SpanEvent, SpanKind, SpanLink

# The fact that a span shows is not sent.
_NOT_SENT = frozenset(("fact",))


def encode(item: Item) -> str:
    """Return the text of an item. ``decode`` makes an equal item of it. Lone surrogates, which UTF-8 cannot encode, become ``?``."""
    text = json.dumps(_plain(item), separators=(",", ":"), ensure_ascii=False, default=_plain)
    return text.encode(errors="replace").decode()


def decode(text: str) -> Item:
    """Return the item of a text.

    Raises:
        ValueError, KeyError, TypeError: the text does not come from ``encode``.
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
    raise TypeError(f"{type(value).__name__} cannot be encoded")


def _attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes with tuples, which JSON has turned into lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
