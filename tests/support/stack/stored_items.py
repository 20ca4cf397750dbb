"""Spans and log events as Jaeger and VictoriaLogs have them, in the form in which we sent them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import LogEvent, Span, SpanEvent, SpanKind, SpanLink, Value
from monitoring.rig.stores import Stores
from tests.support.replay import Replay
from tests.support.span_trees import all_spans

_OWN = ("claude.", "gen_ai.", "session.", "log.")
# Daemons send the length and the hash of contents. Replays that no exporter listens to keep no content, nor do the reviewed trees.
_FINGERPRINTS = (".length", ".sha256")
# Jaeger adds this attribute, for example to a span without duration, which it makes a nanosecond long.
_WARNINGS = "@jaeger@warnings"
_KINDS = {1: SpanKind.INTERNAL, 3: SpanKind.CLIENT}
_VALUES = {"stringValue": str, "intValue": int, "doubleValue": float}


def spans_in_jaeger(stores: Stores, trace_ids: Iterable[int]) -> list[Span]:
    """Return every copy of every span that Jaeger has of some traces."""
    return [
        _span(told)
        for trace_id in trace_ids
        for resource in stores.resource_spans(f"{trace_id:032x}")
        for scope in resource["scopeSpans"]
        for told in scope["spans"]
    ]


def _span(told: Mapping[str, Any]) -> Span:
    attributes = _attributes(told)
    is_longer = any("Negative duration" in warning for warning in attributes.pop(_WARNINGS, ()))
    return Span(
        trace_id=int(told["traceId"], 16),
        span_id=int(told["spanId"], 16),
        parent_id=int(told["parentSpanId"], 16) if told.get("parentSpanId") else None,
        name=told["name"],
        kind=_KINDS[told["kind"]],
        start_ns=int(told["startTimeUnixNano"]),
        end_ns=int(told["endTimeUnixNano"]) - is_longer,
        attributes=attributes,
        error=str(attributes[names.ERROR_TYPE]) if names.ERROR_TYPE in attributes else None,
        events=tuple(
            SpanEvent(each["name"], int(each["timeUnixNano"]), _attributes(each)) for each in told.get("events", ())
        ),
        links=tuple(SpanLink(int(each["traceId"], 16), int(each["spanId"], 16)) for each in told.get("links", ())),
    )


def _attributes(told: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in told.get("attributes", ()):
        if pair["key"].endswith(_FINGERPRINTS):
            continue
        [(kind, value)] = pair["value"].items()
        if kind == "arrayValue":
            found[pair["key"]] = tuple(each["stringValue"] for each in value["values"])
        elif kind == "stringValue" and value.startswith("["):  # Jaeger's files keep a list of a span as its JSON text
            found[pair["key"]] = tuple(json.loads(value))
        else:
            found[pair["key"]] = _VALUES[kind](value)
    return found


def sent_spans(replay: Replay) -> list[Span]:
    """Return the spans of a replay, without what is never sent, and without the attributes of links, which Jaeger does not keep."""
    return [
        Span(
            trace_id=span.trace_id, span_id=span.span_id, parent_id=span.parent_id, name=span.name, kind=span.kind,
            start_ns=span.start_ns, end_ns=span.end_ns, attributes=span.attributes, error=span.error, events=span.events,
            links=tuple(SpanLink(link.trace_id, link.span_id) for link in span.links),
        )
        for span in all_spans(replay)
    ]  # fmt: skip


Fields = tuple[str, int, frozenset[tuple[str, str]]]


def stored_event(told: Mapping[str, str]) -> Fields:
    """Return the name, the time and the rest of a log event that VictoriaLogs has."""
    at = datetime.fromisoformat(told["_time"][:19] + "+00:00")
    fraction = told["_time"][20:].removesuffix("Z").ljust(9, "0") if "." in told["_time"] else "0"
    kept = {name: value for name, value in told.items() if name.startswith(_OWN) and not name.endswith(_FINGERPRINTS)}
    kept |= {name: told[name] for name in ("_msg", "severity_number", "trace_id", "span_id") if told.get(name)}
    return told["event_name"], int(at.timestamp()) * 10**9 + int(fraction), frozenset(kept.items())


def sent_event(event: LogEvent) -> Fields:
    """Return the same of a log event that we sent. VictoriaLogs keeps all values as texts."""
    fields = {
        name: json.dumps(list(value), separators=(",", ":")) if isinstance(value, tuple) else _text(value)
        for name, value in event.attributes.items()
        if name.startswith(_OWN)
    }
    fields |= {"_msg": event.body, "severity_number": str(event.severity.value), "log.record.uid": f"{event.uid:016x}"}
    if event.trace_id is not None and event.is_sampled:
        fields["trace_id"] = f"{event.trace_id:032x}"
        fields |= {} if event.span_id is None else {"span_id": f"{event.span_id:016x}"}
    return event.name, event.at_ns, frozenset(fields.items())


def _text(value: str | float) -> str:
    return str(int(value)) if isinstance(value, float) and not value % 1 else str(value)
