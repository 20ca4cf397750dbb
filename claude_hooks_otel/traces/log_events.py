"""From the facts of a session to log events: one for each thing that people search for.

A pure function, like the spans: the same facts make the same events, ids included. An event is only made of what is final, because
it is sent once. Bodies are the few words of a table; nothing a human or a model wrote is in an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces import attributes, ids
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.agent_turns import AgentTurn, AgentTurns, times_of_call
from claude_hooks_otel.traces.event_kinds import BY_NAME
from claude_hooks_otel.traces.model import LogEvent, Severity, Value
from claude_hooks_otel.traces.session_facts import SessionFacts, asked_ns, call_times
from claude_hooks_otel.traces.turn_trace import Sampler, trace_of
from claude_hooks_otel.units import SECOND

# The words of the facts for what went well, and for an end that nobody reported.
_SUCCESS, _ALLOWED, _COMPLETED, _PASSED, _KILLED = "success", "allowed", "completed", "passed", "killed"


@dataclass(frozen=True, slots=True)
class SessionEvents:
    """What of a session can be told.

    Attributes:
        events: in order of time.
        held_ns: the earliest time of what cannot be told yet, Unix nanoseconds; None where all can.
    """

    events: tuple[LogEvent, ...]
    held_ns: int | None


def events_of(
    facts: SessionFacts,
    *,
    is_over: bool = True,
    follow_traceparent: bool = False,
    is_sent: Sampler = lambda *_: True,
) -> SessionEvents:
    """The log events of a session.

    Args:
        facts: of the session, or of a stretch of it.
        is_over: whether nothing more is expected of it. Before that, what a sub-agent did waits for the end of its turn, which tells
            in which trace it is.
        follow_traceparent: as for the spans.
        is_sent: which traces are.
    """
    return _Events(facts, is_over=is_over, follow_traceparent=follow_traceparent, is_sent=is_sent).build()


class _Events:
    def __init__(self, facts: SessionFacts, *, is_over: bool, follow_traceparent: bool, is_sent: Sampler) -> None:
        self._facts = facts
        self._is_over = is_over
        self._follow_traceparent = follow_traceparent
        self._is_sent = is_sent
        self._agent_turns = AgentTurns(facts, is_over=is_over)
        self._held_ns: int | None = None

    def build(self) -> SessionEvents:
        found = [*self._calls(), *self._requests(), *self._waits()]
        # Of all else a stretch of a session's facts has everything.
        whole = (
            *self._session(),
            *self._turns(),
            *self._subagents(),
            *self._tasks(),
            *self._code(),
            *self._conversation(),
        )
        found += [event for event in whole if self._facts.begin_ns <= event.at_ns < self._facts.end_ns]
        return SessionEvents(tuple(sorted(found, key=lambda event: (event.at_ns, event.uid))), self._held_ns)

    def _event(
        self,
        name: str,
        key: tuple[str | int, ...],
        at_ns: int,
        fact: model.Fact,
        given: Mapping[str, Value | None],
        *,
        turn: model.Turn | None = None,
        span_id: int | None = None,
        failed: bool = False,
    ) -> LogEvent:
        """One event; of the attributes given, those that are known. Its span is one of the turn's, by default the root."""
        kind = BY_NAME[name]
        trace = trace_of(turn, follow_traceparent=self._follow_traceparent) if turn is not None else None
        known = {attribute: value for attribute, value in given.items() if value is not None and value != ""}
        return LogEvent(
            uid=ids.event_id(name, *key),
            name=name,
            at_ns=at_ns,
            body=kind.failed if failed else kind.body,
            severity=kind.severity if failed else Severity.INFO,
            attributes=attributes.common(self._facts.session, fact) | known,
            trace_id=trace.trace_id if trace else None,
            span_id=(span_id if span_id is not None else trace.root_id) if trace else None,
            is_sampled=trace is not None and self._is_sent(trace.trace_id, trace.parent_sampled),
        )

    def _waits_for(self, place: AgentTurn | None, at_ns: int) -> bool:
        """Whether something has to be held back because its place is not known yet."""
        if place is not None or self._is_over:
            return False
        self._held_ns = min(at_ns, self._held_ns if self._held_ns is not None else at_ns)
        return True

    # -- by what they tell of ------------------------------------------------------------------------------------------------

    def _session(self) -> Iterator[LogEvent]:
        session = self._facts.session
        for run in self._facts.runs:
            if run.started_ns == model.INFERRED:
                continue  # when it began, nobody knows
            key = (session.session_id, run.started_ns)
            yield self._event(names.EVENT_SESSION_START, key, run.started_ns, run, {names.SOURCE: run.source})
            if run.ended_ns is not None:
                ended = {names.REASON: run.end_reason, names.DURATION: _seconds(run.started_ns, run.ended_ns)}
                killed = run.end_reason == _KILLED
                yield self._event(names.EVENT_SESSION_END, key, run.ended_ns, run, ended, failed=killed)

    def _turns(self) -> Iterator[LogEvent]:
        for turn in self._facts.turns:
            key, given = (turn.session_id or "", turn.prompt_id), {names.PROMPT: turn.prompt_id}
            if turn.prompts_seen_by_hooks or turn.prompts_in_transcript:
                yield self._event(names.EVENT_PROMPT, key, turn.started_ns or 0, turn, given, turn=turn)
            if turn.interrupted_ns is not None:
                interrupted = names.EVENT_INTERRUPT
                yield self._event(interrupted, key, turn.interrupted_ns, turn, given, turn=turn, failed=True)

    def _calls(self) -> Iterator[LogEvent]:
        for call in self._facts.calls:
            place = self._agent_turns.of_call(call)
            if self._waits_for(place, asked_ns(call)):
                continue
            begin, end = times_of_call(call, place)
            failed = call.outcome != _SUCCESS
            given = attributes.tool(call) | {names.DURATION: _seconds(begin, end)}
            yield self._event(
                names.EVENT_TOOL_RESULT,
                (call.tool_use_id,),
                end,
                call,
                given | {names.SUBAGENT: call.agent_id or "", names.ERROR_TYPE: (call.outcome or "") if failed else ""},
                turn=place.turn if place else None,
                span_id=ids.tool_span_id(call.tool_use_id),
                failed=failed,
            )

    def _requests(self) -> Iterator[LogEvent]:
        for request in self._facts.requests:
            if request.error is None:
                continue
            place = self._agent_turns.of_request(request)
            if self._waits_for(place, request.at_ns or 0):
                continue
            given = {
                names.REQUEST_MODEL: request.model,
                names.ERROR_TYPE: request.error,
                names.REQUEST: request.request_id,
                names.SUBAGENT: request.agent_id,
            }
            yield self._event(
                names.EVENT_API_ERROR,
                (request.message_id,),
                request.at_ns or 0,
                request,
                given,
                turn=place.turn if place else None,
                span_id=ids.chat_span_id(request.message_id),
                failed=True,
            )

    def _waits(self) -> Iterator[LogEvent]:
        for wait in self._facts.waits:
            place = self._agent_turns.of_wait(wait)
            if self._waits_for(place, wait.asked_ns):
                continue
            key = (wait.session_id, wait.asked_ns, wait.tool or "")
            waited_ns = wait.waited_ns or 0
            given = {
                names.TOOL_NAME: wait.tool,
                names.TOOL_CALL: wait.tool_use_id,
                names.DECISION: wait.decision,
                names.DURATION: waited_ns / SECOND,
            }
            yield self._event(
                names.EVENT_PERMISSION_DECISION,
                key,
                wait.asked_ns + waited_ns,
                wait,
                given,
                turn=place.turn if place else None,
                span_id=ids.permission_span_id(*key),
                failed=wait.decision != _ALLOWED,
            )

    def _subagents(self) -> Iterator[LogEvent]:
        for agent_turn in self._agent_turns.of_subagents():
            told = agent_turn.invocation
            if told is None:
                continue
            given = {
                names.AGENT_NAME: told.agent_type,
                names.SUBAGENT: told.agent_id,
                names.OUTCOME: told.outcome,
                names.DURATION: _seconds(agent_turn.begin_ns, agent_turn.end_ns),
            }
            yield self._event(
                names.EVENT_SUBAGENT,
                (told.agent_id, told.ended_ns),
                agent_turn.end_ns,
                told,
                given,
                turn=agent_turn.turn,
                span_id=agent_turn.span_id,
                failed=told.outcome != _COMPLETED,
            )

    def _tasks(self) -> Iterator[LogEvent]:
        for task in self._facts.tasks:
            key = (task.session_id, task.task_id)
            given: dict[str, Value | None] = {
                names.TASK: task.task_id,
                names.TASK_TYPE: task.task_type,
                names.STORY_POINTS: task.story_points,
            }
            if (at_ns := task.created_ns) is not None:
                created = names.EVENT_TASK_CREATED
                yield self._event(created, key, at_ns, task, given, turn=self._facts.turn_at(at_ns))
            if (at_ns := task.completed_ns) is not None:
                given[names.DURATION] = None if task.duration_ns is None else task.duration_ns / SECOND
                completed = names.EVENT_TASK_COMPLETED
                yield self._event(completed, key, at_ns, task, given, turn=self._facts.turn_at(at_ns))

    def _code(self) -> Iterator[LogEvent]:
        facts = self._facts
        for commit in facts.commits:
            call = facts.calls_by_id.get(commit.tool_use_id or "")
            given = {names.ACTION: commit.action, **attributes.commit(commit)}
            yield from self._by_call(names.EVENT_COMMIT, (commit.repository, commit.sha), commit, call, given)
        # Several calls may name one branch or pull request: what was done was done by the first, which ended then.
        ended = {call.ended_ns: call for call in facts.calls}
        for branch in facts.branches:
            key = (branch.repository, branch.name_digest)
            yield from self._by_call(names.EVENT_BRANCH, key, branch, ended.get(branch.at_ns), {})
        for pull in facts.pull_requests:
            key = (pull.address_digest, pull.action)
            call = ended.get(pull.at_ns)
            yield from self._by_call(names.EVENT_PULL_REQUEST, key, pull, call, {names.ACTION: pull.action})
        for run in facts.suite_runs:
            result = {
                names.FRAMEWORK: run.framework,
                names.OUTCOME: run.outcome,
                names.TESTS_PASSED: run.passed,
                names.TESTS_FAILED: run.failed,
                names.TESTS_SKIPPED: run.skipped,
            }
            ordinal, call = (run.tool_use_id, run.ordinal), facts.calls_by_id.get(run.tool_use_id)
            yield from self._by_call(names.EVENT_TEST_RUN, ordinal, run, call, result, failed=run.outcome != _PASSED)

    def _by_call(
        self,
        name: str,
        key: tuple[str | int, ...],
        fact: model.GitCommit | model.GitBranch | model.PullRequest | model.SuiteRun,
        call: model.ToolCall | None,
        given: Mapping[str, Value | None],
        *,
        failed: bool = False,
    ) -> Iterator[LogEvent]:
        """What a tool call did beside: it belongs to the call's span, where that is known."""
        at_ns = call_times(call)[1] if call else fact.at_ns or 0
        place: AgentTurn | None = self._agent_turns.of_call(call) if call else self._agent_turns.at(None, at_ns)
        if call and self._waits_for(place, at_ns):
            return
        tool_use_id = call.tool_use_id if call else None
        span_id = ids.tool_span_id(tool_use_id) if tool_use_id else None
        told = {**given, names.TOOL_CALL: tool_use_id}
        turn = place.turn if place else None
        yield self._event(name, key, at_ns, fact, told, turn=turn, span_id=span_id, failed=failed)

    def _conversation(self) -> Iterator[LogEvent]:
        facts = self._facts
        for mark in facts.compactions:
            at_ns = mark.at_ns or 0
            turn, given = facts.turn_at(at_ns), attributes.compaction(mark)
            yield self._event(names.EVENT_COMPACTION, (mark.uuid,), at_ns, mark, given, turn=turn)
        for switch in facts.switches:
            at_ns = switch.at_ns or 0
            turn, given = facts.turn_at(at_ns), attributes.model_switch(switch)
            yield self._event(names.EVENT_MODEL_SWITCH, (switch.switch_id,), at_ns, switch, given, turn=turn)


def _seconds(begin_ns: int, end_ns: int) -> float:
    return max(0, end_ns - begin_ns) / SECOND
