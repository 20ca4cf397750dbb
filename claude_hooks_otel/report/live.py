"""What runs now: each live session, what it does at this moment, and since when.

No hook reports that a tool begins, and none that a human allows a call. The transcript shows the beginning. The answer is inferred: the
client sends a notification if nobody answers a dialog.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from claude_hooks_otel.facts.context import context_window
from claude_hooks_otel.facts.ledger import Ledger
from claude_hooks_otel.facts.processes import is_alive
from claude_hooks_otel.report.activity import Activity, read_activity
from claude_hooks_otel.timeline import KILLED_AFTER

_FOLLOWED: Final = """
SELECT s.session_id, s.process, s.first_seen_ns, s.last_seen_ns, s.agent, s.project, s.model, s.context_tokens
FROM followed_session JOIN session s USING (session_id)
WHERE s.last_seen_ns IS NOT NULL ORDER BY s.last_seen_ns DESC
"""
_COST: Final = """
SELECT SUM(cost) FROM (
    SELECT cost FROM api_request WHERE session_id = :id UNION ALL SELECT cost FROM auxiliary_usage WHERE session_id = :id
)
"""
_LAST_REQUEST: Final = "SELECT COALESCE(MAX(at_ns), 0) FROM api_request WHERE session_id = ?"
_LAST_COMPACTION: Final = "SELECT COALESCE(MAX(at_ns), 0) FROM compact_boundary WHERE session_id = ?"
_LAST_SWITCH: Final = "SELECT to_model FROM model_switch WHERE session_id = ? AND at_ns > ? ORDER BY at_ns DESC LIMIT 1"


class State(StrEnum):
    """What a session does. The one that needs a person comes first."""

    WAITING = "waiting for permission"
    TOOL = "tool"
    THINKING = "thinking"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that runs now. Times are Unix nanoseconds.

    Attributes:
        session_id: its id.
        agent: who works.
        project: on what.
        model: the model that answers; None before the first answer.
        tool: the tool that runs or that waits for permission; None in other states. An agent's own tool comes before the call that
            started the agent.
        tool_since_ns: since when.
        state: what it does. It is idle while it waits for a prompt.
        state_since_ns: since when.
        context_percent: how much of the context window is in use, 0 to 100; None if that is unknown, as after a compaction.
        cost: what the session cost so far, also in earlier runs, in picodollars; None if no price is known.
        started_ns: when it started or was resumed.
        tools_running: how many tool calls run at the same time, without those that wait for a sub-agent.
        subagents_running: how many sub-agents run.
        is_compacting: whether it compacts its conversation.
        last_activity_ns: when anything of it was last seen.
    """

    session_id: str
    agent: str | None
    project: str | None
    model: str | None
    tool: str | None
    tool_since_ns: int | None
    state: State
    state_since_ns: int
    context_percent: int | None
    cost: int | None
    started_ns: int
    tools_running: int
    subagents_running: int
    is_compacting: bool
    last_activity_ns: int


@dataclass(frozen=True, slots=True)
class _Followed:
    """A row of ``_FOLLOWED``."""

    session_id: str
    process: int | None
    first_seen_ns: int
    last_seen_ns: int
    agent: str | None
    project: str | None
    model: str | None
    context_tokens: int | None


def now(connection: sqlite3.Connection, now_ns: int, is_running: Callable[[int], bool] = is_alive) -> list[LiveSession]:
    """Return the sessions that run: first those that wait for a person, the longest wait first, then those that work, then idle ones.

    A session runs until its SessionEnd, or until its process is gone. If its process is unknown, KILLED_AFTER decides.

    Args:
        connection: the store, opened for reading.
        now_ns: the time, Unix nanoseconds.
        is_running: returns whether a process runs.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    ledger = Ledger(connection)
    found: list[LiveSession] = []
    for session in _running(connection, now_ns, is_running):
        activity = read_activity(connection, ledger, session.session_id, session.first_seen_ns, now_ns)
        if activity is not None:
            found.append(_live(connection, session, activity))
    return sorted(found, key=urgency)


def urgency(live: LiveSession) -> tuple[int, int, str]:
    """Return what the sessions are sorted by: their state, and since when they have it."""
    return list(State).index(live.state), live.state_since_ns, live.session_id


def _running(connection: sqlite3.Connection, now_ns: int, is_running: Callable[[int], bool]) -> Iterator[_Followed]:
    """Yield the followed sessions whose process runs. A process has one session at a time: the one that was seen last."""
    processes: set[int] = set()
    for session in (_Followed(*row) for row in connection.execute(_FOLLOWED).fetchall()):
        if not session.process:
            if now_ns - session.last_seen_ns <= KILLED_AFTER:
                yield session
        elif session.process not in processes and is_running(session.process):
            processes.add(session.process)
            yield session


def _live(connection: sqlite3.Connection, session: _Followed, activity: Activity) -> LiveSession:
    state, since_ns = State.IDLE, activity.ended_ns
    if activity.tool is not None:
        state = State.WAITING if activity.is_waiting else State.TOOL
        since_ns = activity.tool_since_ns
    elif activity.is_working:
        state, since_ns = State.THINKING, activity.thinking_since_ns
    session_id = session.session_id
    (requested_ns,) = connection.execute(_LAST_REQUEST, (session_id,)).fetchone()
    (compacted_ns,) = connection.execute(_LAST_COMPACTION, (session_id,)).fetchone()
    (cost,) = connection.execute(_COST, {"id": session_id}).fetchone()
    switched = connection.execute(_LAST_SWITCH, (session_id, requested_ns)).fetchone()
    model = (switched and switched[0]) or session.model
    return LiveSession(
        session_id=session_id,
        agent=session.agent,
        project=session.project,
        model=model,
        tool=activity.tool,
        tool_since_ns=activity.tool_since_ns if activity.tool is not None else None,
        state=state,
        state_since_ns=since_ns,
        context_percent=None if compacted_ns > requested_ns else _percent(model, session.context_tokens),
        cost=cost,
        started_ns=activity.began_ns,
        tools_running=activity.tools_running,
        subagents_running=activity.subagents_running,
        is_compacting=activity.is_compacting,
        last_activity_ns=max(session.last_seen_ns, requested_ns, activity.last_call_ns),
    )


def _percent(model: str | None, tokens: int | None) -> int | None:
    window = context_window(model) if model else None
    return None if tokens is None or not window else min(100, round(100 * tokens / window))
