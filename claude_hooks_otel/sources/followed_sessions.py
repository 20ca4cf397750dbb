"""The followed sessions: when something of each last arrived, when it was last looked at, and which are next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from claude_hooks_otel.timeline import FOLLOWED_AFTER, LONGEST_LOOK, LOOKS_PER_SILENCE, SHORTEST_LOOK, WORKING_FOR

# How many sessions are in memory. A backlog of some days has tens of thousands, and the daemon has to need little memory.
MOST_IN_MEMORY = 5000
# A session works from the first of these events to the last.
_WORK_BEGINS = frozenset(
    ("UserPromptSubmit", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "SubagentStart", "PreCompact")
)
_WORK_ENDS = frozenset(("Stop", "StopFailure", "SessionEnd"))


class FollowedSessions:
    """The sessions of which more may arrive.

    The table ``followed_session`` holds all of them, so that none is lost when the daemon dies. Some are in memory, with their times.

    Args:
        connection: the store's connection.
        now_ns: the time, in Unix nanoseconds. It counts as the last arrival of sessions that are only in the table.
    """

    def __init__(self, connection: sqlite3.Connection, now_ns: int) -> None:
        self._connection = connection
        self._heard_ns: dict[str, int] = {}  # the session that has been silent longest comes first
        self._looked_ns: dict[str, int] = {}
        self._working: set[str] = set()
        self._now_ns = now_ns
        self._parked = 0  # how many are only in the table
        self._load(now_ns)

    def __len__(self) -> int:
        return len(self._heard_ns) + self._parked

    def hear(self, session_ids: Iterable[str], now_ns: int) -> None:
        """Note that events of these sessions arrived, so that they are next. The caller holds the transaction."""
        for session_id in session_ids:
            new = self._connection.execute("INSERT OR IGNORE INTO followed_session VALUES (?)", (session_id,)).rowcount
            if self._heard_ns.pop(session_id, None) is None and not new:
                self._parked -= 1
            self._heard_ns[session_id] = now_ns
            self._looked_ns.pop(session_id, None)
        while len(self._heard_ns) > MOST_IN_MEMORY:
            parked = next(iter(self._heard_ns))
            del self._heard_ns[parked]
            self._looked_ns.pop(parked, None)
            self._parked += 1

    def note_growth(self, session_id: str, now_ns: int) -> None:
        """Note that the session's transcripts have grown."""
        if session_id in self._heard_ns:
            self._heard_ns[session_id] = now_ns

    def note_event(self, session_id: str, event: str, agent_id: str | None) -> None:
        """Note whether the session works after an event."""
        if event in _WORK_BEGINS:
            self._working.add(session_id)
        elif event in _WORK_ENDS and not agent_id:
            self._working.discard(session_id)

    def working(self, now_ns: int) -> list[str]:
        """Return the sessions that work. One whose client was killed or interrupted does not end; it is left out after WORKING_FOR."""
        self._working = {
            session_id for session_id in self._working if now_ns - self._heard_ns.get(session_id, 0) < WORKING_FOR
        }
        return sorted(self._working)

    def expect(self, session_id: str) -> None:
        """Make the session one of the next ones, however long it was silent."""
        self._looked_ns.pop(session_id, None)

    def next_ones(self, now_ns: int, *, everything: bool = False) -> list[str]:
        """Return the sessions to look at now, or with ``everything`` all of them. They count as looked at.

        A session is looked at again after a quarter of its silence. So a late line is seen late by at most a quarter of its delay, and
        many open sessions cost almost nothing.
        """
        # If the clock was set back, no session would be looked at until it is here again.
        if now_ns < self._now_ns:
            self._heard_ns = dict.fromkeys(self._heard_ns, now_ns)
            self._looked_ns.clear()
        self._now_ns = now_ns
        if self._parked and len(self._heard_ns) < MOST_IN_MEMORY:
            self._load(now_ns)
        found = [session_id for session_id in self._heard_ns if everything or self._is_next(session_id, now_ns)]
        self._looked_ns.update(dict.fromkeys(found, now_ns))
        if everything and self._parked:
            return [session_id for (session_id,) in self._connection.execute("SELECT session_id FROM followed_session")]
        return found

    def heard_ns(self, session_id: str, now_ns: int) -> int:
        """Return when something of the session last arrived, in Unix nanoseconds; ``now_ns`` if it is only in the table."""
        return self._heard_ns.get(session_id, now_ns)

    def is_silent(self, session_id: str, now_ns: int) -> bool:
        """Return whether nothing of the session has arrived for FOLLOWED_AFTER."""
        return now_ns - self.heard_ns(session_id, now_ns) > FOLLOWED_AFTER

    def stop(self, session_id: str) -> None:
        """Stop following the session until something of it arrives. The caller holds the transaction."""
        gone = self._connection.execute("DELETE FROM followed_session WHERE session_id = ?", (session_id,)).rowcount
        if self._heard_ns.pop(session_id, None) is None:
            self._parked -= gone
        self._looked_ns.pop(session_id, None)

    def _load(self, now_ns: int) -> None:
        """Load sessions from the table, as many as fit."""
        self._parked = 0
        for (session_id,) in self._connection.execute("SELECT session_id FROM followed_session"):
            if session_id in self._heard_ns:
                continue
            if len(self._heard_ns) < MOST_IN_MEMORY:
                self._heard_ns[session_id] = now_ns
            else:
                self._parked += 1

    def _is_next(self, session_id: str, now_ns: int) -> bool:
        silence = now_ns - self._heard_ns[session_id]
        every = min(max(silence // LOOKS_PER_SILENCE, SHORTEST_LOOK), LONGEST_LOOK)
        return now_ns - self._looked_ns.get(session_id, 0) >= every
