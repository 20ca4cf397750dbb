"""Gauges that programs set through the SDK: the newest value of each label set."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import SCALE, read_declared
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.totals import decode_labels


def sdk_gauges(connection: sqlite3.Connection, computed: Iterable[SeriesPoint] = ()) -> Iterator[SeriesPoint]:
    """The gauges as they stand. Where the facts themselves give a value of the same labels (``computed``), that one counts."""
    taken = {(point.metric.name, point.labels) for point in computed}
    declared = read_declared(connection)
    for name, text, value, at_ns in connection.execute(
        "SELECT metric, labels, value, at_ns FROM sdk_gauge ORDER BY metric, labels"
    ):
        metric = declared.get(name) or gauge_of_catalog(name)
        labels = decode_labels(text)
        if metric is not None and (name, labels) not in taken:
            yield SeriesPoint(metric, labels, at_ns, value)


@functools.lru_cache(maxsize=256)
def gauge_of_catalog(name: str) -> Metric | None:
    """A gauge of the catalog in the scale of what programs record: they know fractions."""
    metric = catalog.CATALOG.get(name)
    return None if metric is None else replace(metric, scale=SCALE)
