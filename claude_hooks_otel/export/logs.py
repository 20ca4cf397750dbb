"""Our log events as log records of the OpenTelemetry SDK. Its exporters and encoders take only those."""

from __future__ import annotations

import time
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.export.resource import SCOPE
from claude_hooks_otel.traces.model import LogEvent

# A receiver recognizes a copy of an event by this attribute (semantic conventions, "General logs attributes").
UID = "log.record.uid"
_SAMPLED, _NOT_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED), trace.TraceFlags(trace.TraceFlags.DEFAULT)
_NO_SPAN = Context()


def readable_log_records(events: Iterable[LogEvent], resource: Resource) -> list[ReadableLogRecord]:
    """Return the events with their own ids and times, as if a logger had emitted them. They count as observed now.

    Args:
        events: what happened.
        resource: who sends them.
    """
    now_ns = time.time_ns()
    return [ReadableLogRecord(_log_record(event, now_ns), resource, SCOPE) for event in events]


def _log_record(event: LogEvent, now_ns: int) -> LogRecord:
    return LogRecord(
        timestamp=event.at_ns,
        observed_timestamp=now_ns,
        context=_context(event),
        severity_number=SeverityNumber(event.severity.value),
        severity_text=event.severity.name,
        body=event.body,
        attributes={**event.attributes, UID: f"{event.uid:016x}"},
        event_name=event.name,
    )


def _context(event: LogEvent) -> Context:
    """Return the event's span in the form that the SDK takes."""
    if event.trace_id is None or event.span_id is None:
        return _NO_SPAN
    flags = _SAMPLED if event.is_sampled else _NOT_SAMPLED
    span = trace.SpanContext(event.trace_id, event.span_id, is_remote=False, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(span), _NO_SPAN)
