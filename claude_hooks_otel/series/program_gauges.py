"""Gauges that programs set: the newest value of each label set."""

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

# Label sets of one gauge: OpenTelemetry's own limit of a metric's series.
MOST_GAUGES = 2000


class ProgramGauges:
    """The gauges of one store. The caller holds the transaction.

    Args:
        connection: the store's.
        totals: are told that there is something to export.
        known: every metric by its OTLP name, those that programs declare included.
    """

    def __init__(self, connection: sqlite3.Connection, totals: SeriesTotals, known: Mapping[str, Metric]) -> None:
        self._connection = connection
        self._totals = totals
        self._known = known

    def set(self, name: str, labels: Labels, value: int, at_ns: int) -> bool:
        """Keep the newest value of a label set, in whatever order the values arrive.

        Args:
            name: the gauge's OTLP name.
            labels: its labels.
            value: in millionths (``metrics.declared.SCALE``).
            at_ns: when it was set, Unix nanoseconds.

        Returns:
            False if the gauge has too many label sets for another one.
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
    """Return the gauges as they stand. Where the facts give a value of the same labels (``computed``), that one counts."""
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
    """Return a gauge of the catalog in the scale of what programs record: they know fractions."""
    metric = catalog.CATALOG.get(name)
    return None if metric is None else replace(metric, scale=SCALE)
