"""Our spans as the OpenTelemetry SDK's, which its exporters and encoders take."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from claude_hooks_otel.traces.model import Span, SpanKind

_KINDS = {SpanKind.INTERNAL: trace.SpanKind.INTERNAL, SpanKind.CLIENT: trace.SpanKind.CLIENT}
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


def readable_spans(spans: Iterable[Span], resource: Resource, scope: InstrumentationScope) -> list[ReadableSpan]:
    """Return the spans with their own ids and times, as if a tracer ended them.

    Args:
        spans: finished spans.
        resource: who sends them.
        scope: our name and version.
    """
    return [_readable(span, resource, scope) for span in spans]


def _context(trace_id: int, span_id: int, *, is_remote: bool = False) -> trace.SpanContext:
    return trace.SpanContext(trace_id, span_id, is_remote=is_remote, trace_flags=_SAMPLED)


def _parent(span: Span) -> trace.SpanContext | None:
    if span.parent_id is None:
        return None
    return _context(span.trace_id, span.parent_id, is_remote=span.is_parent_remote)


def _readable(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    # The description of a status is for people. Programs look for error.type.
    status = trace.Status(trace.StatusCode.ERROR, span.error) if span.error else trace.Status()
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_parent(span),
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.at_ns) for event in span.events],
        links=[trace.Link(_context(link.trace_id, link.span_id), dict(link.attributes)) for link in span.links],
        kind=_KINDS[span.kind],
        status=status,
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=scope,
    )
