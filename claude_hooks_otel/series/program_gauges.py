"""Gauges that programs set. The newest value of each label set is kept."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import SCALE, read_declared
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import Labels, decode_labels, encode_labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.totals import SeriesTotals

# The most label sets of one gauge. Source: the cardinality limit of OpenTelemetry's metrics SDK specification.
MOST_GAUGES = 2000


class ProgramGauges:
    """The gauges of one store. Setting one needs an open transaction.

    Args:
        connection: the connection of the store.
        totals: learns that there is something to export.
        known: every metric by its OTLP name, with the metrics that programs declare.
    """

    def __init__(self, connection: sqlite3.Connection, totals: SeriesTotals, known: Mapping[str, Metric]) -> None:
        self._connection = connection
        self._totals = totals
        self._known = known

    def set(self, name: str, labels: Labels, value: int, at_ns: int) -> bool:
        """Set the value of a label set, unless a newer value is known.

        Args:
            name: the gauge's OTLP name.
            labels: its labels.
            value: the value in millionths (``metrics.declared.SCALE``).
            at_ns: when it was set, Unix nanoseconds.

        Returns:
            False if this would be more than MOST_GAUGES label sets.
        """
        text = encode_labels(labels)
        (present,) = self._connection.execute(
            "SELECT COUNT(*) FROM program_gauge WHERE metric = ? AND labels != ?", (name, text)
        ).fetchone()
        if present >= MOST_GAUGES:
            return False
        self._totals.note_gauge(gauge_of_catalog(name) or self._known[name], labels, value, at_ns)
        self._connection.execute(
            "INSERT INTO program_gauge VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, at_ns = excluded.at_ns "
            "WHERE excluded.at_ns >= at_ns",
            (name, text, value, at_ns),
        )
        return True


def program_gauges(connection: sqlite3.Connection, computed: Iterable[SeriesPoint] = ()) -> Iterator[SeriesPoint]:
    """Yield the gauges of programs. A gauge that is also ``computed`` from facts, with the same labels, is left out."""
    taken = {(point.metric.name, point.labels) for point in computed}
    declared = read_declared(connection)
    for name, text, value, at_ns in connection.execute(
        "SELECT metric, labels, value, at_ns FROM program_gauge ORDER BY metric, labels"
    ):
        metric = declared.get(name) or gauge_of_catalog(name)
        labels = decode_labels(text)
        if metric is not None and (name, labels) not in taken:
            yield SeriesPoint(metric, labels, at_ns, value)


@functools.lru_cache(maxsize=256)
def gauge_of_catalog(name: str) -> Metric | None:
    """Return a gauge of the catalog with the scale of program records, which can be fractions; None if it is not in the catalog."""
    metric = catalog.CATALOG.get(name)
    return None if metric is None else replace(metric, scale=SCALE)
