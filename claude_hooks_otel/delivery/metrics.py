"""Delivery of the series. It always sends the newest state, so an outage needs no queue.

Totals are cumulative, so the next export contains what an endpoint has missed. Deltas are computed from a baseline, which moves only when
an export is accepted. An answer can get lost after the endpoint has counted the deltas. So deltas without an answer are sent again
unchanged, with the same times, also by the next daemon. A receiver recognizes them by their times; it could not recognize a larger delta
of a longer interval.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.delivery.worker import Worker
from claude_hooks_otel.export.exporters import MetricExporter
from claude_hooks_otel.export.metrics import metrics_data, requests
from claude_hooks_otel.export.outcome import Outcome, Status
from claude_hooks_otel.export.temporality import Baseline, SeriesKey, accepted, delta_points
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.metrics.labels import decode_labels, encode_labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.store.connection import transaction

# The answers after which deltas were certainly not counted.
_NOT_COUNTED: Final = frozenset((Status.REFUSED, Status.TOO_LARGE, Status.UNSERVED))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every series at one moment.

    Attributes:
        changes: how many changes of the totals it contains (``SeriesTotals.changes``).
        now_ns: when it was taken, in Unix nanoseconds.
        points: the series.
    """

    changes: int
    now_ns: int
    points: Sequence[SeriesPoint]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Deltas whose export may have been counted or not.

    Attributes:
        now_ns: the end of their intervals, in Unix nanoseconds.
        points: the deltas.
    """

    now_ns: int
    points: Sequence[SeriesPoint]


class MetricWorker(Worker):
    """Sends snapshots through one exporter.

    Args:
        exporter: the exporter.
        resource: who sends.
        path: the store's file.

    Attributes:
        accepted: the snapshot that the endpoint accepted last; None before the first.
    """

    def __init__(self, exporter: MetricExporter, resource: Resource, path: Path) -> None:
        super().__init__("metrics", exporter.name, path)
        self._exporter = exporter
        self._resource = resource
        self._is_delta = exporter.temporality is AggregationTemporality.DELTA
        self._baseline: dict[SeriesKey, Baseline] | None = None  # read when it is needed first
        self._unanswered: Attempt | None = None  # read with the baseline
        self._newest: Snapshot | None = None
        self.accepted: Snapshot | None = None

    def submit(self, snapshot: Snapshot) -> None:
        """Hand over the newest state. It replaces an older one that still waits."""
        self._newest = snapshot
        self.wake()

    def interrupt(self) -> None:
        """End an export under way."""
        self._exporter.shutdown()

    def deliver(self, connection: sqlite3.Connection) -> str | None:
        """Send the newest snapshot. Return None, or the reason why it was not accepted."""
        snapshot = self._newest
        if snapshot is None or snapshot is self.accepted:
            return None
        note: str | None = None
        for outcome in self._deltas(connection, snapshot) if self._is_delta else self._totals(snapshot):
            self.keep_pause(outcome)
            if not outcome.ok:
                error = outcome.error or "refused without a reason"
                self.note_error(connection, error)
                return error
            note = outcome.error or note
        with transaction(connection):
            self.note_accepted(connection)
        self.note_committed()
        self.note_error(connection, note)
        self.accepted = snapshot
        return None

    def _totals(self, snapshot: Snapshot) -> Iterator[Outcome]:
        for portion in requests(snapshot.points):
            yield self._export(portion, snapshot.now_ns)

    def _deltas(self, connection: sqlite3.Connection, snapshot: Snapshot) -> Iterator[Outcome]:
        if self._baseline is None:
            self._baseline = _read_baseline(connection, self.exporter_name)
            self._unanswered = _read_attempt(connection, self.exporter_name, snapshot)
        if (attempt := self._unanswered) is not None:
            yield self._export_deltas(connection, self._baseline, attempt, attempt.points)
        for portion in requests(delta_points(snapshot.points, self._baseline)):
            attempt = Attempt(snapshot.now_ns, [point for point in portion if point.metric.kind is not Kind.GAUGE])
            _write_attempt(connection, self.exporter_name, attempt)
            yield self._export_deltas(connection, self._baseline, attempt, portion)

    def _export_deltas(
        self,
        connection: sqlite3.Connection,
        baseline: dict[SeriesKey, Baseline],
        attempt: Attempt,
        points: Sequence[SeriesPoint],
    ) -> Outcome:
        self._unanswered = attempt
        outcome = self._export(points, attempt.now_ns)
        if outcome.ok or outcome.status in _NOT_COUNTED:
            changed = accepted(attempt.points, baseline, attempt.now_ns) if outcome.ok else {}
            _write_answer(connection, self.exporter_name, changed)
            baseline.update(changed)
            self._unanswered = None
        return outcome

    def _export(self, points: Sequence[SeriesPoint], now_ns: int) -> Outcome:
        outcome = self._exporter.export(
            metrics_data(points, self._resource, now_ns, temporality=self._exporter.temporality)
        )
        if outcome.ok:
            self.delivered += len(points)
            self.dropped += outcome.rejected
        return outcome


def _read_baseline(connection: sqlite3.Connection, exporter: str) -> dict[SeriesKey, Baseline]:
    """Return the baselines of an exporter whose endpoint wants deltas."""
    rows = connection.execute(
        "SELECT metric, labels, value, buckets, time_ns FROM baseline WHERE exporter = ?", (exporter,)
    )
    return {
        (metric, decode_labels(labels)): Baseline(value, tuple(json.loads(buckets)), time_ns)
        for metric, labels, value, buckets, time_ns in rows
    }


def _read_attempt(connection: sqlite3.Connection, exporter: str, snapshot: Snapshot) -> Attempt | None:
    """Return the deltas that the last daemon sent without an answer."""
    row = connection.execute("SELECT time_ns, points FROM delta_attempt WHERE exporter = ?", (exporter,)).fetchone()
    if row is None:
        return None
    known = {point.metric.name: point.metric for point in snapshot.points}
    points = [
        SeriesPoint(known[name], decode_labels(labels), start_ns, value, tuple(counts))
        for name, labels, start_ns, value, counts in json.loads(row[1])
        if name in known
    ]
    return Attempt(row[0], points) if points else None


def _write_attempt(connection: sqlite3.Connection, exporter: str, attempt: Attempt) -> None:
    points = [
        (point.metric.name, encode_labels(point.labels), point.start_time_ns, point.value, point.bucket_counts)
        for point in attempt.points
    ]
    row = (exporter, attempt.now_ns, json.dumps(points))
    connection.execute("INSERT OR REPLACE INTO delta_attempt VALUES (?, ?, ?)", row)


def _write_answer(connection: sqlite3.Connection, exporter: str, changed: Mapping[SeriesKey, Baseline]) -> None:
    """Delete the attempt, and move the baselines of what the endpoint has accepted."""
    with transaction(connection):
        connection.execute("DELETE FROM delta_attempt WHERE exporter = ?", (exporter,))
        connection.executemany(
            "INSERT OR REPLACE INTO baseline VALUES (?, ?, ?, ?, ?, ?)",
            [
                (exporter, metric, encode_labels(labels), base.time_ns, base.value, json.dumps(base.bucket_counts))
                for (metric, labels), base in changed.items()
            ],
        )
