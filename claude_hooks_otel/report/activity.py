"""What one running session does at this moment, from its events, its open tool calls and the interrupts in its transcript."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.facts.ledger import Ledger, LedgerEntry, run_starts
from claude_hooks_otel.units import SECOND

# The client notifies if nobody has touched a dialog for six seconds. Without the notification, the call was allowed. Source: client 2.1.330.
NOTIFIED_WITHIN: Final = 8 * SECOND
# The values of ``notification_type``: a dialog waits, or the client waits for a prompt.
_DIALOG, _IDLE = "permission_prompt", "idle_prompt"

# The tools that start a sub-agent, now and in older clients. The sub-agent's own tools say more.
_AGENT_TOOLS: Final = ("Agent", "Task")
# The tools that are themselves a question to a person. They never run without an answer.
_QUESTIONS: Final = ("AskUserQuestion", "ExitPlanMode")

_EVENTS: Final = (
    "UserPromptSubmit", "Stop", "StopFailure", "PermissionRequest", "SubagentStart", "SubagentStop", "PreCompact", "PostCompact",
    "Notification",
)  # fmt: skip
_TOOL_ENDS: Final = ("PostToolUse", "PostToolUseFailure", "PermissionDenied")
_OPEN_CALLS: Final = """
SELECT COALESCE(agent_id, ''), tool, started_ns FROM tool_call
WHERE session_id = ? AND outcome IS NULL AND ended_ns IS NULL AND tool IS NOT NULL AND started_ns >= ? ORDER BY started_ns
"""
# A call's own duration begins after the answer. So a call that ran before the question was another one.
_ANSWERED_CALLS: Final = """
SELECT COALESCE(agent_id, ''), tool, ended_ns - COALESCE(duration_ns, 0) AS ran_ns FROM tool_call
WHERE session_id = ? AND ran_ns >= ? ORDER BY ran_ns
"""
_INTERRUPT: Final = "SELECT COALESCE(MAX(interrupted_ns), 0) FROM turn WHERE session_id = ?"
_TASK_STOP: Final = "SELECT COALESCE(MAX(ended_ns), 0) FROM tool_call WHERE session_id = ? AND tool = 'TaskStop'"
_AGENT_SEEN: Final = "SELECT COALESCE(MAX(MAX(started_ns, COALESCE(ended_ns, 0))), 0) FROM tool_call WHERE session_id = ? AND agent_id = ?"


@dataclass(frozen=True, slots=True)
class Activity:
    """What a session does. Times are Unix nanoseconds.

    Attributes:
        began_ns: when its process started or resumed it.
        ended_ns: when its last turn ended; ``began_ns`` before the first one.
        is_working: whether a turn, a sub-agent or a compaction runs.
        is_waiting: whether ``tool`` waits for permission.
        is_compacting: whether a compaction runs.
        tool: the tool that runs or waits; None if there is none.
        tool_since_ns: since when.
        thinking_since_ns: when the turn began or its last tool ended.
        tools_running: how many tool calls run. A call that waits for a sub-agent does not count: ``subagents_running`` does.
        subagents_running: how many sub-agents run.
        last_call_ns: when the last running tool call began; 0 without one.
    """

    began_ns: int
    ended_ns: int
    is_working: bool
    is_waiting: bool
    is_compacting: bool
    tool: str | None
    tool_since_ns: int
    thinking_since_ns: int
    tools_running: int
    subagents_running: int
    last_call_ns: int


@dataclass(frozen=True, slots=True)
class _Call:
    """A tool call, and when it began to run or to wait."""

    agent_id: str
    tool: str
    at_ns: int


def read_activity(
    connection: sqlite3.Connection, ledger: Ledger, session_id: str, first_seen_ns: int, now_ns: int
) -> Activity | None:
    """Return what a session does; None if it has ended.

    Args:
        connection: the store, opened for reading.
        ledger: its ledger.
        session_id: the session.
        first_seen_ns: when the session was first seen, Unix nanoseconds. It counts if no start was captured.
        now_ns: the time, Unix nanoseconds.
    """
    runs = ledger.entries(session_id, "SessionStart", "SessionEnd")
    if runs and runs[-1].event == "SessionEnd":
        return None
    starts = run_starts(runs)
    began_ns = starts[-1].received_ns if starts else first_seen_ns
    events = ledger.entries(session_id, *_EVENTS, since_ns=began_ns)
    (interrupted_ns,) = connection.execute(_INTERRUPT, (session_id,)).fetchone()
    # Two events can have the same time, so what has the time of the start comes after it.
    ended_ns = max(began_ns - 1, interrupted_ns, _last(event for event in events if _ends_turn(event)))
    agents = _running_agents(connection, session_id, events, interrupted_ns)
    calls = [
        call
        for call in (_Call(*row) for row in connection.execute(_OPEN_CALLS, (session_id, began_ns)))
        if (call.at_ns > ended_ns if not call.agent_id else call.agent_id in agents)
    ]
    dialogs = _open_dialogs(connection, session_id, events, agents, ended_ns)
    waiting = [dialog for dialog in dialogs if _is_waiting(dialog, events, now_ns)]
    ends = ledger.entries(session_id, *_TOOL_ENDS, since_ns=ended_ns + 1)
    begins = [event.received_ns for event in events if _is_work(event) and event.received_ns > ended_ns]
    begins += [event.received_ns for event in ends if not event.agent_id]
    main_calls = [call.at_ns for call in calls if not call.agent_id]
    shown = _shown(waiting or calls)
    return Activity(
        began_ns=began_ns,
        ended_ns=max(ended_ns, began_ns),
        is_working=bool(begins or main_calls or agents),
        is_waiting=bool(waiting),
        is_compacting=_is_compacting([*events, *ends], ended_ns),
        tool=shown.tool if shown else None,
        tool_since_ns=shown.at_ns if shown else 0,
        thinking_since_ns=max([*begins, *agents.values(), *(event.received_ns for event in ends)], default=ended_ns),
        tools_running=max(sum(call.tool not in _AGENT_TOOLS for call in calls) - len(waiting), 0),
        subagents_running=len(agents),
        last_call_ns=max((call.at_ns for call in calls), default=0),
    )


def _last(events: Iterator[LedgerEntry]) -> int:
    return max((event.received_ns for event in events), default=0)


def _ends_turn(event: LedgerEntry) -> bool:
    """Return whether the main conversation waits for a prompt after this event."""
    if event.agent_id:
        return False
    return (event.event, event.detail) in (("Notification", _IDLE), ("PostCompact", "manual")) or event.event in (
        "Stop",
        "StopFailure",
    )


def _is_work(event: LedgerEntry) -> bool:
    """Return whether the main conversation works after this event."""
    return not event.agent_id and event.event in ("UserPromptSubmit", "PermissionRequest", "PreCompact", "PostCompact")


def _is_compacting(events: Sequence[LedgerEntry], ended_ns: int) -> bool:
    """Return whether nothing of the main conversation followed the beginning of a compaction."""
    main = [event for event in events if not event.agent_id and event.event not in ("SubagentStop", "Notification")]
    last = max(main, key=lambda event: event.received_ns, default=None)
    return last is not None and last.event == "PreCompact" and last.received_ns > ended_ns


def _running_agents(
    connection: sqlite3.Connection, session_id: str, events: Sequence[LedgerEntry], interrupted_ns: int
) -> dict[str, int]:
    """Return the sub-agents that run, and when each began. An interrupt or TaskStop ends an agent without an event."""
    agents: dict[str, int] = {}
    for event in events:
        if event.event == "SubagentStart" and event.agent_id:
            agents.setdefault(event.agent_id, event.received_ns)
        elif event.event in ("SubagentStop", "StopFailure"):
            agents.pop(event.agent_id, None)
    if not agents:
        return agents
    (stopped_ns,) = connection.execute(_TASK_STOP, (session_id,)).fetchone()
    stopped_ns = max(stopped_ns, interrupted_ns)
    for agent_id, began_ns in list(agents.items()):
        if began_ns < stopped_ns:
            (seen_ns,) = connection.execute(_AGENT_SEEN, (session_id, agent_id)).fetchone()
            if seen_ns <= stopped_ns:
                del agents[agent_id]
    return agents


def _open_dialogs(
    connection: sqlite3.Connection,
    session_id: str,
    events: Sequence[LedgerEntry],
    agents: dict[str, int],
    ended_ns: int,
) -> list[_Call]:
    """Return the questions for permission whose calls have not ended. The payload of a question names no call, only its tool."""
    asked = [
        _Call(event.agent_id, event.detail, event.received_ns)
        for event in events
        if event.event == "PermissionRequest"
        and event.received_ns > (agents.get(event.agent_id, event.received_ns) if event.agent_id else ended_ns)
    ]
    if not asked:
        return []
    ended = [_Call(*row) for row in connection.execute(_ANSWERED_CALLS, (session_id, asked[0].at_ns))]
    left: list[_Call] = []
    for question in asked:
        answer = next(
            (
                call
                for call in ended
                if (call.agent_id, call.tool) == (question.agent_id, question.tool) and call.at_ns >= question.at_ns
            ),
            None,
        )
        if answer is None:
            left.append(question)
        else:
            ended.remove(answer)
    return left


def _is_waiting(question: _Call, events: Sequence[LedgerEntry], now_ns: int) -> bool:
    """Return whether nobody has answered a question yet, as far as that can be known."""
    if question.tool in _QUESTIONS or now_ns - question.at_ns < NOTIFIED_WITHIN:
        return True
    return any(
        event.event == "Notification" and event.detail == _DIALOG and event.received_ns > question.at_ns
        for event in events
    )


def _shown(calls: Sequence[_Call]) -> _Call | None:
    """Return the call that has run longest. Calls that wait for a sub-agent come last."""
    return min(calls, key=lambda call: (call.tool in _AGENT_TOOLS, call.at_ns), default=None)
