"""What happened in each half hour, by metric and labels. A report over any range reads these sums.

They are written in the transaction of the facts that they count, and they stay when the facts are deleted. A half hour, and not an hour,
because the days of some time zones begin at half past.

A sum knows whether the daemon counted it, which also exported it, or an import. Imported sums are in numbered parts. A part is closed when
it is sent somewhere, and what is imported later is in the next one. So what was sent never changes.
"""

from __future__ import annotations

import bisect
import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Labels, decode_labels, encode_labels
from claude_hooks_otel.store.connection import read_meta, write_meta
from claude_hooks_otel.units import LARGEST_INTEGER, MINUTE, storable

# The length of a bucket of time, nanoseconds.
BUCKET: Final = 30 * MINUTE

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS aggregate (
    bucket INTEGER, metric TEXT, labels TEXT, part INTEGER, step INTEGER, value INTEGER, count INTEGER,
    PRIMARY KEY (bucket, metric, labels, part, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session_aggregate (
    session_id TEXT, bucket INTEGER, metric TEXT, labels TEXT, value INTEGER, count INTEGER,
    PRIMARY KEY (session_id, bucket, metric, labels)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_aggregate_by_time ON session_aggregate (bucket)
"""

# The part of what the daemon has counted. Imported parts are numbered from 1.
LIVE: Final = 0
_OPEN_PART: Final = "history_part"

_SUM: Final = f"""
    ON CONFLICT DO UPDATE SET count = count + excluded.count,
    value = CASE WHEN value > {LARGEST_INTEGER} - excluded.value THEN {LARGEST_INTEGER} ELSE value + excluded.value END
"""
_ADD: Final = (
    f"INSERT INTO aggregate (bucket, metric, labels, part, step, value, count) VALUES (?, ?, ?, ?, ?, ?, ?) {_SUM}"  # noqa: S608 — a number of ours
)
_ADD_TO_SESSION: Final = f"INSERT INTO session_aggregate VALUES (?, ?, ?, ?, ?, ?) {_SUM}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A sum over one half hour. A histogram has one for each of its buckets with an observation.

    Attributes:
        begin_ns: when the half hour begins, Unix nanoseconds.
        metric: the OTLP name.
        labels: as a series has them.
        value: the sum of what was added, in stored units.
        count: how many observations of a histogram; of a counter, how many additions.
        session_id: the session of which it is the sum; empty for the sum of all sessions, or of what belongs to none.
    """

    begin_ns: int
    metric: str
    labels: Labels
    value: int
    count: int
    session_id: str = ""


class Aggregates:
    """Adds up by half hour. It is an account like ``SeriesTotals``, and a participant of the store's transactions.

    Args:
        connection: the store's connection.
        now_ns: the clock, Unix nanoseconds. It gives the time of an addition that has none.
        is_live: whether the daemon counts, and not an import.

    Attributes:
        moments: the time of a session's additions that have none, instead of the clock's: session id → Unix nanoseconds.
    """

    def __init__(self, connection: sqlite3.Connection, now_ns: Callable[[], int], *, is_live: bool = True) -> None:
        self._connection = connection
        self._now_ns = now_ns
        self._is_live = is_live
        self.moments: dict[str, int] = {}
        self._additions: list[tuple[str, int, Metric, Labels, int]] = []

    def add(
        self, metric: Metric, labels: Labels, amount: int, at_ns: int | None = None, session_id: str | None = None
    ) -> None:
        """Add an amount to a counter, or one observation to a histogram. The arguments are those of ``SeriesTotals.add``."""
        if metric.kind is not Kind.GAUGE:
            if at_ns is None:
                at_ns = self.moments.get(session_id or "") or self._now_ns()
            self._additions.append((session_id or "", at_ns // BUCKET, metric, labels, storable(amount)))

    @contextlib.contextmanager
    def counting_live(self) -> Iterator[None]:
        """In the block, an import writes what the daemon has counted."""
        before, self._is_live = self._is_live, True
        try:
            yield
        finally:
            self._is_live = before

    def mark(self) -> int:
        """Return the number of collected additions, for ``rewind``."""
        return len(self._additions)

    def rewind(self, mark: int) -> None:
        """Drop the additions since the mark, after a failed step."""
        del self._additions[mark:]

    def discard(self) -> None:
        """Drop all additions, after a failed transaction."""
        self._additions.clear()

    def flush(self) -> None:
        """Write the additions, inside the caller's transaction."""
        if not self._additions:
            return
        by_session: defaultdict[tuple[str, int, Metric, Labels, int], list[int]] = defaultdict(lambda: [0, 0])
        for session_id, bucket, metric, labels, amount in self._additions:
            step = bisect.bisect_left(metric.buckets, amount / metric.scale) if metric.buckets else 0
            both = by_session[session_id, bucket, metric, labels, step]
            both[0] += amount
            both[1] += 1
        sums: defaultdict[tuple[int, str, str, int], list[int]] = defaultdict(lambda: [0, 0])
        rows = []
        for (session_id, bucket, metric, labels, step), (value, count) in by_session.items():
            text = encode_labels(labels)
            both = sums[bucket, metric.name, text, step]
            both[0] += value
            both[1] += count
            if session_id:
                rows.append((session_id, bucket, metric.name, text, storable(value), count))
        self._connection.executemany(_ADD_TO_SESSION, rows)
        part = LIVE if self._is_live else open_part(self._connection)
        self._connection.executemany(
            _ADD,
            [
                (bucket, name, text, part, step, storable(value), count)
                for (bucket, name, text, step), (value, count) in sums.items()
            ],
        )
        self._additions.clear()


# Looks each bucket up by itself: a search in the primary key, which does not touch the other metrics. The two sums cannot overflow.
_SUM_METRIC: Final = """
    WITH RECURSIVE slot (bucket) AS (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT bucket + 1 FROM slot WHERE bucket + 1 < ?2)
    SELECT labels, SUM(value / 1000000), SUM(value % 1000000) FROM slot CROSS JOIN aggregate USING (bucket) WHERE metric = ?3 GROUP BY labels
"""


def read_sums(connection: sqlite3.Connection, metric: Metric, since_ns: int, until_ns: int) -> dict[Labels, int]:
    """Return the sum of a metric over the half hours that begin in a range, by labels, in stored units.

    For a range of some weeks it is much faster than ``read_aggregates``. The range must be finite.
    """
    first, behind = buckets(since_ns, until_ns)
    rows = connection.execute(_SUM_METRIC, (first, behind, metric.name))
    return {decode_labels(text): millions * 1_000_000 + rest for text, millions, rest in rows}


def open_part(connection: sqlite3.Connection) -> int:
    """Return the number of the part that imports write to."""
    return int(read_meta(connection, _OPEN_PART) or LIVE + 1)


def close_part(connection: sqlite3.Connection) -> int:
    """Close the open part, inside the caller's transaction, and return its number. Its sums never change again."""
    part = open_part(connection)
    write_meta(connection, _OPEN_PART, str(part + 1))
    return part


def buckets(since_ns: int, until_ns: int) -> tuple[int, int]:
    """Return the first half hour that begins in a range, and the one behind the last. They are numbered since the epoch."""
    return -(-since_ns // BUCKET), -(-until_ns // BUCKET)


def read_aggregates(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> Iterator[Aggregate]:
    """Yield the sums of the half hours that begin in a range, from ``since_ns`` to before ``until_ns``, Unix nanoseconds."""
    rows = connection.execute(
        "SELECT bucket, metric, labels, value, count FROM aggregate WHERE bucket >= ? AND bucket < ?",
        buckets(since_ns, until_ns),
    )
    for bucket, metric, labels, value, count in rows:
        yield Aggregate(bucket * BUCKET, metric, decode_labels(labels), value, count)


def read_session_aggregates(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> Iterator[Aggregate]:
    """Yield the sums of a range for each session, and what is left of the whole: it belongs to no session, or to deleted ones.

    The arguments are those of ``read_aggregates``.
    """
    first, behind = buckets(since_ns, until_ns)
    rest: dict[tuple[int, str, Labels], Aggregate] = {}
    for each in read_aggregates(connection, since_ns, until_ns):
        key = (each.begin_ns, each.metric, each.labels)
        known = rest.get(key)
        rest[key] = _added(known, each.value, each.count) if known else each
    rows = connection.execute(
        "SELECT session_id, bucket, metric, labels, value, count FROM session_aggregate WHERE bucket >= ? AND bucket < ?",
        (first, behind),
    )
    for session_id, bucket, metric, text, value, count in rows:
        labels = decode_labels(text)
        yield Aggregate(bucket * BUCKET, metric, labels, value, count, session_id)
        if whole := rest.get((bucket * BUCKET, metric, labels)):
            rest[whole.begin_ns, metric, labels] = _added(whole, -value, -count)
    yield from (each for each in rest.values() if each.value or each.count)


def _added(known: Aggregate, value: int, count: int) -> Aggregate:
    return replace(known, value=known.value + value, count=known.count + count)
