"""The ids of written spans and log events, so that none is written twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

_SIGN = 1 << 63


def mark_written(connection: sqlite3.Connection, signal: str, ids: Iterable[int], now_ns: int) -> set[int]:
    """Mark spans or log events as written. The caller holds the transaction.

    Args:
        connection: the store's connection.
        signal: traces or logs.
        ids: the ids of the spans or log events.
        now_ns: the time, in Unix nanoseconds.

    Returns:
        The ids that were not marked before.
    """
    rows = connection.execute(
        "INSERT OR IGNORE INTO written_item SELECT ?, value, ? FROM json_each(?) RETURNING id",
        (signal, now_ns, json.dumps([_signed(item_id) for item_id in ids])),
    )
    return {stored % (1 << 64) for (stored,) in rows.fetchall()}


def _signed(item_id: int) -> int:
    """Return the id as a signed integer, as SQLite stores it."""
    return item_id - (1 << 64) if item_id >= _SIGN else item_id
