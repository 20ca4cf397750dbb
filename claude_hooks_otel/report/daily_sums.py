"""The sums of the half hours of a range, added up by day. They stay in memory, so that a person who clicks does not wait.

A report over a long range reads hundreds of thousands of sums. Most of them belong to days that are over and never change again.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import Final

from claude_hooks_otel.metrics.labels import Labels, decode_labels
from claude_hooks_otel.report.ranges import Range, nanoseconds
from claude_hooks_otel.series.aggregates import BUCKET, Aggregate, buckets

# Days that stay in memory, of all ranges and time zones.
DAYS_KEPT: Final = 4000

_BOUNDS: Final = "SELECT MIN(bucket), MAX(bucket) FROM aggregate"
# Each addition raises the count of its half hour, so an equal stamp means equal sums.
_STAMP: Final = "SELECT COUNT(*), SUM(count) FROM aggregate WHERE bucket >= ? AND bucket < ?"
_SUMS: Final = """
SELECT metric, labels, SUM(value), SUM(count) FROM aggregate WHERE bucket >= ? AND bucket < ? GROUP BY metric, labels
"""

_decode = functools.lru_cache(maxsize=50_000)(decode_labels)

Stamp = tuple[int, int | None]


@dataclass(slots=True)
class DailySums:
    """The sums of one store by day, for any range. Several threads can use it."""

    _days: OrderedDict[tuple[int, int], tuple[Stamp, Hashable, list[Aggregate]]] = field(default_factory=OrderedDict)
    _reading: Lock = field(default_factory=Lock)

    def read(self, connection: sqlite3.Connection, within: Range, version: Hashable = None) -> list[Aggregate]:
        """Return what ``read_aggregates`` yields for a range, added up by day of its zone.

        Each sum has the time at which its day begins, or the range, if that is later.

        Args:
            connection: the store, opened for reading.
            within: the range.
            version: what changes whenever the store does; None if that is unknown. Then each day is checked.

        Raises:
            sqlite3.Error: the store cannot be read.
        """
        found: list[Aggregate] = []
        for first, behind in _days(connection, within):
            with self._reading:  # what another thread reads already is awaited
                found += self._day(connection, first, behind, version)
        return found

    def _day(self, connection: sqlite3.Connection, first: int, behind: int, version: Hashable) -> list[Aggregate]:
        kept = self._days.get((first, behind))
        if kept is not None and version is not None and kept[1] == version:
            return kept[2]
        stamp = connection.execute(_STAMP, (first, behind)).fetchone()
        if kept is not None and kept[0] == stamp:
            kept = stamp, version, kept[2]
        else:
            sums = [
                Aggregate(first * BUCKET, metric, _decode(labels), value, count)
                for metric, labels, value, count in connection.execute(_SUMS, (first, behind))
            ]
            kept = stamp, version, sums
        self._days[first, behind] = kept
        self._days.move_to_end((first, behind))
        while len(self._days) > DAYS_KEPT:
            self._days.popitem(last=False)
        return kept[2]


def _days(connection: sqlite3.Connection, within: Range) -> Iterator[tuple[int, int]]:
    """Yield the first half hour of each day of a range that has sums, and the one behind its last."""
    oldest, newest = connection.execute(_BOUNDS).fetchone()
    if oldest is None:
        return
    first, end = buckets(within.since_ns, within.until_ns)
    first, end = max(first, oldest), min(end, newest + 1)
    while first < end:
        today = within.local(first * BUCKET).replace(hour=0, minute=0, second=0, microsecond=0)
        # Noon is in the next day also where a day has 23 or 25 hours.
        tomorrow = (today + timedelta(days=1, hours=12)).replace(hour=0)
        behind = min(max(-(-nanoseconds(tomorrow) // BUCKET), first + 1), end)
        yield first, behind
        first = behind


def add_up(aggregates: Iterable[Aggregate]) -> list[Aggregate]:
    """Return the sums of a range without their times: one for each metric and its labels, with the earliest time."""
    sums: dict[tuple[str, Labels], list[int]] = {}
    for each in aggregates:
        found = sums.get((each.metric, each.labels))
        if found is None:
            sums[each.metric, each.labels] = [each.begin_ns, each.value, each.count]
        else:
            found[1] += each.value
            found[2] += each.count
    return [Aggregate(at_ns, metric, labels, value, count) for (metric, labels), (at_ns, value, count) in sums.items()]
