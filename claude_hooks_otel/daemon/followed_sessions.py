"""Which sessions are watched: when each was last heard of, when it was last looked at, whose turn it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from claude_hooks_otel.units import SECOND

# A session's transcripts are looked at anew after a part of the time in which nothing of it arrived, within bounds: what is busy is
# looked at often, and what comes in late is seen late by that part of its delay at most.
SHORTEST_POLL_NS, LONGEST_POLL_NS, PART_OF_SILENCE = SECOND // 4, 10 * SECOND, 4
# From when on a session is quiet.
QUIET_NS = 3 * SECOND
# Sessions in memory. A backlog of days is tens of thousands of them, and the daemon's memory is a promise.
MOST_IN_MEMORY = 5000


class Watches:
    """The sessions that something may still be coming in of.

    The store's table ``watch`` has them all, so that none is forgotten when the daemon dies; memory has some, and its times.

    Args:
        connection: the store's.
        now_ns: the time: what is in the table counts as heard of now.
    """

    def __init__(self, connection: sqlite3.Connection, now_ns: int) -> None:
        self._connection = connection
        self._heard_ns: dict[str, int] = {}  # the longest silent first
        self._looked_ns: dict[str, int] = {}
        self._parked = 0  # how many are in the table alone
        self._load(now_ns)

    def __len__(self) -> int:
        return len(self._heard_ns) + self._parked

    def hear(self, session_ids: Iterable[str], now_ns: int) -> None:
        """Something of these sessions arrived: they are looked at next time. Inside the transaction that takes it in."""
        for session_id in session_ids:
            new = self._connection.execute("INSERT OR IGNORE INTO watch VALUES (?)", (session_id,)).rowcount
            if self._heard_ns.pop(session_id, None) is None and not new:
                self._parked -= 1
            self._heard_ns[session_id] = now_ns
            self._looked_ns.pop(session_id, None)
        while len(self._heard_ns) > MOST_IN_MEMORY:
            parked = next(iter(self._heard_ns))
            del self._heard_ns[parked]
            self._looked_ns.pop(parked, None)
            self._parked += 1

    def read_more(self, session_id: str, now_ns: int) -> None:
        """Its transcripts have grown."""
        if session_id in self._heard_ns:
            self._heard_ns[session_id] = now_ns

    def due(self, now_ns: int, *, everything: bool = False) -> list[str]:
        """The sessions whose turn it is, or all there are; each counts as looked at."""
        if self._parked and len(self._heard_ns) < MOST_IN_MEMORY:
            self._load(now_ns)
        found = [session_id for session_id in self._heard_ns if everything or self._is_due(session_id, now_ns)]
        self._looked_ns.update(dict.fromkeys(found, now_ns))
        if everything and self._parked:
            return [session_id for (session_id,) in self._connection.execute("SELECT session_id FROM watch")]
        return found

    def heard_ns(self, session_id: str, now_ns: int) -> int:
        """When something of it last arrived here, Unix nanoseconds; now, if it is in the table alone."""
        return self._heard_ns.get(session_id, now_ns)

    def is_quiet(self, session_id: str, now_ns: int) -> bool:
        """Whether nothing of it has arrived for a while."""
        return now_ns - self.heard_ns(session_id, now_ns) > QUIET_NS

    def forget(self, session_id: str) -> None:
        """Stops watching it, until something of it arrives. Inside a transaction."""
        gone = self._connection.execute("DELETE FROM watch WHERE session_id = ?", (session_id,)).rowcount
        if self._heard_ns.pop(session_id, None) is None:
            self._parked -= gone
        self._looked_ns.pop(session_id, None)

    def _load(self, now_ns: int) -> None:
        """Fills the memory from the table."""
        self._parked = 0
        for (session_id,) in self._connection.execute("SELECT session_id FROM watch"):
            if session_id in self._heard_ns:
                continue
            if len(self._heard_ns) < MOST_IN_MEMORY:
                self._heard_ns[session_id] = now_ns
            else:
                self._parked += 1

    def _is_due(self, session_id: str, now_ns: int) -> bool:
        quiet = now_ns - self._heard_ns[session_id]
        every = min(max(quiet // PART_OF_SILENCE, SHORTEST_POLL_NS), LONGEST_POLL_NS)
        return now_ns - self._looked_ns.get(session_id, 0) >= every
