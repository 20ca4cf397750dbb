"""Series over the past: what each one grew by in each half hour, read from the aggregates.

Imported history moved no exported series, so it has timelines of its own. What the daemon counted was exported as totals: its timelines end
at exactly these totals.
"""

from __future__ import annotations

import heapq
import itertools
import operator
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import OVERFLOW, Labels, decode_labels, encode_labels
from claude_hooks_otel.series.aggregates import BUCKET, LIVE
from claude_hooks_otel.series.totals import read_exported_points
from claude_hooks_otel.units import END_OF_TIME

# The sum of what was added, in stored units, then the number of observations in each bucket of a histogram.
Amounts = tuple[int, ...]

_OVERFLOW_TEXT: Final = encode_labels(OVERFLOW)


class Origin(StrEnum):
    """Who has counted. The value ends the instance of the exported series."""

    LIVE = ""  # the daemon, in the series that it exports
    HISTORY = "-history"  # an import
    EARLIER = "-earlier"  # the daemon, before its series began again (``series.renewal``)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A series as it grew.

    Attributes:
        metric: the metric.
        labels: as the series has them.
        growths: when a half hour begins, Unix nanoseconds, and what was added in it; in order of time.
        origin: who has counted it.
        base: what it had before.
    """

    metric: Metric
    labels: Labels
    growths: tuple[tuple[int, Amounts], ...]
    origin: Origin
    base: Amounts = ()


def read_history(
    connection: sqlite3.Connection, limit: int, *, since_ns: int = 0, until_ns: int = END_OF_TIME
) -> Iterator[Timeline]:
    """Yield what imports have counted in the half hours that begin in a range, ordered by metric.

    Metrics about the product's own health are left out: no hook should have seen what an import reads.

    Args:
        connection: the store's connection. It can be read-only.
        limit: the most series of one metric. Label sets that appear later are in its overflow series, as in live series.
        since_ns: the begin of the range, Unix nanoseconds.
        until_ns: the end of the range, Unix nanoseconds, not in it.
    """
    known = {name: metric for name, metric in _known(connection).items() if metric.common}
    beyond = _beyond(connection, limit)
    shown = lambda name, labels: _OVERFLOW_TEXT if (name, labels) in beyond else labels  # noqa: E731
    yield from _read(connection, known, shown, Origin.HISTORY, (since_ns, until_ns))


def read_everything(connection: sqlite3.Connection, limit: int) -> Iterator[Timeline]:
    """Yield imported history and what the daemon has counted, ordered by metric. The arguments are those of ``read_history``.

    The timelines of the daemon end at the totals that it exports now. If its series had to begin again, what an earlier instance has
    exported is in timelines of its own.
    """
    yield from heapq.merge(
        read_history(connection, limit), _read_live(connection), key=lambda timeline: timeline.metric.name
    )


def _read_live(connection: sqlite3.Connection) -> Iterator[Timeline]:
    known = _known(connection)
    totals = {
        (point.metric.name, encode_labels(point.labels)): (point.value, *point.bucket_counts)
        for point in read_exported_points(connection, known)
    }
    shown = lambda name, labels: labels if (name, labels) in totals else _OVERFLOW_TEXT  # noqa: E731
    for timeline in _read(connection, known, shown, Origin.LIVE, (0, END_OF_TIME)):
        total = totals.get((timeline.metric.name, encode_labels(timeline.labels)), ())
        yield from _ending_at(timeline, total)


def _ending_at(timeline: Timeline, total: Amounts) -> Iterator[Timeline]:
    """Yield timelines that add up to a timeline and of which the last ends at a total."""
    none = (0,) * len(timeline.growths[0][1])
    total = total or none
    counted = none
    for _, amounts in timeline.growths:
        counted = _plus(counted, amounts)
    surplus = tuple(max(0, here - there) for here, there in zip(counted, total, strict=True))
    lacking = tuple(max(0, there - here) for here, there in zip(counted, total, strict=True))
    earlier, later = [], []
    for at_ns, amounts in timeline.growths:
        taken = tuple(map(min, surplus, amounts))
        surplus = tuple(map(operator.sub, surplus, taken))
        rest = tuple(map(operator.sub, amounts, taken))
        earlier += [(at_ns, taken)] * any(taken)
        later += [(at_ns, rest)] * any(rest)
    if earlier:
        yield replace(timeline, growths=tuple(earlier), origin=Origin.EARLIER)
    if later:
        yield replace(timeline, growths=tuple(later), base=lacking)


def _read(
    connection: sqlite3.Connection,
    known: Mapping[str, Metric],
    shown: Callable[[str, str], str],
    origin: Origin,
    within: tuple[int, int],
) -> Iterator[Timeline]:
    """Yield the timelines of one origin. SQLite sorts them, in a temporary file if they are many."""
    function = f"shown_{origin.name}"
    connection.create_function(function, 2, shown, deterministic=True)
    first, behind = (-(-edge // BUCKET) for edge in within)
    rows = connection.execute(
        f"SELECT metric, {function}(metric, labels) AS shown, bucket, step, value, count FROM aggregate"  # noqa: S608 — no foreign text
        f" WHERE part {'=' if origin is Origin.LIVE else '>'} {LIVE} AND bucket >= ? AND bucket < ? ORDER BY 1, 2, 3",
        (first, behind),
    )
    for (name, text), group in itertools.groupby(rows, key=lambda row: row[:2]):
        if metric := known.get(name):
            yield Timeline(metric, decode_labels(text), tuple(_growths(metric, group)), origin)


def _growths(metric: Metric, rows: Iterable[tuple[str, str, int, int, int, int]]) -> Iterator[tuple[int, Amounts]]:
    for bucket, here in itertools.groupby(rows, key=lambda row: row[2]):
        total, counts = 0, [0] * (len(metric.buckets) + 1) if metric.buckets else []
        for _, _, _, step, value, count in here:
            total += value
            if counts:
                counts[step] += count
        yield bucket * BUCKET, (total, *counts)


def _plus(left: Amounts, right: Amounts) -> Amounts:
    return tuple(map(operator.add, left, right))


def _known(connection: sqlite3.Connection) -> dict[str, Metric]:
    return {**read_declared(connection), **catalog.CATALOG}


def _beyond(connection: sqlite3.Connection, limit: int) -> set[tuple[str, str]]:
    """Return the imported label sets that have no series of their own, because their metric has too many."""
    found: set[tuple[str, str]] = set()
    full = (
        f"SELECT metric FROM (SELECT DISTINCT metric, labels FROM aggregate WHERE part > {LIVE})"  # noqa: S608 — no foreign text
        " GROUP BY metric HAVING COUNT(*) >= ?"
    )
    for (name,) in connection.execute(full, (limit,)).fetchall():
        later = (
            f"SELECT labels FROM aggregate WHERE metric = ? AND part > {LIVE} GROUP BY labels"  # noqa: S608 — no foreign text
            " ORDER BY MIN(bucket), labels LIMIT -1 OFFSET ?"
        )
        found |= {(name, labels) for (labels,) in connection.execute(later, (name, max(0, limit - 1)))}
    return found
