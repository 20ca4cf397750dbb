"""The account of every cumulative series: additions gather in memory and are written with the facts that caused them."""

from __future__ import annotations

import bisect
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.series.points import SeriesPoint

Labels = tuple[tuple[str, str], ...]
# Metric, labels, amount in stored units, and when it happened (Unix nanoseconds, None for unknown).
Addition = tuple[Metric, Labels, int, int | None]
# What a series that would exceed the limit counts under, as OpenTelemetry defines it (metrics SDK, "Overflow attribute").
OVERFLOW: Labels = (("otel.metric.overflow", "true"),)


class SeriesBook:
    """The series of one store.

    Args:
        connection: the store's connection; ``flush`` must be called inside the transaction of the facts.
        catalog: every declared metric by its OTLP name.
        limit: how many series a metric may have; further label sets count in its overflow series.
        now_ns: the clock, Unix nanoseconds: a new series begins now.
    """

    def __init__(
        self, connection: sqlite3.Connection, catalog: dict[str, Metric], limit: int, now_ns: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._limit = limit
        self._now_ns = now_ns
        self.changes = (
            0  # how many additions were written since the start: a different number means there is news to export
        )
        # (metric, labels, amount or observation, when it happened), in the order they came.
        self._journal: list[Addition] = []
        # Is shown what is written, in the same transaction: the custom exporters' log.
        self.on_flush: Callable[[Sequence[Addition]], None] | None = None

    def add(self, metric: Metric, labels: Labels, amount: int, at_ns: int | None = None) -> None:
        """Moves a counter up, or adds one observation to a histogram, in stored units; ``at_ns`` is when that happened, if known.

        Raises:
            ValueError: ``amount`` is negative.
        """
        if amount < 0:
            raise ValueError(f"{metric.name} only grows: {amount} cannot be added to it")
        self._journal.append((metric, labels, amount, at_ns))

    def note_gauge(self, metric: Metric, labels: Labels, value: int, at_ns: int) -> None:
        """A gauge was set: no series moves, but there is news to export."""
        self._journal.append((metric, labels, value, at_ns))

    def mark(self) -> int:
        """Where the journal stands, for ``rewind``."""
        return len(self._journal)

    def rewind(self, mark: int) -> None:
        """Forgets what was added since the mark: its step failed."""
        del self._journal[mark:]

    def discard(self) -> None:
        """Forgets what was added since the last flush: its transaction did not happen."""
        self._journal.clear()

    def flush(self) -> None:
        """Writes what was added, inside the caller's transaction."""
        sums: Counter[tuple[Metric, Labels]] = Counter()
        observations: defaultdict[tuple[Metric, Labels], list[int]] = defaultdict(list)
        for metric, labels, amount, _ in self._journal:
            if metric.kind is Kind.HISTOGRAM:
                observations[metric, labels].append(amount)
            elif metric.kind is Kind.COUNTER:
                sums[metric, labels] += amount
        for (metric, labels), amount in sums.items():
            self._move(metric.name, labels, amount)
        for (metric, labels), values in observations.items():
            self._observe(metric, labels, values)
        if self.on_flush and self._journal:
            self.on_flush(self._journal)
        self.changes += len(self._journal)
        self._journal.clear()

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
        """Makes the series, or names the one that takes its place."""
        present = self._connection.execute("SELECT COUNT(*) FROM series WHERE metric = ?", (name,)).fetchone()[0]
        if present >= self._limit - 1:
            labels = OVERFLOW
        self._connection.execute(
            "INSERT OR IGNORE INTO series VALUES (?, ?, ?, 0, ?)",
            (name, encode_labels(labels), self._now_ns(), buckets),
        )
        return labels

    def points(self) -> Iterator[SeriesPoint]:
        """Every series as it stands in the store."""
        yield from read_points(self._connection, self._catalog)


def read_points(connection: sqlite3.Connection, catalog: dict[str, Metric]) -> Iterator[SeriesPoint]:
    """Every series of a store, those that programs declared included; a metric that nobody declares any more is left out."""
    catalog = {**read_declared(connection), **catalog}
    for name, labels, start_ns, value, buckets in connection.execute(
        "SELECT metric, labels, start_ns, value, buckets FROM series ORDER BY metric, labels"
    ):
        if metric := catalog.get(name):
            counts = tuple(json.loads(buckets)) if metric.kind is Kind.HISTOGRAM else ()
            yield SeriesPoint(metric, decode_labels(labels), start_ns, value, counts)


def encode_labels(labels: Labels) -> str:
    """The text under which a series stands in the store."""
    return json.dumps(labels, separators=(",", ":"), ensure_ascii=False)


def decode_labels(text: str) -> Labels:
    """The labels of a series as it stands in the store."""
    return tuple((key, value) for key, value in json.loads(text))
