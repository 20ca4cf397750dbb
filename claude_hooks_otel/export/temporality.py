"""Deltas, for receivers that want them instead of cumulative values.

Series are cumulative. A delta is the difference between a series and its baseline: what the receiver has accepted so far. The caller
keeps the baselines. A baseline moves only after the receiver has accepted an export, so a failed export becomes part of the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from claude_hooks_otel.export.metrics import point_time
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.points import SeriesPoint

SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
"""A series' metric name and sorted labels."""


class Baseline(NamedTuple):
    """What a receiver has accepted of one series.

    Attributes:
        value: the cumulative value, in stored units.
        bucket_counts: a histogram's cumulative counts per bucket.
        time_ns: the end of the last accepted interval, Unix nanoseconds.
    """

    value: int
    bucket_counts: tuple[int, ...]
    time_ns: int


def series_key(point: SeriesPoint) -> SeriesKey:
    """Return the key of a point's series."""
    return point.metric.name, point.labels


def delta_points(points: Iterable[SeriesPoint], baseline: Mapping[SeriesKey, Baseline]) -> Iterator[SeriesPoint]:
    """Return what each series gained since its last accepted interval. The new interval starts where that one ended.

    The first interval of a series starts at the series' start time. Unchanged series are left out, and gauges pass unchanged. A
    counter below its baseline (the store rules that out) is left out until it passes its baseline again: a delta cannot be negative.
    """
    for point in points:
        before = baseline.get(series_key(point))
        if point.metric.kind is Kind.GAUGE or before is None or not _continues(point, before):
            yield point
            continue
        value = point.value - before.value
        counts = tuple(now - then for now, then in zip(point.bucket_counts, before.bucket_counts, strict=True))
        gains = counts or (value,)
        if min(gains) >= 0 and max(gains) > 0:
            yield replace(point, start_time_ns=before.time_ns, value=value, bucket_counts=counts)


def accepted(
    deltas: Iterable[SeriesPoint], baseline: Mapping[SeriesKey, Baseline], now_ns: int
) -> dict[SeriesKey, Baseline]:
    """Return the baselines that change because a receiver accepted these deltas, exported at ``now_ns``."""
    changed = {}
    for delta in deltas:
        if delta.metric.kind is Kind.GAUGE:
            continue
        key = series_key(delta)
        before = baseline.get(key)
        if before is None or before.time_ns != delta.start_time_ns:  # a new series: its first delta is its whole value
            before = Baseline(0, (0,) * len(delta.bucket_counts), delta.start_time_ns)
        counts = tuple(then + gained for then, gained in zip(before.bucket_counts, delta.bucket_counts, strict=True))
        changed[key] = Baseline(before.value + delta.value, counts, point_time(delta, now_ns))
    return changed


def _continues(point: SeriesPoint, before: Baseline) -> bool:
    """Return whether a baseline belongs to this series, not to an older one with the same key (a new store, other buckets)."""
    return before.time_ns >= point.start_time_ns and len(before.bucket_counts) == len(point.bucket_counts)
