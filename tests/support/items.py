"""A span and a log event in which every field has a value."""

from __future__ import annotations

from claude_hooks_otel.traces.model import LogEvent, Severity, Span, SpanEvent, SpanKind, SpanLink

SPAN = Span(
    trace_id=2**128 - 1,
    span_id=2**64 - 1,
    parent_id=7,
    name="chat",
    kind=SpanKind.CLIENT,
    start_ns=1_700_000_000_000_000_001,
    end_ns=1_700_000_000_000_000_002,
    attributes={"a": 1, "b": 0.25, "c": "ä\n", "d": ("x", "y")},
    error="rate_limit",
    events=(SpanEvent("claude.compaction", 5, {"trigger": "auto"}),),
    links=(SpanLink(1, 2, {"claude.link": "fork"}),),
)
EVENT = LogEvent(
    uid=2**64 - 1,
    name="claude.prompt",
    at_ns=5,
    body="prompt",
    severity=Severity.ERROR,
    attributes={"a": ("x",)},
    trace_id=2**128 - 1,
    span_id=3,
)
