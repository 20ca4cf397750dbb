"""Counts events, fields and lines that the models do not know. A newer client may send them.

At most MOST_NAMES names are kept, so that a payload with thousands of invented fields fills no store.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Final

MOST_NAMES: Final = 1000
# The name under which everything else counts.
OTHERS: Final = "others"

SCHEMA: Final = "CREATE TABLE IF NOT EXISTS drift (kind TEXT, name TEXT, seen INTEGER, last_ns INTEGER, PRIMARY KEY (kind, name)) WITHOUT ROWID"


class Unknowns:
    """The counts of one store. It is a participant of the store's transactions.

    Args:
        connection: the store's connection.
        now_ns: the clock, in Unix nanoseconds.
    """

    def __init__(self, connection: sqlite3.Connection, now_ns: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ns = now_ns
        self._seen: list[tuple[str, str]] = []

    def count(self, kind: str, name: str) -> None:
        """Count one occurrence of something unknown.

        Args:
            kind: ``event``, ``field`` or ``transcript``.
            name: its name.
        """
        self._seen.append((kind, name))

    def mark(self) -> int:
        """Return how many were counted, for ``rewind``."""
        return len(self._seen)

    def rewind(self, mark: int) -> None:
        """Forget what was counted since the mark."""
        del self._seen[mark:]

    def discard(self) -> None:
        """Forget what was counted, after a failed transaction."""
        self._seen.clear()

    def flush(self) -> None:
        """Write the counts, inside the caller's transaction."""
        if not self._seen:
            return
        now = self._now_ns()
        update = "UPDATE drift SET seen = seen + ?, last_ns = ? WHERE kind = ? AND name = ?"
        (names,) = self._connection.execute("SELECT COUNT(*) FROM drift").fetchone()
        for (kind, name), seen in Counter(self._seen).items():
            for known in (name, OTHERS) if names >= MOST_NAMES else (name,):
                if self._connection.execute(update, (seen, now, kind, known)).rowcount:
                    break
            else:
                added = OTHERS if names >= MOST_NAMES else name
                self._connection.execute("INSERT INTO drift VALUES (?, ?, ?, ?)", (kind, added, seen, now))
                names += 1
        self._seen.clear()
