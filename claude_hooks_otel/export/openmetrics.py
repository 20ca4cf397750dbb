"""Timelines of series as OpenMetrics text with timestamps, for ``promtool tsdb create-blocks-from openmetrics``.

Names and labels are those that the Collector's Prometheus page gives to live series. Each series begins with 0. A sample at the end of a
half hour has the total up to then. A series that does not grow is repeated, because the dashboards look for raw samples in the last three
days (``monitoring.expressions``), and so that a total is found until the end of the export.

Source of the format: the OpenMetrics 1.0 specification.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from opentelemetry.sdk import resources

from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Labels
from claude_hooks_otel.series.aggregates import BUCKET
from claude_hooks_otel.series.timelines import Amounts, Timeline
from claude_hooks_otel.units import DAY, HOUR, SECOND

# A series that does not grow has a sample this often: more often than every three days, with a day to spare.
REPEATED_EVERY: Final = 2 * DAY
# Prometheus may still change the blocks of its last three hours, so nothing is written into them.
# Source: Prometheus, Storage, "Backfilling from OpenMetrics format".
NOT_WRITTEN: Final = 3 * HOUR

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


@dataclass(slots=True)
class Written:
    """What was written.

    Attributes:
        series: how many timelines.
        samples: how many lines with a value.
        first_ns: the time of the first sample, Unix nanoseconds; 0 if there is none.
        too_new: half hours of series that were left out, because they end within the last three hours.
    """

    series: int = 0
    samples: int = 0
    first_ns: int = 0
    too_new: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """The labels that say who sends, as Prometheus derives them from a resource.

    Attributes:
        job: the name of the service, after its namespace if it has one.
        instance: the instance of the live series.
        suffix: ends the instance of every other series.
    """

    job: str
    instance: str
    suffix: str = ""

    @classmethod
    def of(cls, resource: resources.Resource, suffix: str = "") -> Target:
        """Return the labels of a resource."""
        found = {key: str(value) for key, value in resource.attributes.items()}
        namespace = found.get(resources.SERVICE_NAMESPACE)
        name = found[resources.SERVICE_NAME]
        return cls(f"{namespace}/{name}" if namespace else name, found[resources.SERVICE_INSTANCE_ID], suffix)

    def labels(self, timeline: Timeline) -> Labels:
        """Return the labels that a timeline gets."""
        instance = f"{self.instance}{timeline.origin}{self.suffix if timeline.origin else ''}"
        return (("instance", instance), ("job", self.job))


def write_openmetrics(
    timelines: Iterable[Timeline], target: Target, now_ns: int, write: Callable[[str], object]
) -> Written:
    """Write timelines, which are ordered by metric, and return what was written.

    Args:
        timelines: the series.
        target: who sends.
        now_ns: the time, Unix nanoseconds. Samples end three hours before.
        write: takes pieces of the text.
    """
    written, end = Written(), (now_ns - NOT_WRITTEN) // SECOND
    for _, family in itertools.groupby(timelines, key=lambda timeline: timeline.metric.name):
        is_new = True
        for timeline in family:
            if timeline.growths[0][0] // SECOND >= end:
                written.too_new += len(timeline.growths)
                continue
            if is_new:
                write(_head(timeline.metric))
                is_new = False
            lines = list(_lines(timeline, target.labels(timeline), end))
            write("".join(lines))
            first_ns = timeline.growths[0][0]
            written.first_ns = min(written.first_ns or first_ns, first_ns)
            written.series += 1
            written.samples += len(lines)
            written.too_new += sum(_end_of(at_ns) > end for at_ns, _ in timeline.growths)
    write("# EOF\n")
    return written


def _head(metric: Metric) -> str:
    """Return the description of a metric family. The name of a counter's family has no ``_total``."""
    name = metric.prometheus_name
    if metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    return f"# TYPE {name} {metric.kind}\n# HELP {name} {metric.meaning.translate(_ESCAPES)}\n"


def _end_of(begin_ns: int) -> int:
    """Return the last second of a half hour. The next half hour, day or month begins after it."""
    return (begin_ns + BUCKET) // SECOND - 1


def _samples(timeline: Timeline, end: int) -> Iterator[tuple[int, Amounts]]:
    """Yield times, Unix seconds, and the totals at these times."""
    begin_ns, first = timeline.growths[0]
    at, total = begin_ns // SECOND, timeline.base or (0,) * len(first)
    yield at, total
    for begin_ns, amounts in timeline.growths:
        if (then := _end_of(begin_ns)) > end:
            break
        yield from ((repeated, total) for repeated in _between(at, then))
        at, total = then, tuple(map(operator.add, total, amounts))
        yield at, total
    yield from ((repeated, total) for repeated in _between(at, end))
    if end > at:
        yield end, total


def _between(after: int, before: int) -> range:
    step = REPEATED_EVERY // SECOND
    return range(after + step, before, step)


def _lines(timeline: Timeline, target: Labels, end: int) -> Iterator[str]:
    metric, name, scale = timeline.metric, timeline.metric.prometheus_name, timeline.metric.scale
    labels = ",".join(f'{_key(key)}="{_value(value)}"' for key, value in (*timeline.labels, *target))
    if metric.kind is Kind.COUNTER:
        for at, (total,) in _samples(timeline, end):
            yield f"{name}{{{labels}}} {total / scale!r} {at}\n"
        return
    bounds = [f'{name}_bucket{{{labels},le="{_bound(bound)}"}}' for bound in (*metric.buckets, float("inf"))]
    for at, (total, *counts) in _samples(timeline, end):
        reached = 0
        for series, count in zip(bounds, counts, strict=True):
            reached += count
            yield f"{series} {reached} {at}\n"
        yield f"{name}_count{{{labels}}} {reached} {at}\n"
        yield f"{name}_sum{{{labels}}} {total / scale!r} {at}\n"


def _key(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def _value(value: str) -> str:
    """Return an escaped label value without halves of surrogate pairs, which UTF-8 does not have."""
    return (
        value.translate(_ESCAPES) if value.isascii() else value.encode("utf-8", "replace").decode().translate(_ESCAPES)
    )


def _bound(bound: float) -> str:
    """Return a bound as Prometheus writes the label ``le``: Go's shortest form, with a point or an exponent.

    >>> [_bound(bound) for bound in (0.05, 5.0, 604800.0, 2592000.0, float("inf"))]
    ['0.05', '5.0', '604800.0', '2.592e+06', '+Inf']
    """
    if bound == float("inf"):
        return "+Inf"
    if 1e-4 <= bound < 1e6:
        return repr(bound)
    return next(text for digits in range(17) if float(text := f"{bound:.{digits}e}") == bound)
