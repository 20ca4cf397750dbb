"""Cumulative or delta: what the exported values of counters and histograms count from.

Series are cumulative. For a receiver that wants deltas, the difference to what it last accepted is computed here, from a baseline
that the caller keeps. The baseline moves only after an export was accepted, so a failed export becomes part of the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from claude_hooks_otel.export.metrics import point_time
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.points import SeriesPoint

SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
"""The identity of a series: its metric's name and its sorted labels."""


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

    A series without a baseline starts at its own start time. Unchanged series are left out, gauges pass as they are. A counter
    that went backwards (which the store rules out) is left out until it is past its baseline again, because a delta cannot
    take anything back.
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
    """Return the baselines that change after a receiver accepted these deltas under the time ``now_ns``. The caller keeps them."""
    changed = {}
    for delta in deltas:
        if delta.metric.kind is Kind.GAUGE:
            continue
        key = series_key(delta)
        before = baseline.get(key)
        if before is None or before.time_ns != delta.start_time_ns:  # a new series: its first delta was all of it
            before = Baseline(0, (0,) * len(delta.bucket_counts), delta.start_time_ns)
        counts = tuple(then + gained for then, gained in zip(before.bucket_counts, delta.bucket_counts, strict=True))
        changed[key] = Baseline(before.value + delta.value, counts, point_time(delta, now_ns))
    return changed


def _continues(point: SeriesPoint, before: Baseline) -> bool:
    """Return whether a baseline belongs to this series, and not to an older one of the same name (a new store, other buckets)."""
    return before.time_ns >= point.start_time_ns and len(before.bucket_counts) == len(point.bucket_counts)
