"""Which sessions have something new to tell, and since when: noted in the transaction of the facts, so that no death forgets it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.from_programs import SESSION as PROGRAMS

# Kind of fact → the fields that say when it was. A change of any of them is something new of its session.
_TIMES: Final = MappingProxyType(
    {
        model.SessionRun: ("started_ns", "ended_ns"),
        model.Turn: ("started_ns", "interrupted_ns", "ended_ns"),
        model.ApiRequest: ("at_ns",),
        model.ToolCall: ("started_ns", "ended_ns"),
        model.Subagent: (),
        model.SubagentTurn: ("started_ns", "ended_ns"),
        model.PermissionWait: ("asked_ns",),
        model.CompactBoundary: ("at_ns",),
        model.ModelSwitch: ("at_ns",),
        model.Task: ("created_ns", "started_ns", "completed_ns"),
        model.GitCommit: ("at_ns",),
        model.GitBranch: ("at_ns",),
        model.PullRequest: ("at_ns",),
        model.SuiteRun: ("at_ns",),
    }
)
# A change that has no time of its own moves no beginning.
_NEVER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Due:
    """What a session has to tell.

    Attributes:
        spans_since_ns: where what was not yet written as spans begins; None where all was.
        events_since_ns: the same for log events.
        is_new: whether anything changed since it was last looked at.
    """

    spans_since_ns: int | None
    events_since_ns: int | None
    is_new: bool


class DueSessions:
    """The sessions that are due; a ``Journal`` of the store.

    Args:
        connection: the store's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._since: dict[str, int] = {}

    def note(self, fact: model.Fact) -> None:
        """A fact is new, or has changed."""
        times = _TIMES.get(type(fact))
        session_id: str | None = getattr(fact, "session_id", None)
        if times is None or not session_id or session_id == PROGRAMS:
            return
        # INFERRED is no time.
        since = min((at for name in times if (at := getattr(fact, name)) is not None and at > 0), default=_NEVER)
        if isinstance(fact, model.SubagentTurn) and not fact.started_ns:
            since = 0  # what it did tells when it began
        self._since[session_id] = min(since, self._since.get(session_id, _NEVER))

    def mark(self) -> int:
        """Nothing is undone by halves: a session that is looked at in vain tells nothing twice."""
        return 0

    def rewind(self, mark: int) -> None:
        """See ``mark``."""

    def discard(self) -> None:
        """Forgets what was noted since the last flush."""
        self._since.clear()

    def flush(self) -> None:
        """Writes what was noted, inside the caller's transaction."""
        self._connection.executemany(
            "INSERT INTO record_due VALUES (:session, :since, :since, 1) ON CONFLICT DO UPDATE SET is_new = 1, "
            "spans_since_ns = MIN(COALESCE(spans_since_ns, :since), :since), "
            "events_since_ns = MIN(COALESCE(events_since_ns, :since), :since)",
            [{"session": session_id, "since": since} for session_id, since in self._since.items()],
        )
        self._since.clear()

    def get(self, session_id: str) -> Due | None:
        """What a session has to tell; None where that is nothing."""
        row = self._connection.execute(
            "SELECT spans_since_ns, events_since_ns, is_new FROM record_due WHERE session_id = ?", (session_id,)
        ).fetchone()
        return None if row is None else Due(row[0], row[1], bool(row[2]))

    def put_off(self, session_id: str) -> None:
        """It is not looked at again before something of it changes, or it is over."""
        self._connection.execute("UPDATE record_due SET is_new = 0 WHERE session_id = ?", (session_id,))

    def told(self, session_id: str, held_spans_ns: int | None, held_events_ns: int | None) -> None:
        """All is written but what is held back since these times; None: all is."""
        if held_spans_ns is None and held_events_ns is None:
            self._connection.execute("DELETE FROM record_due WHERE session_id = ?", (session_id,))
        else:
            self._connection.execute(
                "UPDATE record_due SET spans_since_ns = ?, events_since_ns = ?, is_new = 0 WHERE session_id = ?",
                (held_spans_ns, held_events_ns, session_id),
            )
