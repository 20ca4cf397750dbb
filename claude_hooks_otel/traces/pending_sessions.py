"""The pending sessions: those with something new to write as spans or log events.

They are noted in the transaction of the facts, so that nothing is lost if the daemon dies.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.from_programs import SESSION as PROGRAMS
from claude_hooks_otel.units import END_OF_TIME

# The kinds of fact from which the spans and log events of sessions are made.
_KINDS: Final = frozenset(
    (
        model.SessionRun, model.Turn, model.ApiRequest, model.ToolCall, model.Subagent, model.SubagentTurn, model.PermissionWait,
        model.CompactBoundary, model.ModelSwitch, model.Task, model.GitCommit, model.GitBranch, model.PullRequest, model.SuiteRun,
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pending:
    """What a session has to write.

    Attributes:
        spans_since_ns: since when spans are missing, in Unix nanoseconds; None if all are written.
        events_since_ns: since when log events are missing, in Unix nanoseconds; None if all are written.
        is_new: whether a fact of the session has changed since the last look.
    """

    spans_since_ns: int | None
    events_since_ns: int | None
    is_new: bool


class PendingSessions:
    """The pending sessions of one store, and the program spans that ended in the current transaction.

    Args:
        connection: the store's connection.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._since_ns: dict[str, int] = {}
        self._program_spans: set[str] = set()

    def note(self, _: model.Fact | None, fact: model.Fact) -> None:
        """Note a change of a fact; a listener of ``Facts``."""
        if isinstance(fact, model.ProgramSpan):
            self._program_spans.add(fact.span_id)
            return
        session_id: str | None = getattr(fact, "session_id", None)
        if type(fact) not in _KINDS or not session_id or session_id == PROGRAMS:
            return
        # A change without a time does not move ``since_ns``.
        since_ns = min(fact.times, default=END_OF_TIME)
        if isinstance(fact, model.SubagentTurn) and not fact.started_ns:
            since_ns = 0  # the turn may have begun at any time: other facts of the sub-agent tell when
        self._since_ns[session_id] = min(since_ns, self._since_ns.get(session_id, END_OF_TIME))

    def discard(self) -> None:
        """Forget what was noted in the current transaction."""
        self._since_ns.clear()
        self._program_spans.clear()

    def flush(self) -> None:
        """Write which sessions are pending, inside the caller's transaction."""
        self._connection.executemany(
            "INSERT INTO pending_session VALUES (:session, :since, :since, 1) ON CONFLICT DO UPDATE SET is_new = 1, "
            "spans_since_ns = MIN(COALESCE(spans_since_ns, :since), :since), "
            "events_since_ns = MIN(COALESCE(events_since_ns, :since), :since)",
            [{"session": session_id, "since": since_ns} for session_id, since_ns in self._since_ns.items()],
        )
        self._since_ns.clear()

    def take_program_spans(self) -> list[str]:
        """Return the ids of the program spans that ended, and forget them."""
        found, self._program_spans = sorted(self._program_spans), set()
        return found

    def get(self, session_id: str) -> Pending | None:
        """Return what a session has to write; None if nothing."""
        row = self._connection.execute(
            "SELECT spans_since_ns, events_since_ns, is_new FROM pending_session WHERE session_id = ?", (session_id,)
        ).fetchone()
        return None if row is None else Pending(row[0], row[1], bool(row[2]))

    def put_off(self, session_id: str) -> None:
        """Skip the session until one of its facts changes, or until it is over."""
        self._connection.execute("UPDATE pending_session SET is_new = 0 WHERE session_id = ?", (session_id,))

    def written(self, session_id: str, held_spans_ns: int | None, held_events_ns: int | None) -> None:
        """Note that everything is written, except what is held back since these times (None: nothing is held back)."""
        if held_spans_ns is None and held_events_ns is None:
            self._connection.execute("DELETE FROM pending_session WHERE session_id = ?", (session_id,))
        else:
            self._connection.execute(
                "UPDATE pending_session SET spans_since_ns = ?, events_since_ns = ?, is_new = 0 WHERE session_id = ?",
                (held_spans_ns, held_events_ns, session_id),
            )
