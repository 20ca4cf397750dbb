"""The facts of one session from which its spans and log events are made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.timeline import CLEARED_WITHIN
from claude_hooks_otel.units import END_OF_TIME

# How a session continues another one. ``clear`` is also the word of SessionStart and SessionEnd.
FORK, CLEAR = "fork", "clear"
# Outcomes of calls that never ran. The time until the human's answer is a span of its own.
_NEVER_RAN = ("rejected", "denied")


F = TypeVar("F", bound=model.Fact)


@dataclass(frozen=True)
class SessionFacts:
    """The facts of one session, or of a stretch of it.

    Attributes:
        session: the session.
        turns: the turns with a known start, in order of time.
        origin: the last turn of the session that this session continues (a fork, or after ``/clear``), and how it continues it. None
            if it continues no session.
        callers: the calls that started sub-agents, woke them, made a commit or ran tests, at any time.
        begin_ns, end_ns: the stretch of requests, calls and waits, in Unix nanoseconds.
    """

    session: model.Session
    turns: tuple[model.Turn, ...]
    runs: tuple[model.SessionRun, ...]
    requests: tuple[model.ApiRequest, ...]
    calls: tuple[model.ToolCall, ...]
    subagents: tuple[model.Subagent, ...]
    subagent_turns: tuple[model.SubagentTurn, ...]
    wakes: tuple[model.SubagentWake, ...]
    waits: tuple[model.PermissionWait, ...]
    compactions: tuple[model.CompactBoundary, ...]
    switches: tuple[model.ModelSwitch, ...]
    origin: tuple[model.Turn, str] | None = None
    callers: tuple[model.ToolCall, ...] = ()
    commits: tuple[model.GitCommit, ...] = ()
    branches: tuple[model.GitBranch, ...] = ()
    pull_requests: tuple[model.PullRequest, ...] = ()
    suite_runs: tuple[model.SuiteRun, ...] = ()
    tasks: tuple[model.Task, ...] = ()
    begin_ns: int = 0
    end_ns: int = END_OF_TIME

    @classmethod
    def of(
        cls, facts: FactReader, session_id: str, begin_ns: int = 0, end_ns: int = END_OF_TIME
    ) -> SessionFacts | None:
        """Read the facts of a session; None if the session is unknown.

        Args:
            facts: the facts of all sessions.
            session_id: the session.
            begin_ns: the start of the stretch of requests, calls and waits, in Unix nanoseconds. All other facts are read whole.
            end_ns: the end of the stretch.
        """
        session = facts.get(model.Session, session_id)
        if session is None:
            return None

        def all_of(kind: type[F], where: str = "") -> tuple[F, ...]:
            return tuple(facts.select(kind, f"session_id = ? {where}", session_id))

        def between(kind: type[F], at: str, where: str) -> tuple[F, ...]:
            condition = f"session_id = ? AND {at} >= ? AND {at} < ? {where}"
            return tuple(facts.select(kind, condition, session_id, begin_ns, end_ns))

        turns = all_of(model.Turn, "AND started_ns IS NOT NULL ORDER BY started_ns, prompt_id")
        runs = all_of(model.SessionRun, "ORDER BY started_ns")
        return cls(
            session=session,
            turns=turns,
            runs=runs,
            requests=between(model.ApiRequest, "at_ns", "ORDER BY at_ns, message_id, answer_id"),
            calls=between(
                model.ToolCall,
                "COALESCE(started_ns, ended_ns)",
                "AND tool IS NOT NULL AND outcome IS NOT NULL ORDER BY COALESCE(ended_ns, started_ns), tool_use_id",
            ),
            subagents=all_of(model.Subagent, "ORDER BY agent_id"),
            subagent_turns=all_of(model.SubagentTurn, "ORDER BY agent_id, ended_ns"),
            wakes=all_of(model.SubagentWake),
            waits=between(model.PermissionWait, "asked_ns", "AND waited_ns IS NOT NULL ORDER BY asked_ns, tool"),
            compactions=_own_compactions(facts, session_id, turns),
            switches=all_of(model.ModelSwitch, "AND at_ns IS NOT NULL ORDER BY at_ns"),
            origin=_origin(facts, session, turns, runs) if turns and begin_ns <= (turns[0].started_ns or 0) else None,
            callers=_callers(facts, session_id),
            commits=all_of(model.GitCommit),
            branches=all_of(model.GitBranch),
            pull_requests=all_of(model.PullRequest),
            suite_runs=all_of(model.SuiteRun),
            tasks=all_of(model.Task),
            begin_ns=begin_ns,
            end_ns=end_ns,
        )

    def turn_at(self, at_ns: int) -> model.Turn | None:
        """Return the last turn that began before or at a time. A time before all turns counts as in the first turn."""
        if not self.turns:
            return None
        return self.turns[max(0, bisect_right(self.turns, at_ns, key=lambda turn: turn.started_ns or 0) - 1)]

    @cached_property
    def calls_by_id(self) -> dict[str, model.ToolCall]:
        """``tool_use_id`` → call."""
        return {call.tool_use_id: call for call in (*self.callers, *self.calls)}


def _callers(facts: FactReader, session_id: str) -> tuple[model.ToolCall, ...]:
    """Return the finished calls that started sub-agents, woke them, made a commit or ran tests."""
    tables = ("subagent", "subagent_wake", "git_commit", "suite_run")
    ids = " UNION ".join(f"SELECT tool_use_id FROM {table} WHERE session_id = ?" for table in tables)  # noqa: S608
    condition = f"tool_use_id IN ({ids}) AND tool IS NOT NULL AND outcome IS NOT NULL"
    return tuple(facts.select(model.ToolCall, condition, *[session_id] * len(tables)))


def _origin(
    facts: FactReader, session: model.Session, turns: Sequence[model.Turn], runs: Sequence[model.SessionRun]
) -> tuple[model.Turn, str] | None:
    """Return the turn of another session that this session continues, and how."""
    if session.forked_from:
        before, how = session.forked_from, FORK
    elif (cleared := _cleared(facts, session, runs)) is not None:
        before, how = cleared, CLEAR
    else:
        return None
    last = "session_id = ? AND started_ns < ? ORDER BY started_ns DESC, prompt_id LIMIT 1"
    found = facts.select(model.Turn, last, before, turns[0].started_ns)
    return (found[0], how) if found else None


def _cleared(facts: FactReader, session: model.Session, runs: Sequence[model.SessionRun]) -> str | None:
    """Return the session that ``/clear`` replaced by this one: one of the same client that ``/clear`` ended just before."""
    if not runs or (run := runs[0]).source != CLEAR:
        return None
    ended = facts.connection.execute(
        "SELECT session_id FROM ledger WHERE event = 'SessionEnd' AND detail = ? AND received_ns BETWEEN ? AND ? "
        "AND session_id != ? ORDER BY received_ns DESC",
        (CLEAR, run.started_ns - CLEARED_WITHIN, run.started_ns, session.session_id),
    )
    for (session_id,) in ended.fetchall():
        other = facts.get(model.Session, session_id)
        if other is not None and other.process == session.process and other.labels() == session.labels():
            return str(session_id)
    return None


def _own_compactions(
    facts: FactReader, session_id: str, turns: Sequence[model.Turn]
) -> tuple[model.CompactBoundary, ...]:
    """Return the compactions that happened in a session itself.

    A fork's transcript repeats the compactions of its parent, and the store has them under the session that was read first. So a
    compaction before the fork began belongs to the parent, even if the store has it under the fork.
    """
    if not turns:
        return ()
    begin = turns[0].started_ns or 0
    found: list[model.CompactBoundary] = []
    seen: set[str] = set()
    waiting = [(session_id, END_OF_TIME)]
    while waiting:
        name, until = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found += facts.select(model.CompactBoundary, "session_id = ? AND at_ns >= ? AND at_ns < ?", name, begin, until)
        for fork in facts.select(model.Session, "forked_from = ?", name):
            first = facts.connection.execute(
                "SELECT MIN(started_ns) FROM turn WHERE session_id = ?", (fork.session_id,)
            ).fetchone()[0]
            waiting.append((fork.session_id, min(until, first if first is not None else END_OF_TIME)))
    return tuple(sorted(found, key=lambda boundary: (boundary.at_ns or 0, boundary.uuid)))


def asked_ns(call: model.ToolCall) -> int:
    """Return when the model asked for a call. If no source has that time, return when the call began."""
    return call.started_ns if call.started_ns is not None else call_times(call)[0]


def call_times(call: model.ToolCall) -> tuple[int, int]:
    """Return when a call began to run and when it ended.

    The begin comes from the client's duration, which excludes the wait for a permission. Without a duration, the call counts from when
    the model asked for it.
    """
    ended = call.ended_ns if call.ended_ns is not None else call.started_ns or 0
    if call.duration_ns is not None:
        return ended - call.duration_ns, ended
    if call.outcome in _NEVER_RAN:
        return ended, ended
    return min(call.started_ns if call.started_ns is not None else ended, ended), ended
