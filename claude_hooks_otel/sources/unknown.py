"""Counts events, fields and lines that the models do not know. A newer client may send them.

At most MOST_NAMES names are kept, so that a payload with thousands of invented fields fills no store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

MOST_NAMES: Final = 1000
# The name under which everything else counts.
OTHERS: Final = "others"

SCHEMA: Final = "CREATE TABLE IF NOT EXISTS drift (kind TEXT, name TEXT, seen INTEGER, last_ns INTEGER, PRIMARY KEY (kind, name)) WITHOUT ROWID"


class Unknowns:
    """The counts of one store. The caller holds the transaction.

    Args:
        connection: the store's connection.
        now_ns: the clock, in Unix nanoseconds.
    """

    def __init__(self, connection: sqlite3.Connection, now_ns: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ns = now_ns
        self._names: int | None = None

    def count(self, kind: str, name: str) -> None:
        """Count one occurrence of something unknown.

        Args:
            kind: ``event``, ``field`` or ``transcript``.
            name: its name.
        """
        now = self._now_ns()
        update = "UPDATE drift SET seen = seen + 1, last_ns = ? WHERE kind = ? AND name = ?"
        if self._connection.execute(update, (now, kind, name)).rowcount:
            return
        if self._names is None or self._names >= MOST_NAMES:
            (self._names,) = self._connection.execute("SELECT COUNT(*) FROM drift").fetchone()
        if self._names >= MOST_NAMES:
            name = OTHERS
            if self._connection.execute(update, (now, kind, name)).rowcount:
                return
        self._names = (self._names or 0) + 1
        self._connection.execute("INSERT INTO drift VALUES (?, ?, 1, ?)", (kind, name, now))
