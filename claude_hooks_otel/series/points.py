"""The state of series at one moment, as it is exported and shown."""

from __future__ import annotations

from dataclasses import dataclass

from claude_hooks_otel.metrics.definition import Metric


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation of a histogram and the span that it was made of; the value in stored units, times Unix nanoseconds."""

    value: int
    at_ns: int
    trace_id: int
    span_id: int


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """The state of one series at one moment, in stored units.

    Attributes:
        metric: what it measures.
        labels: sorted (key, value) pairs.
        start_time_ns: when the series began, Unix nanoseconds; never changes.
        value: a counter's total or a gauge's value, in stored units (``metric.scale`` to one exported unit); a histogram's sum.
        bucket_counts: a histogram's counts per bucket, one more than ``metric.buckets``; empty otherwise.
        exemplars: some of a histogram's latest observations.
    """

    metric: Metric
    labels: tuple[tuple[str, str], ...]
    start_time_ns: int
    value: int
    bucket_counts: tuple[int, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def count(self) -> int:
        """How many observations a histogram holds."""
        return sum(self.bucket_counts)
