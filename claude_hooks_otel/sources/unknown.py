"""Counts events, fields and lines that the models do not know. A newer client may send them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

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

    def count(self, kind: str, name: str) -> None:
        """Count one occurrence of something unknown.

        Args:
            kind: ``event``, ``field`` or ``transcript``.
            name: its name.
        """
        self._connection.execute(
            "INSERT INTO drift VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE SET seen = seen + 1, last_ns = excluded.last_ns",
            (kind, name, self._now_ns()),
        )
