"""The durable log of measurements. Each custom exporter reads it behind a cursor of its own.

The log is written in the transaction of the facts, so that each change of the totals is in the log once. It exists only while a custom
exporter is configured. What all exporters have taken is deleted. The log also has limits, and what an exporter misses because of them is
counted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from claude_hooks_otel.delivery.exporter_state import MEASUREMENTS, count_dropped
from claude_hooks_otel.export.custom.base import MetricRecord
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.labels import encode_labels
from claude_hooks_otel.series.totals import Addition
from claude_hooks_otel.timeline import MEASUREMENT_KEPT

# Rows that wait for an exporter at most: about half a gigabyte.
MOST_ROWS = 4_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MeasurementLog:
    """Writes the log. The caller of each method holds the transaction.

    Args:
        connection: the store's connection.
        now_ns: the clock, in Unix nanoseconds.
    """

    def __init__(self, connection: sqlite3.Connection, now_ns: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ns = now_ns

    def open(self, exporters: Sequence[str]) -> None:
        """Give each new exporter a cursor at the log's end, and delete the cursors of exporters that are no longer configured."""
        (newest,) = self._connection.execute(
            "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'measurement_log'"
        ).fetchone()
        marks = ", ".join("?" * len(exporters))
        self._connection.execute(f"DELETE FROM exporter_cursor WHERE exporter NOT IN ({marks})", list(exporters))  # noqa: S608
        self._connection.executemany(
            "INSERT OR IGNORE INTO exporter_cursor VALUES (?, ?)", [(name, newest) for name in exporters]
        )
        if not exporters:
            self._connection.execute("DELETE FROM measurement_log")

    def append(self, additions: Sequence[Addition]) -> None:
        """Write additions to series, or current values of gauges. ``SeriesTotals`` calls this as an observer."""
        now = self._now_ns()
        self._connection.executemany(
            "INSERT INTO measurement_log (metric, labels, amount, scale, at_ns, logged_ns) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (metric.name, encode_labels(labels), amount, metric.scale, now if at_ns is None else at_ns, now)
                for metric, labels, amount, at_ns in additions
            ],
        )

    def trim(self, most_rows: int = MOST_ROWS, oldest_ns: int = MEASUREMENT_KEPT) -> None:
        """Delete what all exporters have taken, and what exceeds the limits. Count what each exporter misses.

        Args:
            most_rows: how many rows may wait.
            oldest_ns: how long a row may wait, in nanoseconds.
        """
        cursors = dict(self._connection.execute("SELECT exporter, seq FROM exporter_cursor"))
        behind = min(cursors.values(), default=None)
        (newest,) = self._connection.execute("SELECT COALESCE(MAX(seq), 0) FROM measurement_log").fetchone()
        (young,) = self._connection.execute(
            "SELECT COALESCE(MAX(seq), 0) FROM measurement_log WHERE seq <= ? AND logged_ns < ?",
            (newest, self._now_ns() - oldest_ns) if behind is not None and behind < newest else (0, 0),
        ).fetchone()
        bound = max(newest - most_rows, young)
        for name, seq in cursors.items():
            if seq < bound:
                (missed,) = self._connection.execute(
                    "SELECT COUNT(*) FROM measurement_log WHERE seq > ? AND seq <= ?", (seq, bound)
                ).fetchone()
                count_dropped(self._connection, MEASUREMENTS, name, missed)
                self._connection.execute("UPDATE exporter_cursor SET seq = ? WHERE exporter = ?", (bound, name))
        self._connection.execute(
            "DELETE FROM measurement_log WHERE seq <= ?", (max(bound, newest if behind is None else behind),)
        )


def waiting(connection: sqlite3.Connection, exporter: str) -> int | None:
    """Return how many measurements wait for an exporter; None if it has no cursor."""
    row = connection.execute("SELECT seq FROM exporter_cursor WHERE exporter = ?", (exporter,)).fetchone()
    if row is None:
        return None
    (count,) = connection.execute("SELECT COUNT(*) FROM measurement_log WHERE seq > ?", row).fetchone()
    return int(count)


def read_batch(connection: sqlite3.Connection, after: int, limit: int, instance: str) -> tuple[list[MetricRecord], int]:
    """Return up to ``limit`` measurements behind the cursor ``after``, and the cursor behind them."""
    rows = connection.execute(
        "SELECT seq, metric, labels, amount, scale, at_ns FROM measurement_log WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    ).fetchall()
    known = {**read_declared(connection), **CATALOG} if rows else {}
    labels: dict[str, dict[str, str]] = {}  # the records of one series share their labels
    batch = []
    for seq, name, text, amount, scale, at_ns in rows:
        if (metric := known.get(name)) is None:
            continue
        if text not in labels:
            labels[text] = dict(json.loads(text))
        value = amount if scale == 1 else amount / scale
        timestamp = _EPOCH + timedelta(microseconds=at_ns // 1000)
        key = f"{instance}:{seq:015}"
        batch.append(
            MetricRecord(metric.prometheus_name, value, timestamp, labels[text], str(metric.kind), metric.unit, key)
        )
    return batch, rows[-1][0] if rows else after
