"""Spans and log events as they wait for an exporter, in OpenTelemetry's terms and without its packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from claude_hooks_otel.facts.model import Fact
from claude_hooks_otel.traces import semantic_conventions as names

Value = str | int | float | tuple[str, ...]


class SpanKind(Enum):
    """OpenTelemetry's kinds, as far as they are used."""

    INTERNAL = "internal"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at one time within a span; Unix nanoseconds."""

    name: str
    at_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A span of another trace that this one goes on from."""

    trace_id: int
    span_id: int
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One finished span.

    Attributes:
        trace_id, span_id, parent_id: derived (``traces.ids``); a root has no parent.
        start_ns, end_ns: Unix nanoseconds.
        error: why it failed, in a word; None where it did not.
        is_parent_remote: whether the parent is somebody else's span.
        parent_sampled: whether whoever began the trace sampled it; None where that is us.
        fact: what it shows; stays here, is never sent.
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
    """OpenTelemetry's severities, as far as they are used; the values are its severity numbers."""

    INFO = 9
    WARN = 13
    ERROR = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One log record with an event name.

    Attributes:
        uid: derived from what it tells of (``traces.ids.event_id``), so that a copy can be told from a second event.
        name: ``claude.*``.
        at_ns: when it happened, Unix nanoseconds.
        body: the same few words for all events of a name and outcome.
        trace_id, span_id: the span it belongs to; None where there is none.
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

# OpenTelemetry's names of the signals that items belong to.
TRACES, LOGS = "traces", "logs"
