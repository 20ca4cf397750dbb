"""The ids of the spans and log events that were written, so that none is written twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable

from claude_hooks_otel.store.connection import portions

_SIGN = 1 << 63


def unwritten(connection: sqlite3.Connection, signal: str, ids: Collection[int]) -> set[int]:
    """Return those of the ids that were never written."""
    found: set[int] = set(ids)
    for portion in portions(list(found)):
        marks = ", ".join("?" * len(portion))
        rows = connection.execute(
            f"SELECT id FROM written_item WHERE signal = ? AND id IN ({marks})",  # noqa: S608 -- question marks
            (signal, *map(_signed, portion)),
        )
        found.difference_update([row[0] % (1 << 64) for row in rows])
    return found


def mark_written(connection: sqlite3.Connection, signal: str, ids: Iterable[int], now_ns: int) -> None:
    """Remember that these are written. The caller holds the transaction."""
    connection.executemany(
        "INSERT OR IGNORE INTO written_item VALUES (?, ?, ?)", ((signal, _signed(item_id), now_ns) for item_id in ids)
    )


def _signed(item_id: int) -> int:
    """Return the id as an integer of SQLite, which has a sign."""
    return item_id - (1 << 64) if item_id >= _SIGN else item_id
