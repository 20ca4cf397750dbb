"""The state of a series at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from claude_hooks_otel.metrics.definition import Metric


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation of a histogram and its span. The value is in stored units, the time in Unix nanoseconds."""

    value: int
    at_ns: int
    trace_id: int
    span_id: int


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """The state of one series at one moment, in stored units.

    Attributes:
        metric: the metric.
        labels: sorted (key, value) pairs.
        start_time_ns: when the series began, Unix nanoseconds. It never changes.
        value: a counter's total, a gauge's value or a histogram's sum. One exported unit is ``metric.scale`` stored units.
        bucket_counts: a histogram's counts, one more than ``metric.buckets``; empty for other kinds.
        exemplars: the last observation of some of a histogram's buckets.
    """

    metric: Metric
    labels: tuple[tuple[str, str], ...]
    start_time_ns: int
    value: int
    bucket_counts: tuple[int, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def count(self) -> int:
        """The number of observations of a histogram."""
        return sum(self.bucket_counts)
