"""The totals of the cumulative series. Additions are collected in memory and written in the transaction of their facts.

A total has 64 bits. What does not fit is left out and counted, so that one absurd number never keeps a session from being counted.
"""

from __future__ import annotations

import bisect
import json
import operator
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import OVERFLOW, Labels, decode_labels, encode_labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.units import LARGEST_INTEGER, storable

# Metric, labels, amount in stored units, and time (Unix nanoseconds; None if it is unknown).
Addition = tuple[Metric, Labels, int, int | None]
# Called with the additions of a transaction, before it ends.
AdditionObserver = Callable[[Sequence[Addition]], None]


class SeriesTotals:
    """The cumulative series of one store. It is a participant of the store's transactions.

    Args:
        connection: the connection of the store.
        known: every metric by its OTLP name.
        limit: the most series of one metric. Further label sets count in its overflow series.
        now_ns: the clock, Unix nanoseconds. It gives the start time of a new series.
        observers: called with the additions of each transaction.

    Attributes:
        changes: how many additions were written since the daemon started. If it changes, there is something to export.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        known: Mapping[str, Metric],
        limit: int,
        now_ns: Callable[[], int],
        observers: Sequence[AdditionObserver] = (),
    ) -> None:
        self._connection = connection
        self._known = known
        self._limit = limit
        self._now_ns = now_ns
        self._observers = observers
        self._additions: list[Addition] = []
        self._series_counts: dict[str, int] = {}
        self.changes = 0

    def add(
        self,
        metric: Metric,
        labels: Labels,
        amount: int,
        at_ns: int | None = None,
        session_id: str | None = None,  # noqa: ARG002 — a series has no session
    ) -> None:
        """Add an amount to a counter, or one observation to a histogram.

        Args:
            metric: the metric.
            labels: the labels of the series.
            amount: the amount or observation, in stored units.
            at_ns: when it happened, Unix nanoseconds; None if that is unknown.
            session_id: the session in which it happened, for other accounts.

        Raises:
            ValueError: ``amount`` is negative.
        """
        if amount < 0:
            raise ValueError(f"{metric.name} only grows: {amount} cannot be added to it")
        self._additions.append((metric, labels, storable(amount), at_ns))

    def note_gauge(self, metric: Metric, labels: Labels, value: int, at_ns: int) -> None:
        """Note that a gauge was set. No total changes, but there is something to export."""
        self._additions.append((metric, labels, value, at_ns))

    def mark(self) -> int:
        """Return the number of collected additions, for ``rewind``."""
        return len(self._additions)

    def rewind(self, mark: int) -> None:
        """Drop the additions since the mark, after a failed step."""
        del self._additions[mark:]

    def discard(self) -> None:
        """Drop all additions, after a failed transaction."""
        self._additions.clear()
        self._series_counts.clear()

    def flush(self) -> None:
        """Write the additions, inside the caller's transaction."""
        sums: Counter[tuple[Metric, Labels]] = Counter()
        observations: defaultdict[tuple[Metric, Labels], list[int]] = defaultdict(list)
        for metric, labels, amount, _ in self._additions:
            if metric.kind is Kind.HISTOGRAM:
                observations[metric, labels].append(amount)
            elif metric.kind is Kind.COUNTER:
                sums[metric, labels] += amount
        full = sum([not self._move(metric.name, labels, amount) for (metric, labels), amount in sums.items()])
        full += sum([not self._observe(metric, labels, values) for (metric, labels), values in observations.items()])
        if full:
            self._move(catalog.HOOK_EVENTS_DROPPED.name, (("reason", "total_full"),), full)
        for observe in self._observers if self._additions else ():
            observe(self._additions)
        self.changes += len(self._additions)
        self._additions.clear()

    def _move(self, name: str, labels: Labels, amount: int) -> bool:
        """Add to a counter. Return whether its total has room for the amount."""
        update = "UPDATE series SET value = value + ? WHERE metric = ? AND labels = ? AND value <= ?"
        text, fits = encode_labels(labels), amount <= LARGEST_INTEGER
        amount = storable(amount)
        room = LARGEST_INTEGER - amount
        if self._connection.execute(update, (amount, name, text, room)).rowcount:
            return fits
        exists = "SELECT 1 FROM series WHERE metric = ? AND labels = ?"
        if not self._connection.execute(exists, (name, text)).fetchone():
            text = self._create(name, labels, "")
            if self._connection.execute(update, (amount, name, text, room)).rowcount:
                return fits
        fill = "UPDATE series SET value = ? WHERE metric = ? AND labels = ?"
        self._connection.execute(fill, (LARGEST_INTEGER, name, text))
        return False

    def _observe(self, metric: Metric, labels: Labels, values: list[int]) -> bool:
        """Add observations to a histogram. Return whether its sum has room for them. Their number counts in any case."""
        select = "SELECT value, buckets FROM series WHERE metric = ? AND labels = ?"
        text = encode_labels(labels)
        row = self._connection.execute(select, (metric.name, text)).fetchone()
        if row is None:
            text = self._create(metric.name, labels, json.dumps([0] * (len(metric.buckets) + 1)))
            row = self._connection.execute(select, (metric.name, text)).fetchone()
        counts = json.loads(row[1])
        for value in values:
            counts[bisect.bisect_left(metric.buckets, value / metric.scale)] += 1
        total = row[0] + sum(values)
        self._connection.execute(
            "UPDATE series SET value = ?, buckets = ? WHERE metric = ? AND labels = ?",
            (storable(total), json.dumps(counts), metric.name, text),
        )
        return bool(total <= LARGEST_INTEGER)

    def _create(self, name: str, labels: Labels, buckets: str) -> str:
        """Create a series, or the overflow series if the metric has too many. Return its encoded labels."""
        present = self._series_counts.get(name)
        if present is None:
            (present,) = self._connection.execute("SELECT COUNT(*) FROM series WHERE metric = ?", (name,)).fetchone()
        text = encode_labels(labels if present < self._limit - 1 else OVERFLOW)
        row = (name, text, self._now_ns(), buckets)
        created = self._connection.execute("INSERT OR IGNORE INTO series VALUES (?, ?, ?, 0, ?)", row).rowcount
        self._series_counts[name] = present + created
        return text

    def points(self) -> Iterator[SeriesPoint]:
        """Yield every series of the store as it is exported: what was added since its start time."""
        return read_exported_points(self._connection, self._known)


def read_points(connection: sqlite3.Connection, known: Mapping[str, Metric]) -> Iterator[SeriesPoint]:
    """Yield every series of a store, with those of declared metrics. Series of unknown metrics are left out."""
    known = {**read_declared(connection), **known}
    for name, labels, start_ns, value, buckets in connection.execute(
        "SELECT metric, labels, start_ns, value, buckets FROM series ORDER BY metric, labels"
    ):
        if metric := known.get(name):
            counts = tuple(json.loads(buckets)) if metric.kind is Kind.HISTOGRAM else ()
            yield SeriesPoint(metric, decode_labels(labels), start_ns, value, counts)


def read_exported_points(connection: sqlite3.Connection, known: Mapping[str, Metric]) -> Iterator[SeriesPoint]:
    """Yield every series as it is exported. It differs from its total only after a renewal (``series.renewal``)."""
    before: dict[tuple[str, Labels], tuple[int, list[int]]] = {}
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'before_start'").fetchone():
        for name, labels, value, buckets in connection.execute(
            "SELECT metric, labels, value, buckets FROM before_start"
        ):
            before[name, decode_labels(labels)] = value, json.loads(buckets or "[]")
    for point in read_points(connection, known):
        value, buckets = before.get((point.metric.name, point.labels), (0, []))
        if value or any(buckets):
            counts = tuple(map(operator.sub, point.bucket_counts, buckets))
            point = replace(point, value=point.value - value, bucket_counts=counts)  # noqa: PLW2901
        yield point
