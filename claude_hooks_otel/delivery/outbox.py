"""The outbox, in which spans and log events wait until their endpoint has accepted them: one row for each item and exporter.

A row is deleted after its endpoint's answer. If the daemon dies between the answer and the deletion, the item is sent again, under
the same id. Refused rows are set aside, so that they do not delay the others. They are tried in smaller and smaller batches, until each
bad row is a batch of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from claude_hooks_otel.traces.codec import encode
from claude_hooks_otel.traces.model import LOGS, TRACES, Item

# How many rows a batch may hold, by how often its rows were refused.
BATCH_SIZES = (512, 64, 8, 1)
# Bytes of a batch in the table. A batch is smaller on the wire, where a gRPC receiver takes 4 MiB.
BATCH_BYTES = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A waiting item: its row number, its text, the text's size, and how often a batch with it was refused."""

    seq: int
    body: str
    bytes: int
    refusals: int


class Outbox:
    """Writes into the outbox of one store. The caller of ``put`` and ``leave_out`` holds the transaction.

    Args:
        connection: the store's connection.
        now_ns: the clock, in Unix nanoseconds.
        wanted: signal → the names of the exporters that want its items.

    Attributes:
        written: how many rows were written since the start. If it changes, there is something to deliver.
    """

    def __init__(
        self, connection: sqlite3.Connection, now_ns: Callable[[], int], wanted: Mapping[str, Collection[str]]
    ) -> None:
        self._connection = connection
        self._now_ns = now_ns
        self._wanted = {signal: set(exporters) for signal, exporters in wanted.items()}
        self.written = 0

    def wants(self, signal: str) -> bool:
        """Return whether any exporter wants the items of a signal."""
        return bool(self._wanted.get(signal))

    def wants_for(self, signal: str, exporter: str) -> bool:
        """Return whether an exporter wants the items of a signal."""
        return exporter in self._wanted.get(signal, ())

    def put(self, signal: str, items: Sequence[Item]) -> None:
        """Write a row for each item and each exporter that wants it."""
        bodies = [encode(item) for item in items]
        for exporter in self._wanted.get(signal, ()):
            self._connection.executemany(
                "INSERT INTO outbox (exporter, signal, body, bytes, queued_ns, refusals) VALUES (?, ?, ?, ?, ?, 0)",
                ((exporter, signal, body, len(body.encode()), self._now_ns()) for body in bodies),
            )
            self.written += len(bodies)

    def leave_out(self, signal: str, exporter: str) -> None:
        """Write nothing more for an exporter whose endpoint does not take a signal, and delete what waits for it."""
        self._wanted[signal].discard(exporter)
        discard(self._connection, signal, exporter)


# -- delivering ----------------------------------------------------------------------------------------------------------------


def read_batch(connection: sqlite3.Connection, signal: str, exporter: str, refusals: int, most: int) -> list[Row]:
    """Return the oldest rows with this number of refusals: up to ``most`` rows and BATCH_BYTES, but at least one row."""
    rows: list[Row] = []
    size = 0
    for found in connection.execute(
        "SELECT seq, body, bytes, refusals FROM outbox WHERE exporter = ? AND signal = ? AND refusals = ? "
        "ORDER BY seq LIMIT ?",
        (exporter, signal, refusals, most),
    ):
        row = Row(*found)
        size += row.bytes
        if rows and size > BATCH_BYTES:
            break
        rows.append(row)
    return rows


def read_another(connection: sqlite3.Connection, signal: str, exporter: str, rows: Collection[Row]) -> Row | None:
    """Return a row that is not in ``rows``: the newest of those with the fewest refusals. None if no other row waits."""
    known = {row.seq for row in rows}
    newest = connection.execute(
        "SELECT seq FROM outbox WHERE exporter = ? AND signal = ? ORDER BY refusals, seq DESC LIMIT ?",
        (exporter, signal, len(known) + 1),
    )
    other = next((seq for (seq,) in newest if seq not in known), None)
    found = connection.execute("SELECT seq, body, bytes, refusals FROM outbox WHERE seq = ?", (other,)).fetchone()
    return None if found is None else Row(*found)


def remove(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Delete rows that were accepted or given up."""
    connection.executemany("DELETE FROM outbox WHERE seq = ?", ((row.seq,) for row in rows))


def set_aside(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Mark rows as refused once more."""
    connection.executemany("UPDATE outbox SET refusals = refusals + 1 WHERE seq = ?", ((r.seq,) for r in rows))


def count_dropped(connection: sqlite3.Connection, signal: str, reason: str, items: int) -> None:
    """Count items that were given up. The loop moves the counts into the series (``take_dropped``)."""
    if items:
        connection.execute(
            "INSERT INTO dropped_item VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET items = items + excluded.items",
            (signal, reason, items),
        )


def has_dropped(connection: sqlite3.Connection) -> bool:
    """Return whether ``take_dropped`` would return something."""
    return connection.execute("SELECT 1 FROM dropped_item LIMIT 1").fetchone() is not None


def take_dropped(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """Return signal, reason and number of the items that were given up since the last call, and delete these counts."""
    return connection.execute("DELETE FROM dropped_item RETURNING signal, reason, items").fetchall()


# -- limits --------------------------------------------------------------------------------------------------------------------


def depth(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many items of each signal wait."""
    return dict(connection.execute("SELECT signal, COUNT(*) FROM outbox GROUP BY signal"))


def trim(connection: sqlite3.Connection, most_bytes: int, oldest_ns: int) -> None:
    """Give up what was written before ``oldest_ns``, then the oldest rows until ``most_bytes`` are left. Count both."""
    rows = connection.execute(
        "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox INDEXED BY outbox_by_exporter "
        "WHERE queued_ns < ?) RETURNING signal",
        (oldest_ns,),
    ).fetchall()
    _count(connection, rows, "expired")
    (size,) = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM outbox").fetchone()
    if size <= most_bytes:
        return
    rows = connection.execute(
        "DELETE FROM outbox WHERE seq IN (SELECT seq FROM (SELECT seq, SUM(bytes) OVER (ORDER BY seq DESC) AS kept "
        "FROM outbox) WHERE kept > ?) RETURNING signal",
        (most_bytes,),
    ).fetchall()
    _count(connection, rows, "outbox_full")


def discard(connection: sqlite3.Connection, signal: str, exporter: str) -> None:
    """Delete everything that waits for an exporter."""
    connection.execute("DELETE FROM outbox WHERE signal = ? AND exporter = ?", (signal, exporter))


def _count(connection: sqlite3.Connection, rows: list[tuple[str]], reason: str) -> None:
    for signal in (TRACES, LOGS):
        count_dropped(connection, signal, reason, rows.count((signal,)))
