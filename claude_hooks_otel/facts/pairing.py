"""What no single event says: which start belongs to which end, what a killed session left open, what the client spent beside.

Run for a session when nothing of it waits to be read. Everything here is a function of what the store holds, so running it again,
or later, or after more has arrived, only adds.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from claude_hooks_otel.facts import auxiliary, model
from claude_hooks_otel.facts.store import Signal, Store
from claude_hooks_otel.facts.tasks import DEFAULT_TYPE
from claude_hooks_otel.facts.turns import KILLED, settle_turns
from claude_hooks_otel.metrics.labels import UNKNOWN, Identity
from claude_hooks_otel.units import SECOND

# Events are paired once nothing of their session has arrived for this long: a pair of two out of three would stand for ever.
QUIET_NS = 1 * SECOND
# After a session's end this long nothing of it is on its way any more: what is still open was interrupted.
GRACE_NS = 5 * SECOND
# A session without its SessionStart is counted only when this long nothing new was seen: the event may still come.
START_GRACE_NS = 60 * SECOND
# Without a sign of life for this long, and its process gone, a session is over, said or unsaid.
SILENCE_NS = 30 * 60 * SECOND

# A call's outcome → how the question before it was answered; what ran was allowed.
_DECISIONS = {"rejected": "rejected", "denied": "denied"}


class Settlement:
    """Settles sessions of one store; the caller holds the transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def settle(self, session_id: str, now_ns: int, heard_ns: int) -> bool:
        """Pairs, closes and infers for one session, as far as that is safe by now.

        Args:
            session_id: which session.
            now_ns: the time.
            heard_ns: when something of the session last arrived here (which may be long after it happened).

        Returns:
            Whether the session is over and nothing of it is expected any more.
        """
        session = self._store.get(model.Session, session_id)
        if session is None:
            return True
        quiet_ns = now_ns - heard_ns
        signals = self._store.signals(session_id, "SessionStart", "SessionEnd")
        self._starts(session, signals)
        if quiet_ns < QUIET_NS:
            return False
        over_ns = self._runs(session, signals, now_ns, quiet_ns)
        is_over = over_ns is not None and now_ns - over_ns >= GRACE_NS and quiet_ns >= GRACE_NS
        self._permissions(session_id)
        if quiet_ns >= GRACE_NS:
            self._failed_requests(session_id)
        settle_turns(self._store, session, may_infer=quiet_ns >= GRACE_NS, is_over=is_over)
        self._subagents(session, is_over=is_over)
        self._compactions(session)
        self._tasks(session_id)
        self._reviews()
        auxiliary.settle(self._store, session, nothing_follows=is_over or quiet_ns > START_GRACE_NS)
        if is_over:
            self._close(session_id)
        return is_over

    def _labels(self, session_id: str, at_ns: int) -> dict[str, Any]:
        return (self._store.identity_at(session_id, at_ns) or Identity()).columns()

    def _starts(self, session: model.Session, signals: list[Signal]) -> None:
        for start in _starts(signals):
            if self._store.get(model.SessionRun, session.session_id, model.INFERRED) is not None:
                break  # counted already, before its late event came
            self._run(session, start.received_ns, start.detail, None)

    def _runs(self, session: model.Session, signals: list[Signal], now_ns: int, quiet_ns: int) -> int | None:
        """Pairs starts with ends; returns when the session's last run ended, None while it goes on."""
        starts = _starts(signals)
        ends = [signal for signal in signals if signal.event == "SessionEnd"]
        last_seen = session.last_seen_ns or 0
        silent = min(now_ns - last_seen, quiet_ns) > SILENCE_NS and not _is_alive(session.process)
        if not starts and quiet_ns > START_GRACE_NS and not self._has_run(session.session_id):
            self._run(session, model.INFERRED, "startup", None)
        for index, start in enumerate(starts):
            until = starts[index + 1].received_ns if index + 1 < len(starts) else None
            end = next(
                (e for e in ends if e.received_ns >= start.received_ns and (until is None or e.received_ns < until)),
                None,
            )
            if end is None and (until is not None or silent):
                seen = self._last_sign_of_life(session.session_id, until) if until is not None else last_seen
                end = Signal(max(seen, start.received_ns), "SessionEnd", "", "", KILLED)
            if end is not None and self._store.get(model.SessionRun, session.session_id, start.received_ns):
                self._run(session, start.received_ns, start.detail, end)
        if ends and (not starts or ends[-1].received_ns >= starts[-1].received_ns):
            return ends[-1].received_ns
        return last_seen if silent else None

    def _run(self, session: model.Session, started_ns: int, source: str, end: Signal | None) -> None:
        self._store.upsert(
            model.SessionRun(
                session_id=session.session_id,
                started_ns=started_ns,
                source=source,
                ended_ns=end.received_ns if end else None,
                end_reason=end.detail if end else None,
                **self._labels(session.session_id, started_ns),
            )
        )

    def _has_run(self, session_id: str) -> bool:
        """Whether a start was counted: the ledger forgets its event after the retention time."""
        return bool(self._store.select(model.SessionRun, "session_id = ?", session_id))

    def _did_something(self, session_id: str) -> bool:
        """Whether this is a session at all: ``--continue`` loads its instructions under an id that is never used again."""
        return bool(
            self._store.connection.execute(
                "SELECT 1 FROM event WHERE session_id = ? AND event NOT IN ('InstructionsLoaded', 'Notification') LIMIT 1",
                (session_id,),
            ).fetchone()
        )

    def _last_sign_of_life(self, session_id: str, before_ns: int) -> int:
        row = self._store.connection.execute(
            "SELECT MAX(received_ns) FROM event WHERE session_id = ? AND received_ns < ?", (session_id, before_ns)
        ).fetchone()
        return row[0] or 0

    def _subagents(self, session: model.Session, *, is_over: bool) -> None:
        signals = self._store.signals(session.session_id, "SubagentStart", "SubagentStop", "StopFailure")
        by_agent: dict[str, list[Signal]] = {}
        for signal in signals:
            if signal.agent_id:
                by_agent.setdefault(signal.agent_id, []).append(signal)
        for agent in self._store.select(model.Subagent, "session_id = ?", session.session_id):
            started: int | None = None
            seen = by_agent.get(agent.agent_id, [])
            for signal in seen:
                if signal.event == "SubagentStart":
                    started = signal.received_ns if started is None else started
                    continue
                self._subagent_turn(
                    agent, signal.received_ns, "failed" if signal.event == "StopFailure" else "completed", started
                )
                started = None
            if not is_over:
                continue
            if started is not None:  # begun and never ended: stopped by its parent, or gone with its session
                self._subagent_turn(agent, model.INFERRED, "killed", started)
            elif not seen and agent.in_transcript and not self._has_turn(agent.agent_id):
                self._subagent_turn(agent, model.INFERRED, "completed", None)

    def _has_turn(self, agent_id: str) -> bool:
        """Whether a turn was counted: the ledger forgets its events after the retention time."""
        return bool(self._store.select(model.SubagentTurn, "agent_id = ?", agent_id))

    def _subagent_turn(self, agent: model.Subagent, ended_ns: int, outcome: str, started_ns: int | None) -> None:
        self._store.upsert(
            model.SubagentTurn(
                agent_id=agent.agent_id,
                ended_ns=ended_ns,
                session_id=agent.session_id,
                agent_type=agent.agent_type or "subagent",
                outcome=outcome,
                started_ns=started_ns,
                **self._labels(agent.session_id or "", started_ns or ended_ns),
            )
        )

    def _compactions(self, session: model.Session) -> None:
        # A fork's transcript begins with its parent's marks: only those of its own time are its own.
        own = (session.first_seen_ns or 0) if self._store.signals(session.session_id, "SessionStart") else 0
        hooks = Counter(signal.detail or "auto" for signal in self._store.signals(session.session_id, "PostCompact"))
        marks = Counter(
            mark.trigger or "auto"
            for mark in self._store.select(
                model.CompactBoundary, "session_id = ? AND at_ns >= ?", session.session_id, own
            )
        )
        for trigger in hooks | marks:
            self._store.upsert(
                model.Compaction(
                    session_id=session.session_id,
                    trigger=trigger,
                    seen_by_hooks=hooks[trigger],
                    in_transcript=marks[trigger],
                    **self._labels(session.session_id, session.first_seen_ns or 0),
                )
            )

    def _tasks(self, session_id: str) -> None:
        unmeasured = "session_id = ? AND completed_ns IS NOT NULL AND duration_ns IS NULL"
        for task in self._store.select(model.Task, unmeasured, session_id):
            begun = task.started_ns if task.started_ns is not None else task.created_ns
            if begun is not None and task.completed_ns is not None:
                duration = max(0, task.completed_ns - begun)
                self._store.upsert(model.Task(session_id=session_id, task_id=task.task_id, duration_ns=duration))

    def _reviews(self) -> None:
        """Measures the pull requests whose both ends are known by now, whichever sessions told of them."""
        both = "agent IS NOT NULL AND opened_ns IS NOT NULL AND merged_ns IS NOT NULL AND duration_ns IS NULL"
        for review in self._store.select(model.PullRequestReview, both):
            duration = max(0, (review.merged_ns or 0) - (review.opened_ns or 0))
            self._store.upsert(model.PullRequestReview(address_digest=review.address_digest, duration_ns=duration))

    def _permissions(self, session_id: str) -> None:
        """Pairs questions with the call they were about: the next one of that tool that ended after the question."""
        taken: set[str] = set()
        for asked in self._store.signals(session_id, "PermissionRequest"):
            calls = self._store.select(
                model.ToolCall,
                "session_id = ? AND tool = ? AND outcome IS NOT NULL AND ended_ns >= ? AND COALESCE(agent_id, '') = ? ORDER BY ended_ns",
                session_id,
                asked.detail,
                asked.received_ns,
                asked.agent_id,
            )
            call = next((call for call in calls if call.tool_use_id not in taken), None)
            if call is None:
                continue
            taken.add(call.tool_use_id)
            answered = (call.ended_ns or 0) - (call.duration_ns or 0)  # a call's own duration begins after the answer
            self._store.upsert(
                model.PermissionWait(
                    session_id=session_id,
                    asked_ns=asked.received_ns,
                    tool=asked.detail,
                    tool_use_id=call.tool_use_id,
                    decision=_DECISIONS.get(call.outcome or "", "allowed"),
                    waited_ns=max(0, answered - asked.received_ns),
                    **self._labels(session_id, asked.received_ns),
                )
            )

    def _failed_requests(self, session_id: str) -> None:
        """Says which model did not answer: the one that answered the session before."""
        for failed in self._store.select(
            model.ApiRequest, "session_id = ? AND error IS NOT NULL AND model IS NULL", session_id
        ):
            answered = self._store.select(
                model.ApiRequest,
                "session_id = ? AND error IS NULL AND at_ns < ? AND agent_id IS ? ORDER BY at_ns DESC LIMIT 1",
                session_id, failed.at_ns or 0, failed.agent_id,
            )  # fmt: skip
            name = answered[0].model if answered else UNKNOWN
            self._store.upsert(model.ApiRequest(message_id=failed.message_id, model=name))

    def _regressions(self, session_id: str) -> None:
        """What fails in the last run of a suite and did not in the session's first."""
        by_framework: dict[str, list[model.SuiteRun]] = {}
        for run in self._store.select(
            model.SuiteRun, "session_id = ? ORDER BY at_ns, tool_use_id, ordinal", session_id
        ):
            by_framework.setdefault(run.framework or UNKNOWN, []).append(run)
        for framework, runs in by_framework.items():
            first, last = ((run.failed or 0) + (run.errors or 0) for run in (runs[0], runs[-1]))
            if last > first:
                at_ns = runs[-1].at_ns or 0
                self._store.upsert(
                    model.Regression(
                        session_id=session_id,
                        framework=framework,
                        bugs=last - first,
                        at_ns=at_ns,
                        **self._labels(session_id, at_ns),
                    )
                )

    def _close(self, session_id: str) -> None:
        """What a session that is over left open."""
        self._regressions(session_id)
        for call in self._store.select(
            model.ToolCall,
            "session_id = ? AND outcome IN ('success', 'error') AND seen_by_hooks IS NULL AND transcript_only IS NULL",
            session_id,
        ):
            self._store.upsert(model.ToolCall(tool_use_id=call.tool_use_id, transcript_only=1))
        for call in self._store.select(
            model.ToolCall, "session_id = ? AND outcome IS NULL AND tool IS NOT NULL", session_id
        ):
            self._store.upsert(model.ToolCall(tool_use_id=call.tool_use_id, outcome="interrupted"))
        for task in self._store.select(model.Task, "session_id = ? AND task_type IS NULL", session_id):
            self._store.upsert(model.Task(session_id=session_id, task_id=task.task_id, task_type=DEFAULT_TYPE))


def _starts(signals: list[Signal]) -> list[Signal]:
    """The starts of a session's runs: a compaction starts nothing."""
    return [signal for signal in signals if signal.event == "SessionStart" and signal.detail != "compact"]


def _is_alive(process: int | None) -> bool:
    if not process:
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # somebody else's: there is one
    return True
