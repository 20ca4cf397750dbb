"""The durable log of measurements that custom exporters read, each behind its own cursor.

It is written in the transaction of the facts: what is in the totals is in the log, once. It exists only while an exporter is
configured, is trimmed behind the slowest of them, and is bounded: what one misses because of that is counted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from claude_hooks_otel.export.custom.base import MetricRecord
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.totals import Addition, encode_labels
from claude_hooks_otel.units import DAY

# Rows kept for an exporter that does not take them: about half a gigabyte.
MOST_ROWS = 4_000_000
# Nanoseconds after which a measurement that was not taken is given up: thirty days.
OLDEST_NS = 30 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSERT = "INSERT INTO measurement_log (metric, labels, amount, scale, at_ns, logged_ns) VALUES (?, ?, ?, ?, ?, ?)"


class MeasurementLog:
    """The log as its one writer sees it.

    Args:
        store: whose log; the caller holds the transaction.
        exporters: the names of all configured exporters.
    """

    def __init__(self, store: Store, exporters: Sequence[str]) -> None:
        self._store = store
        self._exporters = list(exporters)

    def open(self) -> None:
        """Gives each new exporter a cursor at the log's end, and forgets those that are no longer configured."""
        connection = self._store.connection
        end = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'measurement_log'")
        (newest,) = end.fetchone()
        marks = ", ".join("?" * len(self._exporters))
        connection.execute(f"DELETE FROM exporter_cursor WHERE exporter NOT IN ({marks})", self._exporters)  # noqa: S608
        connection.executemany(
            "INSERT OR IGNORE INTO exporter_cursor VALUES (?, ?)", [(name, newest) for name in self._exporters]
        )

    def append(self, additions: Sequence[Addition]) -> None:
        """Writes what moved the series; for ``SeriesBook.on_flush``."""
        now = self._store.now_ns()
        self._store.connection.executemany(
            _INSERT,
            [
                (metric.name, encode_labels(labels), amount, metric.scale, now if at_ns is None else at_ns, now)
                for metric, labels, amount, at_ns in additions
            ],
        )

    def append_gauges(self, points: Iterable[SeriesPoint], now_ns: int) -> None:
        """Writes what gauges stand at now."""
        self._store.connection.executemany(
            _INSERT,
            [
                (point.metric.name, encode_labels(point.labels), point.value, point.metric.scale, now_ns, now_ns)
                for point in points
            ],
        )

    def trim(self, most_rows: int = MOST_ROWS, oldest_ns: int = OLDEST_NS) -> None:
        """Forgets what all exporters have taken, and what exceeds the bounds; that is counted for each that misses it."""
        connection = self._store.connection
        cursors = dict(connection.execute("SELECT exporter, seq FROM exporter_cursor"))
        behind = min(cursors.values(), default=None)
        (newest,) = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM measurement_log").fetchone()
        (young,) = connection.execute(
            "SELECT COALESCE(MAX(seq), 0) FROM measurement_log WHERE seq <= ? AND logged_ns < ?",
            (newest, self._store.now_ns() - oldest_ns) if behind is not None and behind < newest else (0, 0),
        ).fetchone()
        bound = max(newest - most_rows, young)
        for name, seq in cursors.items():
            if seq < bound:
                (missed,) = connection.execute(
                    "SELECT COUNT(*) FROM measurement_log WHERE seq > ? AND seq <= ?", (seq, bound)
                ).fetchone()
                dropped = int(self._store.meta(f"custom.{name}.dropped", "0")) + missed
                self._store.set_meta(f"custom.{name}.dropped", str(dropped))
                connection.execute("UPDATE exporter_cursor SET seq = ? WHERE exporter = ?", (bound, name))
        connection.execute(
            "DELETE FROM measurement_log WHERE seq <= ?", (max(bound, newest if behind is None else behind),)
        )


def read_batch(connection: sqlite3.Connection, after: int, limit: int, instance: str) -> tuple[list[MetricRecord], int]:
    """Up to ``limit`` measurements behind a cursor, and where the cursor stands after them."""
    rows = connection.execute(
        "SELECT seq, metric, labels, amount, scale, at_ns FROM measurement_log WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    ).fetchall()
    known = {**read_declared(connection), **CATALOG} if rows else {}
    shared: dict[str, dict[str, str]] = {}  # records of one series have their labels in common
    batch = [
        _record(metric, _labels(labels, shared), amount, scale, at_ns, f"{instance}:{seq:015}")
        for seq, name, labels, amount, scale, at_ns in rows
        if (metric := known.get(name)) is not None
    ]
    return batch, rows[-1][0] if rows else after


def _labels(text: str, shared: dict[str, dict[str, str]]) -> dict[str, str]:
    if (found := shared.get(text)) is None:
        found = shared[text] = dict(json.loads(text))
    return found


def _record(metric: Metric, labels: dict[str, str], amount: int, scale: int, at_ns: int, key: str) -> MetricRecord:
    return MetricRecord(
        name=metric.prometheus_name,
        value=amount if scale == 1 else amount / scale,
        timestamp=_EPOCH + timedelta(microseconds=at_ns // 1000),
        labels=labels,
        kind=str(metric.kind),
        unit=metric.unit,
        key=key,
    )
