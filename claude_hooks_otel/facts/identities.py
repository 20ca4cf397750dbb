"""The identity of a session over time. A resumed session may belong to another agent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from claude_hooks_otel.metrics.labels import Identity


class IdentityResolver(Protocol):
    """Finds out for whom an event or a program's record counts."""

    def __call__(
        self, headers: Mapping[str, str], directory: str | None, before: Callable[[], Identity | None] = lambda: None
    ) -> Identity:
        """Return the identity.

        Args:
            headers: those of the envelope.
            directory: the project folder.
            before: returns the session's identity so far. It decides the project if the folder is gone.
        """


class Identities:
    """The identities of one store's sessions. ``note`` needs an open transaction. Times are Unix nanoseconds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def note(self, session_id: str, at_ns: int, identity: Identity) -> None:
        """Store the identity that a session has from a time on."""
        if self.at(session_id, at_ns) != identity:
            self._connection.execute(
                "INSERT OR REPLACE INTO identity VALUES (?, ?, ?, ?, ?, ?)",
                (session_id, at_ns, identity.agent, identity.project, identity.team, identity.sprint),
            )

    def at(self, session_id: str, at_ns: int) -> Identity | None:
        """Return the session's identity at a time, or its first one if the time is earlier. None for an unknown session."""
        for condition in ("since_ns <= ? ORDER BY since_ns DESC", "since_ns > ? ORDER BY since_ns"):
            row = self._connection.execute(
                f"SELECT agent, project, team, sprint FROM identity WHERE session_id = ? AND {condition} LIMIT 1",  # noqa: S608
                (session_id, at_ns),
            ).fetchone()
            if row:
                return Identity(*row)
        return None

    def columns(self, session_id: str | None, at_ns: int) -> dict[str, Any]:
        """Return the identity fields of a fact that belongs to a session at a time. An unknown session has the default identity."""
        return (self.at(session_id or "", at_ns) or Identity()).columns()
