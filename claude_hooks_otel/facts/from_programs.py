"""What each record of the SDK says: from a captured envelope to facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import MOST_METRICS, NO_UNIT, SCALE, metric_of
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Identity, normalize
from claude_hooks_otel.series.program_gauges import gauge_of_catalog
from claude_hooks_otel.series.totals import encode_labels
from claude_hooks_otel.sources import program_records as records
from claude_hooks_otel.sources.envelope import Envelope

# Whose task list the tasks of programs are in.
SESSION = "sdk"
ERRORS, TASKS_FAILED = "claude.errors", "claude.tasks_failed"
SPAN_DURATION = "claude.span_duration_seconds"
# Label sets of one gauge: OpenTelemetry's own limit of a metric's series.
MOST_GAUGES = 2000
# Stored units a second of the span histogram.
_NANOSECONDS_A_UNIT = 1_000_000_000 // SCALE
_MOST_STORED = 2**63 - 1

IdentityResolver = Callable[[Mapping[str, str], str | None], Identity]


class SdkWitness:
    """Reads envelopes of the SDK into the store.

    Args:
        store: where facts go; the caller holds the transaction.
        resolve: tells whose a record is.
        known: the metrics of the series book by OTLP name; what a record declares joins them.
        dropped: is told why a record could not count.
        gauge_set: is told of each gauge that was set: metric, labels, value, when.
    """

    def __init__(
        self,
        store: Store,
        resolve: IdentityResolver,
        known: dict[str, Metric],
        dropped: Callable[[str], None],
        gauge_set: Callable[[Metric, tuple[tuple[str, str], ...], int, int], None],
    ) -> None:
        self._gauge_set = gauge_set
        self._store = store
        self._resolve = resolve
        self._known = known
        self._dropped = dropped

    def read(self, envelope: Envelope) -> None:
        """Takes one record in; one that was taken in before changes nothing.

        Raises:
            PayloadError: it is no record.
        """
        record = records.parse(envelope.event, envelope.payload)
        identity = self._resolve(envelope.headers, envelope.headers.get("project_directory"))
        for fact in facts_of(record, identity):
            if isinstance(fact, model.Measurement) and not self._declare(fact):
                continue
            if (
                isinstance(fact, model.Measurement)
                and fact.kind == Kind.GAUGE
                and self._store.get(model.Measurement, fact.measurement_id) is None
            ):
                self._set_gauge(fact)
            self._store.upsert(fact)

    def _declare(self, fact: model.Measurement) -> bool:
        """Whether the metric is what the record takes it for; a new one is declared by its first use."""
        name, kind, unit = fact.name, fact.kind or "", fact.unit or ""
        declared = self._known.get(name)
        if declared is None:
            if sum(name not in catalog.CATALOG for name in self._known) >= MOST_METRICS:
                self._dropped("too_many_metrics")
                return False
            self._store.connection.execute("INSERT OR IGNORE INTO declared_metric VALUES (?, ?, ?)", (name, kind, unit))
            row = self._store.connection.execute(
                "SELECT kind, unit FROM declared_metric WHERE name = ?", (name,)
            ).fetchone()
            declared = self._known[name] = metric_of(name, *row)
        if not declared.common:
            self._dropped("reserved_name")
            return False
        if declared.kind != kind:
            self._dropped("kind_conflict")
            return False
        return True

    def _set_gauge(self, fact: model.Measurement) -> None:
        """The newest value of each label set stands, in whatever order they arrive."""
        pairs = measurement_labels(fact)
        labels = encode_labels(pairs)
        (present,) = self._store.connection.execute(
            "SELECT COUNT(*) FROM sdk_gauge WHERE metric = ? AND labels != ?", (fact.name, labels)
        ).fetchone()
        if present >= MOST_GAUGES:
            self._dropped("too_many_series")
            return
        metric = gauge_of_catalog(fact.name) or self._known[fact.name]
        self._gauge_set(metric, pairs, fact.value or 0, fact.at_ns or 0)
        self._store.connection.execute(
            "INSERT INTO sdk_gauge VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, at_ns = excluded.at_ns "
            "WHERE excluded.at_ns >= at_ns",
            (fact.name, labels, fact.value, fact.at_ns),
        )


def measurement_labels(fact: model.Measurement) -> tuple[tuple[str, str], ...]:
    """All labels of a measurement, sorted."""
    return tuple(sorted((*fact.labels(), *json.loads(fact.label_text or "{}").items())))


def stored_value(value: float, scale: int) -> int:
    """A value in stored units, by the decimal digits that its writer saw.

    >>> stored_value(0.87, 1_000_000_000_000)
    870000000000
    """
    stored = round(Decimal(repr(value)) * scale)
    return max(-_MOST_STORED, min(_MOST_STORED, stored))


def facts_of(record: records.Record, identity: Identity) -> Iterator[model.Fact]:
    """The facts that a record tells of."""
    labels = identity.columns()
    match record:
        case records.MeasurementRecord():
            yield _measurement(record, labels)
        case records.TaskRecord():
            yield from _task(record, labels)
        case records.SpanRecord():
            yield _span(record, labels)
            duration = max(0, record.ended - record.started) // _NANOSECONDS_A_UNIT
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


def _span(record: records.TaskRecord | records.SpanRecord, labels: Mapping[str, str | None]) -> model.SdkSpan:
    return model.SdkSpan(
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
    record: records.Record, name: str, kind: Kind, value: int, own: Mapping[str, str | None], **labels: str
) -> model.Measurement:
    """A measurement that a record of another kind stands for, under its id."""
    return model.Measurement(
        measurement_id=f"{record.id}:{name}", name=name, kind=kind, unit="s" if name == SPAN_DURATION else NO_UNIT, value=value,
        label_text=_canonical(labels), at_ns=record.at, **own,
    )  # fmt: skip


def _split(own: Mapping[str, str | None], given: Mapping[str, str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """The identity with what a record's own labels replace of it, and the labels beside."""
    replaced = {key: normalize(given[key]) if key in given else value for key, value in own.items()}
    return replaced, {key: value for key, value in given.items() if key not in own}


def _canonical(labels: Mapping[str, str]) -> str:
    normalized = {key: normalize(value) for key, value in labels.items()}
    return json.dumps(normalized, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
