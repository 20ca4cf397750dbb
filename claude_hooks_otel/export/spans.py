"""Our spans as spans of the OpenTelemetry SDK. Its exporters and encoders take only those."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan

from claude_hooks_otel.export.resource import SCOPE
from claude_hooks_otel.traces.model import Span, SpanKind

_KINDS = {SpanKind.INTERNAL: trace.SpanKind.INTERNAL, SpanKind.CLIENT: trace.SpanKind.CLIENT}
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


def readable_spans(spans: Iterable[Span], resource: Resource) -> list[ReadableSpan]:
    """Return the spans with their own ids and times, as if a tracer had ended them.

    Args:
        spans: finished spans.
        resource: who sends them.
    """
    return [_readable(span, resource) for span in spans]


def _context(trace_id: int, span_id: int, *, is_remote: bool = False) -> trace.SpanContext:
    return trace.SpanContext(trace_id, span_id, is_remote=is_remote, trace_flags=_SAMPLED)


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=None
        if span.parent_id is None
        else _context(span.trace_id, span.parent_id, is_remote=span.is_parent_remote),
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.at_ns) for event in span.events],
        links=[trace.Link(_context(link.trace_id, link.span_id), dict(link.attributes)) for link in span.links],
        kind=_KINDS[span.kind],
        # The description is for people. Programs read the attribute error.type.
        status=trace.Status(trace.StatusCode.ERROR, span.error) if span.error else trace.Status(),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=SCOPE,
    )
