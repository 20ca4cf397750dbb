"""Spans and log events as they wait for an exporter. They use OpenTelemetry's terms, but not its packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from claude_hooks_otel.facts.model import Fact
from claude_hooks_otel.traces import semantic_conventions as names

Value = str | int | float | tuple[str, ...]


class SpanKind(Enum):
    """The kinds of span that we use."""

    INTERNAL = "internal"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span, at a time in Unix nanoseconds."""

    name: str
    at_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """The span of another trace that a span continues."""

    trace_id: int
    span_id: int
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One finished span.

    Attributes:
        trace_id, span_id, parent_id: derived ids (``traces.ids``). A root span has no parent.
        start_ns, end_ns: Unix nanoseconds.
        error: why it failed, in a word; None if it did not fail.
        is_parent_remote: whether the parent is a span of another program.
        parent_sampled: whether another program that began the trace sampled it; None if the trace is ours.
        fact: the fact that the span shows. It is never sent.
    """

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    error: str | None = None
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    is_parent_remote: bool = False
    parent_sampled: bool | None = None
    fact: Fact | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.error is not None:
            object.__setattr__(self, "attributes", {**self.attributes, names.ERROR_TYPE: self.error})


class Severity(Enum):
    """The severities that we use. Their values are OpenTelemetry's severity numbers."""

    INFO = 9
    WARN = 13
    ERROR = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One log record with an event name.

    Attributes:
        uid: derived from its fact (``traces.ids.event_id``). A copy of the event has the same uid.
        name: ``claude.*``.
        at_ns: when it happened, in Unix nanoseconds.
        body: a fixed text for all events with this name and outcome.
        trace_id, span_id: the event's span; None if it has none.
        is_sampled: whether that span is sent.
    """

    uid: int
    name: str
    at_ns: int
    body: str
    severity: Severity = Severity.INFO
    attributes: Mapping[str, Value] = field(default_factory=dict)
    trace_id: int | None = None
    span_id: int | None = None
    is_sampled: bool = True


Item = Span | LogEvent

# OpenTelemetry's names for the signals of items.
TRACES, LOGS = "traces", "logs"
