"""The identity of a session over time. A resumed session may belong to another agent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from claude_hooks_otel.metrics.labels import FIELDS, Identity, identity_columns

_LISTED: Final = ", ".join(FIELDS.values())
_MARKS: Final = ", ".join("?" * (2 + len(FIELDS)))


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
    """The identities of one store's sessions. Times are Unix nanoseconds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Session → its identities, and from when on each one counts. Read once until something is written.
        self._known: dict[str, dict[int, Identity]] = {}
        self._added: list[tuple[str, int, Identity]] = []

    def note(self, session_id: str, at_ns: int, identity: Identity) -> None:
        """Note the identity that a session has from a time on. The caller holds the transaction."""
        if self.at(session_id, at_ns) != identity:
            self._of(session_id)[at_ns] = identity
            self._added.append((session_id, at_ns, identity))

    def at(self, session_id: str, at_ns: int) -> Identity | None:
        """Return the session's identity at a time, or its first one if the time is earlier. None for an unknown session."""
        known = self._of(session_id)
        if len(known) < 2:
            return next(iter(known.values()), None)
        return known[max((since for since in known if since <= at_ns), default=min(known))]

    def columns(self, session_id: str | None, at_ns: int) -> dict[str, Any]:
        """Return the identity fields of a fact that belongs to a session at a time. An unknown session has the default identity."""
        return (self.at(session_id or "", at_ns) or Identity()).columns()

    def _of(self, session_id: str) -> dict[int, Identity]:
        known = self._known.get(session_id)
        if known is None:
            rows = self._connection.execute(
                f"SELECT since_ns, {_LISTED} FROM identity WHERE session_id = ?",  # noqa: S608 — no foreign text
                (session_id,),
            )
            known = self._known[session_id] = {since_ns: Identity(*values) for since_ns, *values in rows}
        return known

    @property
    def has_notes(self) -> bool:
        """Whether anything was noted that is not written yet."""
        return bool(self._added)

    def flush(self) -> None:
        """Write what was noted."""
        self._connection.executemany(
            f"INSERT OR REPLACE INTO identity (session_id, since_ns, {_LISTED}) VALUES ({_MARKS})",  # noqa: S608
            [(session_id, at_ns, *identity_columns(identity).values()) for session_id, at_ns, identity in self._added],
        )
        self.discard()

    def discard(self) -> None:
        """Forget what was noted and is not written yet, and what was read."""
        self._added.clear()
        self._known.clear()
