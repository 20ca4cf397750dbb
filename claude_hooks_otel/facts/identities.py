"""Whose a session is, and since when: a resumed session may belong to another agent."""

from __future__ import annotations

import sqlite3

from claude_hooks_otel.metrics.labels import Identity


class Identities:
    """The identities of one store's sessions. The caller of ``note`` holds the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def note(self, session_id: str, at_ns: int, identity: Identity) -> None:
        """Remember whose the session is from a time on, Unix nanoseconds."""
        if self.at(session_id, at_ns) != identity:
            self._connection.execute(
                "INSERT OR REPLACE INTO identity VALUES (?, ?, ?, ?, ?, ?)",
                (session_id, at_ns, identity.agent, identity.project, identity.team, identity.sprint),
            )

    def at(self, session_id: str, at_ns: int) -> Identity | None:
        """Return whose the session was at a time; before the first known time, whose it was first. None for an unknown session."""
        for condition in ("since_ns <= ? ORDER BY since_ns DESC", "since_ns > ? ORDER BY since_ns"):
            row = self._connection.execute(
                f"SELECT agent, project, team, sprint FROM identity WHERE session_id = ? AND {condition} LIMIT 1",  # noqa: S608
                (session_id, at_ns),
            ).fetchone()
            if row:
                return Identity(*row)
        return None
