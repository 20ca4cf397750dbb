"""Delivery of the series. It always sends the newest state, so an outage needs no queue.

Totals are cumulative, so the next export contains what an endpoint has missed. Deltas are computed from a baseline, which moves only when
an export is accepted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.delivery.worker import Worker
from claude_hooks_otel.export.exporters import MetricExporter
from claude_hooks_otel.export.metrics import metrics_data, requests
from claude_hooks_otel.export.temporality import Baseline, SeriesKey, accepted, delta_points
from claude_hooks_otel.metrics.labels import decode_labels, encode_labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.store.connection import transaction


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
        if self._baseline is None:
            self._baseline = _read_baseline(connection, self.exporter_name) if self._is_delta else {}
        baseline = self._baseline
        points = delta_points(snapshot.points, baseline) if self._is_delta else snapshot.points
        note: str | None = None
        for portion in requests(points):
            data = metrics_data(portion, self._resource, snapshot.now_ns, temporality=self._exporter.temporality)
            outcome = self._exporter.export(data)
            if not outcome.ok:
                error = outcome.error or "refused without a reason"
                self.note_error(connection, error)
                return error
            note = outcome.error or note
            self.delivered += len(portion)
            self.dropped += outcome.rejected
            if self._is_delta:
                changed = accepted(portion, baseline, snapshot.now_ns)
                baseline.update(changed)
                _write_baseline(connection, self.exporter_name, changed)
        with transaction(connection):
            self.note_accepted(connection)
        self.note_committed()
        self.note_error(connection, note)
        self.accepted = snapshot
        return None


def _read_baseline(connection: sqlite3.Connection, exporter: str) -> dict[SeriesKey, Baseline]:
    """Return the baselines of an exporter whose endpoint wants deltas."""
    rows = connection.execute(
        "SELECT metric, labels, value, buckets, time_ns FROM baseline WHERE exporter = ?", (exporter,)
    )
    return {
        (metric, decode_labels(labels)): Baseline(value, tuple(json.loads(buckets)), time_ns)
        for metric, labels, value, buckets, time_ns in rows
    }


def _write_baseline(connection: sqlite3.Connection, exporter: str, changed: Mapping[SeriesKey, Baseline]) -> None:
    with transaction(connection):
        connection.executemany(
            "INSERT OR REPLACE INTO baseline VALUES (?, ?, ?, ?, ?, ?)",
            [
                (exporter, metric, encode_labels(labels), base.time_ns, base.value, json.dumps(base.bucket_counts))
                for (metric, labels), base in changed.items()
            ],
        )
