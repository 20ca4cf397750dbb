"""Where spans and log events wait until their endpoint has accepted them: a table of the store, a row a record and exporter.

A row is deleted after its endpoint's answer, so that a death between the two sends it once more, under the same id. What is written
into the outbox is remembered by its id, so that nothing is written twice. Rows that an endpoint called bad are set aside: the others
go on, and they are tried in ever smaller batches, until the bad ones stand alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from claude_hooks_otel.store.connection import portions
from claude_hooks_otel.traces.codec import encode
from claude_hooks_otel.traces.model import Record

TRACES, LOGS = "traces", "logs"
# Records that a batch of rows may hold which were refused this often: the last stand alone.
BATCH_SIZES = (512, 64, 8, 1)
# Bytes of a batch, as they stand in the table: on the wire they are fewer, and a gRPC receiver takes 4 MiB.
BATCH_BYTES = 3 * 1024 * 1024
_SIGN = 1 << 63


@dataclass(frozen=True, slots=True)
class Row:
    """One waiting record: its place in the table, its text and size, and how often a batch with it was refused."""

    seq: int
    body: str
    bytes: int
    refusals: int


# -- writing -------------------------------------------------------------------------------------------------------------------


def unwritten(connection: sqlite3.Connection, signal: str, ids: Collection[int]) -> set[int]:
    """Those of the ids that were never written."""
    found: set[int] = set(ids)
    for portion in portions(list(found)):
        marks = ", ".join("?" * len(portion))
        rows = connection.execute(
            f"SELECT id FROM record_written WHERE signal = ? AND id IN ({marks})",  # noqa: S608 -- question marks
            (signal, *map(_signed, portion)),
        )
        found.difference_update([row[0] % (1 << 64) for row in rows])
    return found


def mark_written(connection: sqlite3.Connection, signal: str, ids: Iterable[int], now_ns: int) -> None:
    """Remembers that they are on their way."""
    connection.executemany(
        "INSERT OR IGNORE INTO record_written VALUES (?, ?, ?)", ((signal, _signed(name), now_ns) for name in ids)
    )


def put(connection: sqlite3.Connection, signal: str, exporter: str, records: Iterable[Record], now_ns: int) -> None:
    """Lets the records wait for an exporter."""
    bodies = map(encode, records)
    connection.executemany(
        "INSERT INTO record_outbox (exporter, signal, body, bytes, queued_ns, refusals) VALUES (?, ?, ?, ?, ?, 0)",
        ((exporter, signal, body, len(body.encode()), now_ns) for body in bodies),
    )


# -- delivering ----------------------------------------------------------------------------------------------------------------


def read_batch(connection: sqlite3.Connection, signal: str, exporter: str, refusals: int, most: int) -> list[Row]:
    """The oldest rows that were refused so often, up to ``most`` of them and up to BATCH_BYTES, but one at least."""
    rows: list[Row] = []
    size = 0
    for found in connection.execute(
        "SELECT seq, body, bytes, refusals FROM record_outbox WHERE exporter = ? AND signal = ? AND refusals = ? "
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
    """The newest of the rows that were refused least, beside those given; None where there is no other."""
    known = {row.seq for row in rows}
    newest = connection.execute(
        "SELECT seq FROM record_outbox WHERE exporter = ? AND signal = ? ORDER BY refusals, seq DESC LIMIT ?",
        (exporter, signal, len(known) + 1),
    )
    for (seq,) in newest:
        if seq not in known:
            found = connection.execute(
                "SELECT seq, body, bytes, refusals FROM record_outbox WHERE seq = ?", (seq,)
            ).fetchone()
            return None if found is None else Row(*found)
    return None


def remove(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Forgets rows: they were accepted, or given up."""
    connection.executemany("DELETE FROM record_outbox WHERE seq = ?", ((row.seq,) for row in rows))


def set_aside(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Marks rows as refused once more."""
    connection.executemany("UPDATE record_outbox SET refusals = refusals + 1 WHERE seq = ?", ((r.seq,) for r in rows))


def count_dropped(connection: sqlite3.Connection, signal: str, reason: str, records: int) -> None:
    """Notes that records were given up; the loop moves the notes into the series (``take_dropped``)."""
    if records:
        connection.execute(
            "INSERT INTO record_dropped VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET records = records + excluded.records",
            (signal, reason, records),
        )


def has_dropped(connection: sqlite3.Connection) -> bool:
    """Whether there is something for ``take_dropped``."""
    return connection.execute("SELECT 1 FROM record_dropped LIMIT 1").fetchone() is not None


def take_dropped(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """Signal, reason and number of what was given up since the last time; inside the transaction that counts it."""
    return connection.execute("DELETE FROM record_dropped RETURNING signal, reason, records").fetchall()


# -- bounds --------------------------------------------------------------------------------------------------------------------


def depth(connection: sqlite3.Connection) -> dict[str, int]:
    """Signal → how many records wait."""
    return dict(connection.execute("SELECT signal, COUNT(*) FROM record_outbox GROUP BY signal"))


def trim(connection: sqlite3.Connection, most_bytes: int, oldest_ns: int) -> None:
    """Gives up what has waited since before ``oldest_ns``, and the oldest of what exceeds ``most_bytes``; both are counted."""
    rows = connection.execute(
        "DELETE FROM record_outbox WHERE seq IN (SELECT seq FROM record_outbox INDEXED BY record_outbox_by_exporter "
        "WHERE queued_ns < ?) RETURNING signal",
        (oldest_ns,),
    ).fetchall()
    _count(connection, rows, "expired")
    (size,) = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM record_outbox").fetchone()
    if size <= most_bytes:
        return
    last = 0
    for seq, length in connection.execute("SELECT seq, bytes FROM record_outbox ORDER BY seq"):
        size -= length
        last = seq
        if size <= most_bytes:
            break
    rows = connection.execute("DELETE FROM record_outbox WHERE seq <= ? RETURNING signal", (last,)).fetchall()
    _count(connection, rows, "outbox_full")


def discard(connection: sqlite3.Connection, signal: str, exporter: str) -> int:
    """Forgets all that waits for an exporter; returns how much that was."""
    return connection.execute(
        "DELETE FROM record_outbox WHERE signal = ? AND exporter = ?", (signal, exporter)
    ).rowcount


def _count(connection: sqlite3.Connection, rows: list[tuple[str]], reason: str) -> None:
    for signal in (TRACES, LOGS):
        count_dropped(connection, signal, reason, rows.count((signal,)))


def _signed(name: int) -> int:
    """SQLite's integers have a sign."""
    return name - (1 << 64) if name >= _SIGN else name
