"""Exemplars: the last observation in each bucket of a histogram, with its span.

They are kept for some minutes. That is long enough for every exporter, and none sends old ones again.
"""

from __future__ import annotations

import bisect
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import Labels, encode_labels
from claude_hooks_otel.series.points import Exemplar, SeriesPoint
from claude_hooks_otel.timeline import EXEMPLAR_KEPT


class Exemplars:
    """The exemplars of one store. Writing needs an open transaction.

    Args:
        connection: the connection of the store.
        now_ns: the clock, Unix nanoseconds.
    """

    def __init__(self, connection: sqlite3.Connection, now_ns: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ns = now_ns

    def keep(self, metric: Metric, labels: Labels, exemplar: Exemplar) -> None:
        """Keep the exemplar of an observation instead of an older one in the same bucket."""
        bucket = bisect.bisect_left(metric.buckets, exemplar.value / metric.scale)
        self._connection.execute(
            "INSERT INTO exemplar VALUES (:metric, :labels, :bucket, :value, :at, :trace, :span, :now) ON CONFLICT DO UPDATE SET "
            "value = excluded.value, at_ns = excluded.at_ns, trace_id = excluded.trace_id, span_id = excluded.span_id, "
            "kept_ns = excluded.kept_ns WHERE excluded.at_ns >= exemplar.at_ns",
            {
                "metric": metric.name, "labels": encode_labels(labels), "bucket": bucket, "value": exemplar.value, "at": exemplar.at_ns,
                "trace": f"{exemplar.trace_id:032x}", "span": f"{exemplar.span_id:016x}", "now": self._now_ns(),
            },
        )  # fmt: skip

    def forget_old(self) -> None:
        """Delete the exemplars that every exporter has sent by now."""
        self._connection.execute("DELETE FROM exemplar WHERE kept_ns < ?", (self._now_ns() - EXEMPLAR_KEPT,))

    def added_to(self, points: Iterable[SeriesPoint]) -> Iterator[SeriesPoint]:
        """Yield the points, with exemplars on those of histograms."""
        by_series: dict[tuple[str, str], list[Exemplar]] = {}
        for metric, labels, value, at_ns, trace_id, span_id in self._connection.execute(
            "SELECT metric, labels, value, at_ns, trace_id, span_id FROM exemplar WHERE kept_ns >= ? ORDER BY at_ns",
            (self._now_ns() - EXEMPLAR_KEPT,),
        ):
            exemplar = Exemplar(value, at_ns, int(trace_id, 16), int(span_id, 16))
            by_series.setdefault((metric, labels), []).append(exemplar)
        for point in points:
            found = None
            if by_series and point.bucket_counts:
                found = by_series.get((point.metric.name, encode_labels(point.labels)))
            yield replace(point, exemplars=tuple(found)) if found else point
