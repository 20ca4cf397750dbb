"""The totals of every cumulative series. Additions gather in memory and are written with the facts that caused them."""

from __future__ import annotations

import bisect
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import OVERFLOW, Labels, decode_labels, encode_labels
from claude_hooks_otel.series.points import SeriesPoint

# Metric, labels, amount in stored units, and when it happened (Unix nanoseconds; None if that is unknown).
Addition = tuple[Metric, Labels, int, int | None]
# Called with the additions of a transaction, inside it.
AdditionObserver = Callable[[Sequence[Addition]], None]


class SeriesTotals:
    """The cumulative series of one store. A participant of its transactions.

    Args:
        connection: the store's.
        known: every metric by its OTLP name.
        limit: how many series a metric may have. Further label sets count in its overflow series.
        now_ns: the clock, Unix nanoseconds. A new series starts now.
        observers: called with what is written.

    Attributes:
        changes: how many additions were written since the start. A different number means that there is something to export.
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

    def add(self, metric: Metric, labels: Labels, amount: int, at_ns: int | None = None) -> None:
        """Add to a counter, or add one observation to a histogram, in stored units. ``at_ns`` is when that happened, if known.

        Raises:
            ValueError: ``amount`` is negative.
        """
        if amount < 0:
            raise ValueError(f"{metric.name} only grows: {amount} cannot be added to it")
        self._additions.append((metric, labels, amount, at_ns))

    def note_gauge(self, metric: Metric, labels: Labels, value: int, at_ns: int) -> None:
        """Note that a gauge was set: no total moves, but there is something to export."""
        self._additions.append((metric, labels, value, at_ns))

    def mark(self) -> int:
        """Return how many additions have gathered, for ``rewind``."""
        return len(self._additions)

    def rewind(self, mark: int) -> None:
        """Forget what was added since the mark: its step failed."""
        del self._additions[mark:]

    def discard(self) -> None:
        """Forget what was added since the last flush: its transaction did not happen."""
        self._additions.clear()
        self._series_counts.clear()

    def flush(self) -> None:
        """Write what was added, inside the caller's transaction."""
        sums: Counter[tuple[Metric, Labels]] = Counter()
        observations: defaultdict[tuple[Metric, Labels], list[int]] = defaultdict(list)
        for metric, labels, amount, _ in self._additions:
            if metric.kind is Kind.HISTOGRAM:
                observations[metric, labels].append(amount)
            elif metric.kind is Kind.COUNTER:
                sums[metric, labels] += amount
        for (metric, labels), amount in sums.items():
            self._move(metric.name, labels, amount)
        for (metric, labels), values in observations.items():
            self._observe(metric, labels, values)
        for observe in self._observers if self._additions else ():
            observe(self._additions)
        self.changes += len(self._additions)
        self._additions.clear()

    def _move(self, name: str, labels: Labels, amount: int) -> None:
        if not self._connection.execute(
            "UPDATE series SET value = value + ? WHERE metric = ? AND labels = ?", (amount, name, encode_labels(labels))
        ).rowcount:
            labels = self._admit(name, labels, "")
            self._connection.execute(
                "UPDATE series SET value = value + ? WHERE metric = ? AND labels = ?",
                (amount, name, encode_labels(labels)),
            )

    def _observe(self, metric: Metric, labels: Labels, values: list[int]) -> None:
        select = "SELECT value, buckets FROM series WHERE metric = ? AND labels = ?"
        row = self._connection.execute(select, (metric.name, encode_labels(labels))).fetchone()
        if row is None:
            labels = self._admit(metric.name, labels, json.dumps([0] * (len(metric.buckets) + 1)))
            row = self._connection.execute(select, (metric.name, encode_labels(labels))).fetchone()
        counts = json.loads(row[1])
        for value in values:
            counts[bisect.bisect_left(metric.buckets, value / metric.scale)] += 1
        self._connection.execute(
            "UPDATE series SET value = ?, buckets = ? WHERE metric = ? AND labels = ?",
            (row[0] + sum(values), json.dumps(counts), metric.name, encode_labels(labels)),
        )

    def _admit(self, name: str, labels: Labels, buckets: str) -> Labels:
        """Create the series, or return the labels of the overflow series that counts for it."""
        present = self._series_counts.get(name)
        if present is None:
            present = self._connection.execute("SELECT COUNT(*) FROM series WHERE metric = ?", (name,)).fetchone()[0]
        if present >= self._limit - 1:
            labels = OVERFLOW
        created = self._connection.execute(
            "INSERT OR IGNORE INTO series VALUES (?, ?, ?, 0, ?)",
            (name, encode_labels(labels), self._now_ns(), buckets),
        ).rowcount
        self._series_counts[name] = present + created
        return labels

    def points(self) -> Iterator[SeriesPoint]:
        """Return every series as it stands in the store."""
        yield from read_points(self._connection, self._known)


def read_points(connection: sqlite3.Connection, known: Mapping[str, Metric]) -> Iterator[SeriesPoint]:
    """Return every series of a store, those of declared metrics included. A metric that is no longer known is left out."""
    known = {**read_declared(connection), **known}
    for name, labels, start_ns, value, buckets in connection.execute(
        "SELECT metric, labels, start_ns, value, buckets FROM series ORDER BY metric, labels"
    ):
        if metric := known.get(name):
            counts = tuple(json.loads(buckets)) if metric.kind is Kind.HISTOGRAM else ()
            yield SeriesPoint(metric, decode_labels(labels), start_ns, value, counts)
