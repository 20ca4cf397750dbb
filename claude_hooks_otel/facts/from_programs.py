"""Facts from program records, which the Python SDK writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.identities import IdentityResolver
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import MOST_METRICS, NO_UNIT, SCALE, declare, metric_of
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Identity, Labels, identity_columns, normalize
from claude_hooks_otel.sources import program_records as records
from claude_hooks_otel.sources.captured import CapturedRecord
from claude_hooks_otel.units import LARGEST_INTEGER, SECOND

# The session id of the tasks of programs.
SESSION = "sdk"
ERRORS, TASKS_FAILED = "claude.errors", "claude.tasks_failed"
SPAN_DURATION = "claude.span_duration_seconds"
# Nanoseconds in one stored unit of the span histogram.
_NANOSECONDS_PER_UNIT = SECOND // SCALE

# Sets a gauge: OTLP name, labels, value in stored units, Unix nanoseconds. Returns False if the gauge has too many series.
SetGauge = Callable[[str, Labels, int, int], bool]


class ProgramReader:
    """Reads program records into facts, inside the caller's transaction.

    Args:
        facts: gets the facts.
        resolve: returns the identity that a record counts for.
        known: every metric by its OTLP name. Metrics that records declare are added.
        on_dropped: called with the reason when a record cannot count.
        set_gauge: sets a gauge.
    """

    def __init__(
        self,
        facts: Facts,
        resolve: IdentityResolver,
        known: dict[str, Metric],
        on_dropped: Callable[[str], None],
        set_gauge: SetGauge,
    ) -> None:
        self._facts = facts
        self._resolve = resolve
        self._known = known
        self._on_dropped = on_dropped
        self._set_gauge = set_gauge

    def read(self, captured: CapturedRecord) -> None:
        """Read one record. A record that was read before changes nothing."""
        headers = captured.envelope.headers
        identity = self._resolve(headers, headers.get("project_directory"))
        for fact in facts_of(captured.record, identity):
            if isinstance(fact, model.Measurement):
                if problem := self._problem(fact):
                    self._on_dropped(problem)
                    continue
                is_new = self._facts.get(model.Measurement, fact.measurement_id) is None
                if fact.kind == Kind.GAUGE and is_new and not self._update_gauge(fact):
                    self._on_dropped("too_many_series")
            self._facts.upsert(fact)

    def _problem(self, fact: model.Measurement) -> str | None:
        """Return why a measurement cannot count; None if it can. The first use of a new name declares the metric."""
        name, kind, unit = fact.name, fact.kind or "", fact.unit or ""
        declared = self._known.get(name)
        if declared is None:
            if sum(name not in catalog.CATALOG for name in self._known) >= MOST_METRICS:
                return "too_many_metrics"
            declared = self._known[name] = declare(self._facts.connection, name, kind, unit)
        if not declared.common:
            return "reserved_name"
        return "kind_conflict" if declared.kind != kind else None

    def _update_gauge(self, fact: model.Measurement) -> bool:
        return self._set_gauge(fact.name, measurement_labels(fact), fact.value or 0, fact.at_ns or 0)


def measurement_labels(fact: model.Measurement) -> Labels:
    """Return all labels of a measurement, sorted."""
    return tuple(sorted((*fact.labels(), *json.loads(fact.label_text or "{}").items())))


def stored_value(value: float, scale: int) -> int:
    """Return a value in stored units. The decimal digits of the float count, not its binary value.

    >>> stored_value(0.87, 1_000_000_000_000)
    870000000000
    """
    stored = round(Decimal(repr(value)) * scale)
    return max(-LARGEST_INTEGER, min(LARGEST_INTEGER, stored))


def facts_of(record: records.ProgramRecord, identity: Identity) -> Iterator[model.Fact]:
    """Yield the facts in a record."""
    labels = identity_columns(identity)
    match record:
        case records.MeasurementRecord():
            yield _measurement(record, labels)
        case records.TaskRecord():
            yield from _task(record, labels)
        case records.SpanRecord():
            yield _span(record, labels)
            duration = max(0, record.ended - record.started) // _NANOSECONDS_PER_UNIT
            yield _derived(
                record, SPAN_DURATION, Kind.HISTOGRAM, duration, labels, span=record.label, outcome=record.outcome
            )
        case records.ErrorRecord():
            own, rest = _split(labels, record.labels)
            yield _derived(record, ERRORS, Kind.COUNTER, SCALE, own, error=record.type, **rest)


def _measurement(record: records.MeasurementRecord, labels: Mapping[str, str | None]) -> model.Measurement:
    metric = metric_of(record.metric, record.kind, record.unit)
    scale = SCALE if metric.kind is Kind.GAUGE else metric.scale
    own, rest = _split(labels, record.labels)
    return model.Measurement(
        measurement_id=record.id,
        name=record.metric,
        kind=record.kind,
        unit=record.unit,
        value=stored_value(record.value, scale),
        label_text=_canonical(rest),
        at_ns=record.at,
        **own,
    )


def _task(record: records.TaskRecord, labels: Mapping[str, str | None]) -> Iterator[model.Fact]:
    succeeded = record.ended is not None and record.outcome == "success"
    yield model.Task(
        session_id=SESSION,
        task_id=record.id,
        task_type=normalize(record.task_type),
        story_points=record.complexity,
        complexity=record.complexity,
        created_ns=record.started,
        started_ns=record.started,
        completed_ns=record.ended if succeeded else None,
        duration_ns=max(0, record.ended - record.started) if succeeded and record.ended is not None else None,
        **labels,
    )
    if record.ended is None:
        return
    yield _span(record, labels)
    if not succeeded:
        yield _derived(record, TASKS_FAILED, Kind.COUNTER, SCALE, labels, task_type=record.task_type)


def _span(record: records.TaskRecord | records.SpanRecord, labels: Mapping[str, str | None]) -> model.ProgramSpan:
    return model.ProgramSpan(
        span_id=record.id,
        parent_id=record.parent,
        root_id=record.root,
        name=record.name,
        started_ns=record.started,
        ended_ns=record.ended,
        outcome=record.outcome,
        **labels,
    )


def _derived(
    record: records.ProgramRecord, name: str, kind: Kind, value: int, own: Mapping[str, str | None], **labels: str
) -> model.Measurement:
    """Return a measurement that follows from a record of another kind. Its id is made of the record's id."""
    return model.Measurement(
        measurement_id=f"{record.id}:{name}", name=name, kind=kind, unit="s" if name == SPAN_DURATION else NO_UNIT, value=value,
        label_text=_canonical(labels), at_ns=record.at, **own,
    )  # fmt: skip


def _split(own: Mapping[str, str | None], given: Mapping[str, str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """Return the identity with the values that a record's own labels replace, and the other labels of the record."""
    replaced = {key: normalize(given[key]) if key in given else value for key, value in own.items()}
    return replaced, {key: value for key, value in given.items() if key not in own}


def _canonical(labels: Mapping[str, str]) -> str:
    normalized = {key: normalize(value) for key, value in labels.items()}
    return json.dumps(normalized, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
