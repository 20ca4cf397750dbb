"""Pairing: what no single event says. Which start belongs to which end, what a killed session left open, what the client spent besides.

Pairing runs for a session when nothing of it waits to be read. It depends only on what the store holds. So running it again, later, or
after more has arrived only adds.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from claude_hooks_otel.facts import auxiliary, model
from claude_hooks_otel.facts.from_transcripts import UNNAMED_AGENT
from claude_hooks_otel.facts.ledger import LedgerEntry
from claude_hooks_otel.facts.model import KILLED
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.facts.tasks import DEFAULT_TYPE
from claude_hooks_otel.facts.turns import end_turns
from claude_hooks_otel.metrics.labels import UNKNOWN, Identity
from claude_hooks_otel.metrics.outcomes import PermissionDecision, SubagentOutcome, ToolOutcome
from claude_hooks_otel.timeline import KILLED_AFTER, OVER_AFTER, PAIRED_AFTER, START_ASSUMED_AFTER

# A call's outcome → how the permission request before it was answered. A call that ran was allowed.
_DECISIONS = {ToolOutcome.REJECTED: PermissionDecision.REJECTED, ToolOutcome.DENIED: PermissionDecision.DENIED}


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a session is paired: the time, and how long the session has been silent, nanoseconds."""

    now_ns: int
    silence_ns: int


class Pairing:
    """Pairs the sessions of one store. The caller holds the transaction.

    Args:
        facts: what is known.
        history_ns: says since when facts count, Unix nanoseconds.
    """

    def __init__(self, facts: Facts, history_ns: Callable[[], int]) -> None:
        self._facts = facts
        self._history_ns = history_ns

    def pair(self, session_id: str, now_ns: int, heard_ns: int) -> bool:
        """Pair, close and infer for one session what is safe by now.

        Args:
            session_id: the session.
            now_ns: the time, Unix nanoseconds.
            heard_ns: when something of the session last arrived here, which may be long after it happened.

        Returns:
            Whether the session is over and nothing more of it is expected.
        """
        session = self._facts.get(model.Session, session_id)
        if session is None:
            return True
        moment = _Moment(now_ns, now_ns - heard_ns)
        entries = self._facts.ledger.entries(session_id, "SessionStart", "SessionEnd")
        self._starts(session, entries)
        if moment.silence_ns < PAIRED_AFTER:
            return False
        ended_ns = self._runs(session, entries, moment)
        may_infer = moment.silence_ns >= OVER_AFTER
        is_over = ended_ns is not None and now_ns - ended_ns >= OVER_AFTER and may_infer
        self._permissions(session_id)
        if may_infer:
            self._failed_requests(session_id)
        end_turns(self._facts, session, may_infer=may_infer, is_over=is_over)
        self._subagents(session, is_over=is_over)
        self._compactions(session)
        self._tasks(session_id)
        self._reviews()
        nothing_follows = is_over or moment.silence_ns > START_ASSUMED_AFTER
        auxiliary.add_usage(self._facts, session, self._history_ns(), nothing_follows=nothing_follows)
        if is_over:
            self._close(session_id)
        return is_over

    def _labels(self, session_id: str, at_ns: int) -> dict[str, Any]:
        return (self._facts.identities.at(session_id, at_ns) or Identity()).columns()

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _starts(self, session: model.Session, entries: list[LedgerEntry]) -> None:
        for start in _starts(entries):
            if self._facts.get(model.SessionRun, session.session_id, model.INFERRED) is not None:
                break  # the run was counted before its late event arrived
            self._run(session, start.received_ns, start.detail, None)

    def _runs(self, session: model.Session, entries: list[LedgerEntry], moment: _Moment) -> int | None:
        """Pair starts with ends. Return when the session's last run ended, Unix nanoseconds; None while it goes on."""
        starts = _starts(entries)
        ends = [entry for entry in entries if entry.event == "SessionEnd"]
        last_seen = session.last_seen_ns or 0
        is_gone = min(moment.now_ns - last_seen, moment.silence_ns) > KILLED_AFTER and not _is_alive(session.process)
        if not starts and moment.silence_ns > START_ASSUMED_AFTER and not self._has_run(session.session_id):
            self._run(session, model.INFERRED, "startup", None)
        for index, start in enumerate(starts):
            until = starts[index + 1].received_ns if index + 1 < len(starts) else None
            end = next(
                (e for e in ends if e.received_ns >= start.received_ns and (until is None or e.received_ns < until)),
                None,
            )
            if end is None and (until is not None or is_gone):
                seen = last_seen if until is None else self._last_seen_ns(session.session_id, until)
                end = LedgerEntry(max(seen, start.received_ns), "SessionEnd", "", "", KILLED)
            if end is not None and self._facts.get(model.SessionRun, session.session_id, start.received_ns):
                self._run(session, start.received_ns, start.detail, end)
        if ends and (not starts or ends[-1].received_ns >= starts[-1].received_ns):
            return ends[-1].received_ns
        return last_seen if is_gone else None

    def _run(self, session: model.Session, started_ns: int, source: str, end: LedgerEntry | None) -> None:
        self._facts.upsert(
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
        return bool(self._facts.select(model.SessionRun, "session_id = ?", session_id))

    def _last_seen_ns(self, session_id: str, before_ns: int) -> int:
        return self._facts.ledger.last_seen_ns(session_id, before_ns=before_ns) or 0

    # -- sub-agents ----------------------------------------------------------------------------------------------------

    def _subagents(self, session: model.Session, *, is_over: bool) -> None:
        by_agent: dict[str, list[LedgerEntry]] = {}
        for entry in self._facts.ledger.entries(session.session_id, "SubagentStart", "SubagentStop", "StopFailure"):
            if entry.agent_id:
                by_agent.setdefault(entry.agent_id, []).append(entry)
        for agent in self._facts.select(model.Subagent, "session_id = ?", session.session_id):
            started: int | None = None
            entries = by_agent.get(agent.agent_id, [])
            for entry in entries:
                if entry.event == "SubagentStart":
                    started = entry.received_ns if started is None else started
                    continue
                failed = entry.event == "StopFailure"
                outcome = SubagentOutcome.FAILED if failed else SubagentOutcome.COMPLETED
                self._subagent_turn(agent, entry.received_ns, outcome, started)
                started = None
            if not is_over:
                continue
            if started is not None:  # stopped by its parent, or gone with its session
                self._subagent_turn(agent, model.INFERRED, SubagentOutcome.KILLED, started)
            elif not entries and agent.in_transcript:  # only the transcript shows it
                self._subagent_turn(agent, model.INFERRED, SubagentOutcome.COMPLETED, None)

    def _subagent_turn(
        self, agent: model.Subagent, ended_ns: int, outcome: SubagentOutcome, started_ns: int | None
    ) -> None:
        self._facts.upsert(
            model.SubagentTurn(
                agent_id=agent.agent_id,
                ended_ns=ended_ns,
                session_id=agent.session_id,
                agent_type=agent.agent_type or UNNAMED_AGENT,
                outcome=outcome,
                started_ns=started_ns,
                **self._labels(agent.session_id or "", started_ns or ended_ns),
            )
        )

    # -- compactions, tasks, reviews, permissions, requests ------------------------------------------------------------

    def _compactions(self, session: model.Session) -> None:
        entries = self._facts.ledger.entries(session.session_id, "SessionStart", "PostCompact")
        # A fork's transcript begins with the marks of its parent. Its own ones lie in its own time.
        has_start = any(entry.event == "SessionStart" for entry in entries)
        since_ns = (session.first_seen_ns or 0) if has_start else 0
        hooks = Counter(entry.detail or "auto" for entry in entries if entry.event == "PostCompact")
        marks = Counter(
            mark.trigger or "auto"
            for mark in self._facts.select(
                model.CompactBoundary, "session_id = ? AND at_ns >= ?", session.session_id, since_ns
            )
        )
        for trigger in hooks | marks:
            self._facts.upsert(
                model.Compaction(
                    session_id=session.session_id,
                    trigger=trigger,
                    seen_by_hooks=hooks[trigger],
                    in_transcript=marks[trigger],
                    **self._labels(session.session_id, session.first_seen_ns or 0),
                )
            )

    def _tasks(self, session_id: str) -> None:
        """Measure the tasks that are completed."""
        unmeasured = "session_id = ? AND completed_ns IS NOT NULL AND duration_ns IS NULL"
        for task in self._facts.select(model.Task, unmeasured, session_id):
            begun = task.started_ns if task.started_ns is not None else task.created_ns
            if begun is not None and task.completed_ns is not None:
                duration = max(0, task.completed_ns - begun)
                self._facts.upsert(model.Task(session_id=session_id, task_id=task.task_id, duration_ns=duration))

    def _reviews(self) -> None:
        """Measure the pull requests of which both ends are known, whichever sessions told of them."""
        both = "agent IS NOT NULL AND opened_ns IS NOT NULL AND merged_ns IS NOT NULL AND duration_ns IS NULL"
        for review in self._facts.select(model.PullRequestReview, both):
            duration = max(0, (review.merged_ns or 0) - (review.opened_ns or 0))
            self._facts.upsert(model.PullRequestReview(address_digest=review.address_digest, duration_ns=duration))

    def _permissions(self, session_id: str) -> None:
        """Pair each permission request with its call: the next one of that tool that ended after the request."""
        taken: set[str] = set()
        for asked in self._facts.ledger.entries(session_id, "PermissionRequest"):
            calls = self._facts.select(
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
            outcome = ToolOutcome(call.outcome) if call.outcome else ToolOutcome.SUCCESS
            self._facts.upsert(
                model.PermissionWait(
                    session_id=session_id,
                    asked_ns=asked.received_ns,
                    tool=asked.detail,
                    tool_use_id=call.tool_use_id,
                    decision=_DECISIONS.get(outcome, PermissionDecision.ALLOWED),
                    waited_ns=max(0, answered - asked.received_ns),
                    **self._labels(session_id, asked.received_ns),
                )
            )

    def _failed_requests(self, session_id: str) -> None:
        """Give failed requests a model: the one that answered the session before."""
        for failed in self._facts.select(
            model.ApiRequest, "session_id = ? AND error IS NOT NULL AND model IS NULL", session_id
        ):
            answered = self._facts.select(
                model.ApiRequest,
                "session_id = ? AND error IS NULL AND at_ns < ? AND agent_id IS ? ORDER BY at_ns DESC LIMIT 1",
                session_id, failed.at_ns or 0, failed.agent_id,
            )  # fmt: skip
            name = answered[0].model if answered else UNKNOWN
            self._facts.upsert(model.ApiRequest(message_id=failed.message_id, model=name))

    # -- the end of a session ------------------------------------------------------------------------------------------

    def _close(self, session_id: str) -> None:
        """Close what a session that is over has left open."""
        self._regressions(session_id)
        for call in self._facts.select(
            model.ToolCall,
            "session_id = ? AND outcome IN ('success', 'error') AND seen_by_hooks IS NULL AND transcript_only IS NULL",
            session_id,
        ):
            self._facts.upsert(model.ToolCall(tool_use_id=call.tool_use_id, transcript_only=1))
        for call in self._facts.select(
            model.ToolCall, "session_id = ? AND outcome IS NULL AND tool IS NOT NULL", session_id
        ):
            self._facts.upsert(model.ToolCall(tool_use_id=call.tool_use_id, outcome=ToolOutcome.INTERRUPTED))
        for task in self._facts.select(model.Task, "session_id = ? AND task_type IS NULL", session_id):
            self._facts.upsert(model.Task(session_id=session_id, task_id=task.task_id, task_type=DEFAULT_TYPE))

    def _regressions(self, session_id: str) -> None:
        """Count the tests that fail in a suite's last run and did not in the session's first."""
        by_framework: dict[str, list[model.SuiteRun]] = {}
        for run in self._facts.select(
            model.SuiteRun, "session_id = ? ORDER BY at_ns, tool_use_id, ordinal", session_id
        ):
            by_framework.setdefault(run.framework or UNKNOWN, []).append(run)
        for framework, runs in by_framework.items():
            first, last = ((run.failed or 0) + (run.errors or 0) for run in (runs[0], runs[-1]))
            if last > first:
                at_ns = runs[-1].at_ns or 0
                self._facts.upsert(
                    model.Regression(
                        session_id=session_id,
                        framework=framework,
                        bugs=last - first,
                        at_ns=at_ns,
                        **self._labels(session_id, at_ns),
                    )
                )


def _starts(entries: list[LedgerEntry]) -> list[LedgerEntry]:
    """Return the starts of a session's runs: a compaction starts none."""
    return [entry for entry in entries if entry.event == "SessionStart" and entry.detail != "compact"]


def _is_alive(process: int | None) -> bool:
    if not process:
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's process
    return True
