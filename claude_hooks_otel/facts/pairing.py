"""Pairing: facts that follow only from several events. A start gets its end, and what a killed session left open gets an outcome.

Pairing runs for a session when all its events and lines are read. Its result depends only on the store. So it may run again, at any
time and after more events: it only adds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from claude_hooks_otel.facts import auxiliary, model
from claude_hooks_otel.facts.from_transcripts import UNNAMED_AGENT
from claude_hooks_otel.facts.ledger import LedgerEntry, run_starts
from claude_hooks_otel.facts.model import KILLED
from claude_hooks_otel.facts.processes import is_alive
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.facts.tasks import DEFAULT_TYPE
from claude_hooks_otel.facts.turns import end_turns
from claude_hooks_otel.metrics.labels import UNKNOWN
from claude_hooks_otel.metrics.outcomes import PermissionDecision, SubagentOutcome, ToolOutcome
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.timeline import KILLED_AFTER, OVER_AFTER, PAIRED_AFTER, REFUSED_WITHIN, START_ASSUMED_AFTER
from claude_hooks_otel.units import END_OF_TIME

# A call's outcome → the answer to its permission request. A call that ran was allowed.
_DECISIONS: dict[str, PermissionDecision] = {
    ToolOutcome.REJECTED: PermissionDecision.REJECTED,
    ToolOutcome.DENIED: PermissionDecision.DENIED,
}


class Pairing:
    """Pairs the events of sessions, inside the caller's transaction.

    Args:
        facts: the facts of the store.
        history_ns: returns for a session the time from which the client's account counts, Unix nanoseconds.
        expects_hooks: whether a call that no hook reported is one whose hook was lost.
    """

    def __init__(self, facts: Facts, history_ns: Callable[[str], int], *, expects_hooks: bool = True) -> None:
        self._facts = facts
        self._expects_hooks = expects_hooks
        self._history_ns = history_ns

    def pair(self, session_id: str, now_ns: int, heard_ns: int) -> bool:
        """Pair everything of one session that no later event can change.

        Args:
            session_id: the session.
            now_ns: the time, Unix nanoseconds.
            heard_ns: when the daemon last read an event or line of the session. The event itself may be much older.

        Returns:
            Whether the session is over and nothing more of it is expected.
        """
        facts = self._facts
        session = facts.get(model.Session, session_id)
        if session is None:
            return True
        silence_ns = now_ns - heard_ns
        entries = facts.ledger.entries(session_id, "SessionStart", "SessionEnd")
        starts, ends = run_starts(entries), [entry for entry in entries if entry.event == "SessionEnd"]
        # A late start does not count if its run was inferred before.
        if facts.get(model.SessionRun, session_id, model.INFERRED) is None:
            facts.upsert(*(self._run(session, start.received_ns, start.detail) for start in starts))
        if starts or silence_ns > START_ASSUMED_AFTER:
            facts.upsert(*self._turn_starts(session_id, starts[0].received_ns if starts else 0))
        if silence_ns < PAIRED_AFTER:
            return False
        if not starts and silence_ns > START_ASSUMED_AFTER and self._lacks_start(session):
            facts.upsert(self._run(session, model.INFERRED, "startup"))
        seen_ns = session.last_seen_ns or 0
        # A time that is still to come is from before the clock was set back. It says nothing about how long ago it was.
        ago_ns = now_ns - seen_ns if seen_ns <= now_ns else silence_ns
        is_gone = min(ago_ns, silence_ns) > KILLED_AFTER and not is_alive(session.process)
        facts.upsert(*self._ended_runs(session, starts, ends, is_gone=is_gone))
        ended_ns = seen_ns if is_gone else None
        if ends and (not starts or ends[-1].received_ns >= starts[-1].received_ns):
            ended_ns = ends[-1].received_ns
        may_infer = silence_ns >= OVER_AFTER
        is_over = ended_ns is not None and not 0 <= now_ns - ended_ns < OVER_AFTER and may_infer
        facts.upsert(*self._permissions(session_id, is_over=is_over))
        if may_infer:
            facts.upsert(*self._models_of_failed_requests(session_id))
        end_turns(facts, session, may_infer=may_infer, is_over=is_over)
        facts.upsert(*self._subagent_turns(session_id, is_over=is_over))
        facts.upsert(*self._compactions(session), *self._task_durations(session_id), *self._review_durations())
        nothing_follows = is_over or silence_ns > START_ASSUMED_AFTER
        facts.upsert(*auxiliary.usage(facts, session, self._history_ns(session_id), nothing_follows=nothing_follows))
        if is_over:
            facts.upsert(*self._regressions(session_id), *self._closed(session))
        return is_over

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _lacks_start(self, session: model.Session) -> bool:
        """Return whether a session without a SessionStart has no run, and its start does not count under another session's id."""
        if self._facts.select(model.SessionRun, "session_id = ?", session.session_id):
            return False
        return not self._facts.ledger.is_started_under_another_id(
            session.session_id, session.process, session.first_seen_ns or 0
        )

    def _ended_runs(
        self, session: model.Session, starts: list[LedgerEntry], ends: list[LedgerEntry], *, is_gone: bool
    ) -> Iterator[model.SessionRun]:
        """Pair each start with the first end before the next start. A run without an end was killed."""
        for start, following in zip(starts, [*starts[1:], None], strict=False):
            until = following.received_ns if following else END_OF_TIME
            end = next((end for end in ends if start.received_ns <= end.received_ns < until), None)
            if end is None and start.process:
                elsewhere = self._facts.ledger.end_under_another_id(start)
                end = elsewhere if elsewhere and elsewhere.received_ns < until else None
            if end is None and (following or is_gone):
                seen_ns = self._last_seen_ns(session.session_id, until)
                end = LedgerEntry(max(seen_ns, start.received_ns), "SessionEnd", "", "", KILLED)
            if end and self._facts.get(model.SessionRun, session.session_id, start.received_ns):
                yield self._run(session, start.received_ns, start.detail, end)

    def _last_seen_ns(self, session_id: str, before_ns: int) -> int:
        """Return the time of a session's last event or answer before a time. With light registration, answers come between events."""
        answer = "SELECT MAX(at_ns) FROM api_request WHERE session_id = ? AND at_ns < ?"
        (answered_ns,) = self._facts.connection.execute(answer, (session_id, before_ns)).fetchone()
        return max(answered_ns or 0, self._facts.ledger.last_seen_ns(session_id, before_ns=before_ns) or 0)

    def _run(
        self, session: model.Session, started_ns: int, source: str, end: LedgerEntry | None = None
    ) -> model.SessionRun:
        return model.SessionRun(
            session_id=session.session_id,
            started_ns=started_ns,
            source=source,
            ended_ns=end.received_ns if end else None,
            end_reason=end.detail if end else None,
            **self._facts.identities.columns(session.session_id, started_ns),
        )

    def _turn_starts(self, session_id: str, began_ns: int) -> Iterator[model.Turn]:
        """Yield the starts of turns from the transcript. A line from before the session began is a copy from another session."""
        is_earlier = (
            "session_id = ? AND at_ns >= ? AND NOT EXISTS "
            "(SELECT 1 FROM turn WHERE turn.prompt_id = prompt_line.prompt_id AND turn.started_ns <= at_ns)"
        )
        for line in self._facts.select(model.PromptLine, is_earlier, session_id, began_ns):
            yield model.Turn(prompt_id=line.prompt_id, session_id=session_id, started_ns=line.at_ns)

    # -- sub-agents ----------------------------------------------------------------------------------------------------

    def _subagent_turns(self, session_id: str, *, is_over: bool) -> Iterator[model.SubagentTurn]:
        by_agent: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
        for entry in self._facts.ledger.entries(session_id, "SubagentStart", "SubagentStop", "StopFailure"):
            by_agent[entry.agent_id].append(entry)
        for agent in self._facts.select(model.Subagent, "session_id = ?", session_id):
            started: int | None = None
            entries = by_agent[agent.agent_id]
            for entry in entries:
                if entry.event == "SubagentStart":
                    started = entry.received_ns if started is None else started
                    continue
                failed = entry.event == "StopFailure"
                outcome = SubagentOutcome.FAILED if failed else SubagentOutcome.COMPLETED
                yield self._subagent_turn(agent, entry.received_ns, outcome, started)
                started = None
            if is_over and started is not None:  # its parent stopped it, or it ended with its session
                yield self._subagent_turn(agent, model.INFERRED, SubagentOutcome.KILLED, started)
            elif is_over and not entries and agent.in_transcript:  # no hook reported it
                yield self._subagent_turn(agent, model.INFERRED, SubagentOutcome.COMPLETED, None)

    def _subagent_turn(
        self, agent: model.Subagent, ended_ns: int, outcome: SubagentOutcome, started_ns: int | None
    ) -> model.SubagentTurn:
        return model.SubagentTurn(
            agent_id=agent.agent_id,
            ended_ns=ended_ns,
            session_id=agent.session_id,
            agent_type=agent.agent_type or UNNAMED_AGENT,
            outcome=outcome,
            started_ns=started_ns,
            **self._facts.identities.columns(agent.session_id, started_ns or ended_ns),
        )

    # -- compactions, tasks, reviews, permissions, requests ------------------------------------------------------------

    def _compactions(self, session: model.Session) -> Iterator[model.Compaction]:
        session_id, first_seen_ns = session.session_id, session.first_seen_ns or 0
        entries = self._facts.ledger.entries(session_id, "SessionStart", "PostCompact")
        # A fork's transcript begins with the marks of its parent. The fork's own marks are not older than the fork.
        since_ns = first_seen_ns if any(entry.event == "SessionStart" for entry in entries) else 0
        hooks = Counter(entry.detail or "auto" for entry in entries if entry.event == "PostCompact")
        boundaries = self._facts.select(model.CompactBoundary, "session_id = ? AND at_ns >= ?", session_id, since_ns)
        marks = Counter(mark.trigger or "auto" for mark in boundaries)
        labels = self._facts.identities.columns(session_id, first_seen_ns)
        for trigger in hooks | marks:
            yield model.Compaction(
                session_id=session_id,
                trigger=trigger,
                seen_by_hooks=hooks[trigger],
                in_transcript=marks[trigger],
                **labels,
            )

    def _task_durations(self, session_id: str) -> Iterator[model.Task]:
        unmeasured = "session_id = ? AND completed_ns IS NOT NULL AND duration_ns IS NULL"
        for task in self._facts.select(model.Task, unmeasured, session_id):
            begun = task.started_ns if task.started_ns is not None else task.created_ns
            if begun is not None and task.completed_ns is not None:
                duration = max(0, task.completed_ns - begun)
                yield model.Task(session_id=session_id, task_id=task.task_id, duration_ns=duration)

    def _review_durations(self) -> Iterator[model.PullRequestReview]:
        """Measure the pull requests whose two times are known. They may come from different sessions."""
        both = "agent IS NOT NULL AND opened_ns IS NOT NULL AND merged_ns IS NOT NULL AND duration_ns IS NULL"
        for review in self._facts.select(model.PullRequestReview, both):
            duration = max(0, (review.merged_ns or 0) - (review.opened_ns or 0))
            yield model.PullRequestReview(address_digest=review.address_digest, duration_ns=duration)

    def _permissions(self, session_id: str, *, is_over: bool) -> Iterator[model.PermissionWait]:
        """Pair each permission request with its call: the next call of that tool that ended after the request."""
        known = self._facts.select(model.PermissionWait, "session_id = ?", session_id)
        asked_ns = {wait.tool_use_id: wait.asked_ns for wait in known}
        paired: list[model.ToolCall] = []
        for asked in self._facts.ledger.entries(session_id, "PermissionRequest"):
            calls = self._facts.select(
                model.ToolCall,
                "session_id = ? AND tool = ? AND COALESCE(agent_id, '') = ? AND (outcome IS NOT NULL AND ended_ns >= ? OR "
                "outcome IS NULL AND ended_ns IS NULL AND started_ns <= ? AND ?) ORDER BY COALESCE(ended_ns, ?), started_ns",
                session_id, asked.detail, asked.agent_id, asked.received_ns, asked.received_ns, is_over, END_OF_TIME,
            )  # fmt: skip
            taken = {call.tool_use_id for call in paired}
            own = asked.received_ns
            call = next(
                (
                    call
                    for call in calls
                    if call.tool_use_id not in taken and asked_ns.get(call.tool_use_id, own) == own
                ),
                None,
            )
            if call is not None:
                paired.append(call)
                yield self._wait(session_id, call, asked.received_ns)
        for call in self._facts.select(model.ToolCall, "session_id = ? AND outcome = 'rejected'", session_id):
            if not any(call.tool_use_id == other.tool_use_id or _refused_together(call, other) for other in paired):
                paired.append(call)  # no hook reported its dialog
                yield self._wait(
                    session_id, call, asked_ns.get(call.tool_use_id) or call.started_ns or call.ended_ns or 0
                )

    def _wait(self, session_id: str, call: model.ToolCall, asked_ns: int) -> model.PermissionWait:
        answered_ns = (call.ended_ns or 0) - (call.duration_ns or 0)  # a call's own duration begins after the answer
        decision = _DECISIONS.get(call.outcome or "", PermissionDecision.ALLOWED)
        if call.outcome is None:  # the client exited first
            runs = self._facts.select(
                model.SessionRun, "session_id = ? AND ended_ns >= ? ORDER BY ended_ns", session_id, asked_ns
            )
            answered_ns = (runs[0].ended_ns if runs else 0) or 0
            decision = PermissionDecision.UNANSWERED
        return model.PermissionWait(
            session_id=session_id,
            asked_ns=asked_ns,
            tool=call.tool,
            tool_use_id=call.tool_use_id,
            decision=decision,
            waited_ns=max(0, answered_ns - asked_ns),
            **self._facts.identities.columns(session_id, asked_ns),
        )

    def _models_of_failed_requests(self, session_id: str) -> Iterator[model.ApiRequest]:
        """Give each failed request the model that answered before it."""
        unnamed = "session_id = ? AND error IS NOT NULL AND model IS NULL"
        for failed in self._facts.select(model.ApiRequest, unnamed, session_id):
            answered = self._facts.select(
                model.ApiRequest,
                "session_id = ? AND error IS NULL AND at_ns < ? AND agent_id IS ? ORDER BY at_ns DESC LIMIT 1",
                session_id, failed.at_ns or 0, failed.agent_id,
            )  # fmt: skip
            chosen = answered[0].model if answered else UNKNOWN
            yield model.ApiRequest(message_id=failed.message_id, answer_id=failed.answer_id, model=chosen)

    # -- the end of a session ------------------------------------------------------------------------------------------

    def _closed(self, session: model.Session) -> Iterator[model.Fact]:
        """Complete the calls and tasks that a finished session left open. Light registration has no hook for calls."""
        session_id = session.session_id
        has_hooks = self._expects_hooks and session.registration != Registration.LIGHT
        unfinished = "session_id = ? AND outcome IS NULL AND tool IS NOT NULL"
        for call in self._facts.select(model.ToolCall, unfinished, session_id):
            outcome = self._outcome_of_an_unfinished_call(call)
            transcript_only = 1 if has_hooks and outcome == ToolOutcome.ERROR else None  # its hook was lost
            yield model.ToolCall(tool_use_id=call.tool_use_id, outcome=outcome, transcript_only=transcript_only)
        no_hook = (
            "session_id = ? AND outcome IN ('success', 'error') AND seen_by_hooks IS NULL AND transcript_only IS NULL"
        )
        for call in self._facts.select(model.ToolCall, no_hook, session_id) if has_hooks else ():
            yield model.ToolCall(tool_use_id=call.tool_use_id, transcript_only=1)
        for task in self._facts.select(model.Task, "session_id = ? AND task_type IS NULL", session_id):
            yield model.Task(session_id=session_id, task_id=task.task_id, task_type=DEFAULT_TYPE)

    def _outcome_of_an_unfinished_call(self, call: model.ToolCall) -> ToolOutcome:
        """Return an error if the conversation went on after a signal ended the command. Otherwise the client has exited."""
        if call.ended_ns is None:
            return ToolOutcome.INTERRUPTED
        starts = run_starts(self._facts.ledger.entries(call.session_id or "", "SessionStart"))
        until = min((start.received_ns for start in starts if start.received_ns > call.ended_ns), default=END_OF_TIME)
        went_on = self._facts.select(
            model.ApiRequest,
            "session_id = ? AND agent_id IS ? AND at_ns > ? AND at_ns < ? LIMIT 1",
            call.session_id, call.agent_id, call.ended_ns, until,
        )  # fmt: skip
        return ToolOutcome.ERROR if went_on else ToolOutcome.INTERRUPTED

    def _regressions(self, session_id: str) -> Iterator[model.Regression]:
        """Count how many more tests fail in the session's last run of a framework than in its first."""
        by_framework: defaultdict[str, list[model.SuiteRun]] = defaultdict(list)
        in_order = "session_id = ? ORDER BY at_ns, tool_use_id, ordinal"
        for run in self._facts.select(model.SuiteRun, in_order, session_id):
            by_framework[run.framework or UNKNOWN].append(run)
        for framework, runs in by_framework.items():
            first, last = ((run.failed or 0) + (run.errors or 0) for run in (runs[0], runs[-1]))
            if last > first:
                at_ns = runs[-1].at_ns or 0
                labels = self._facts.identities.columns(session_id, at_ns)
                yield model.Regression(
                    session_id=session_id, framework=framework, bugs=last - first, at_ns=at_ns, **labels
                )


def _refused_together(call: model.ToolCall, other: model.ToolCall) -> bool:
    """Return whether two calls were refused with one dialog: who refuses one of several parallel calls refuses them all."""
    return other.outcome == ToolOutcome.REJECTED and abs((call.ended_ns or 0) - (other.ended_ns or 0)) < REFUSED_WITHIN
