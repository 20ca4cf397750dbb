"""From the facts of a session to log events: one for each thing that people search for.

The same facts make the same events with the same ids. An event is sent once, so it is made only from facts that no longer change. Its
body is a fixed text. No text of a human or a model is in an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from claude_hooks_otel.facts import model
from claude_hooks_otel.sources.call_ids import call_id_of
from claude_hooks_otel.traces import attributes, ids
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.agent_turns import AgentTurn, AgentTurns, times_of_call
from claude_hooks_otel.traces.event_kinds import BY_NAME
from claude_hooks_otel.traces.model import LogEvent, Severity, Value
from claude_hooks_otel.traces.session_facts import SessionFacts, asked_ns, call_times
from claude_hooks_otel.traces.turn_trace import Sampler, trace_of
from claude_hooks_otel.units import SECOND

# The facts' words for success, and for an end that no source reported.
_SUCCESS, _ALLOWED, _COMPLETED, _PASSED, _KILLED = "success", "allowed", "completed", "passed", "killed"

_F = TypeVar("_F", bound=model.Fact)
_Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SessionEvents:
    """The log events of a session that can be made now.

    Attributes:
        events: the events in order of time.
        held_ns: the earliest time of an event that cannot be made yet, in Unix nanoseconds; None if there is none.
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
    """Return the log events of a session.

    Args:
        facts: the facts of the session, or of a stretch of it.
        is_over: whether the session is over. Before that, the events of a sub-agent wait for the end of its turn, because only the
            end tells which trace the turn is in.
        follow_traceparent: whether a turn continues the trace in which its client was started.
        is_sent: says which traces are sent.
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
        # All other facts are those of the whole session, even in a stretch.
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
        key: _Key,
        at_ns: int,
        fact: model.Fact,
        given: Mapping[str, Value | None],
        *,
        turn: model.Turn | None = None,
        span_id: int | None = None,
        failed: bool = False,
    ) -> LogEvent:
        """Return an event with those of the given attributes that are known. By default, its span is the turn's root span."""
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

    def _ready(
        self, facts: Iterable[_F], agent_turn_of: Callable[[_F], AgentTurn | None], time_of: Callable[[_F], int]
    ) -> Iterator[tuple[_F, AgentTurn | None, model.Turn | None]]:
        """Yield each fact that need not wait for its agent turn, with that agent turn and its turn of the main conversation."""
        for fact in facts:
            agent_turn = agent_turn_of(fact)
            if not self._has_to_wait(agent_turn, time_of(fact)):
                yield fact, agent_turn, agent_turn.turn if agent_turn else None

    def _has_to_wait(self, agent_turn: AgentTurn | None, at_ns: int) -> bool:
        """Return whether an event has to be held back, because its agent turn is not known yet."""
        if agent_turn is not None or self._is_over:
            return False
        self._held_ns = min(at_ns, self._held_ns if self._held_ns is not None else at_ns)
        return True

    # -- each kind of fact -----------------------------------------------------------------------------------------------------

    def _session(self) -> Iterator[LogEvent]:
        for run in self._facts.runs:
            if run.started_ns == model.INFERRED:
                continue  # the time of the start is unknown
            key = (self._facts.session.session_id, run.started_ns)
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
            if (at_ns := turn.interrupted_ns) is not None:
                yield self._event(names.EVENT_INTERRUPT, key, at_ns, turn, given, turn=turn, failed=True)

    def _calls(self) -> Iterator[LogEvent]:
        for call, agent_turn, turn in self._ready(self._facts.calls, self._agent_turns.of_call, asked_ns):
            begin, end = times_of_call(call, agent_turn)
            failed = call.outcome != _SUCCESS
            given: dict[str, Value | None] = {
                **attributes.tool(call),
                names.DURATION: _seconds(begin, end),
                names.SUBAGENT: call.agent_id,
                names.ERROR_TYPE: call.outcome if failed else None,
            }
            key, span_id = (call.tool_use_id,), ids.tool_span_id(call.tool_use_id)
            yield self._event(names.EVENT_TOOL_RESULT, key, end, call, given, turn=turn, span_id=span_id, failed=failed)

    def _requests(self) -> Iterator[LogEvent]:
        failed = (request for request in self._facts.requests if request.error is not None)
        for request, _, turn in self._ready(failed, self._agent_turns.of_request, lambda request: request.at_ns or 0):
            given = {
                names.REQUEST_MODEL: request.model,
                names.ERROR_TYPE: request.error,
                names.REQUEST: request.request_id,
                names.SUBAGENT: request.agent_id,
            }
            key, at_ns = (request.message_id,), request.at_ns or 0
            span_id = ids.chat_span_id(request.message_id, request.answer_id)
            yield self._event(
                names.EVENT_API_ERROR, key, at_ns, request, given, turn=turn, span_id=span_id, failed=True
            )

    def _waits(self) -> Iterator[LogEvent]:
        for wait, _, turn in self._ready(self._facts.waits, self._agent_turns.of_wait, lambda wait: wait.asked_ns):
            waited_ns = wait.waited_ns or 0
            given = {
                names.TOOL_NAME: wait.tool,
                names.TOOL_CALL: wait.tool_use_id and call_id_of(wait.tool_use_id),
                names.DECISION: wait.decision,
                names.DURATION: waited_ns / SECOND,
            }
            key = (wait.session_id, wait.asked_ns, wait.tool or "")
            at_ns, span_id = wait.asked_ns + waited_ns, ids.permission_span_id(*key)
            name, refused = names.EVENT_PERMISSION_DECISION, wait.decision != _ALLOWED
            yield self._event(name, key, at_ns, wait, given, turn=turn, span_id=span_id, failed=refused)

    def _subagents(self) -> Iterator[LogEvent]:
        for agent_turn in self._agent_turns.of_subagents():
            fact = agent_turn.subagent_turn
            if fact is None:
                continue
            given = {
                names.AGENT_NAME: fact.agent_type,
                names.SUBAGENT: fact.agent_id,
                names.OUTCOME: fact.outcome,
                names.DURATION: _seconds(agent_turn.begin_ns, agent_turn.end_ns),
            }
            yield self._event(
                names.EVENT_SUBAGENT,
                (fact.agent_id, fact.ended_ns),
                agent_turn.end_ns,
                fact,
                given,
                turn=agent_turn.turn,
                span_id=agent_turn.span_id,
                failed=fact.outcome != _COMPLETED,
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
                turn = self._facts.turn_at(at_ns)
                yield self._event(names.EVENT_TASK_CREATED, key, at_ns, task, given, turn=turn)
            if (at_ns := task.completed_ns) is not None:
                turn = self._facts.turn_at(at_ns)
                given[names.DURATION] = None if task.duration_ns is None else task.duration_ns / SECOND
                yield self._event(names.EVENT_TASK_COMPLETED, key, at_ns, task, given, turn=turn)

    def _code(self) -> Iterator[LogEvent]:
        facts = self._facts
        for commit in facts.commits:
            call = facts.calls_by_id.get(commit.tool_use_id or "")
            given = {names.ACTION: commit.action, **attributes.commit(commit)}
            yield from self._by_call(names.EVENT_COMMIT, (commit.repository, commit.sha), commit, call, given)
        # Several calls may name the same branch or pull request. The fact has the time at which the first of them ended.
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
        key: _Key,
        fact: model.GitCommit | model.GitBranch | model.PullRequest | model.SuiteRun,
        call: model.ToolCall | None,
        given: Mapping[str, Value | None],
        *,
        failed: bool = False,
    ) -> Iterator[LogEvent]:
        """Yield the event of something that a tool call did. Its span is the call's, if the call is known."""
        at_ns = call_times(call)[1] if call else fact.at_ns or 0
        agent_turn: AgentTurn | None = self._agent_turns.of_call(call) if call else self._agent_turns.at(None, at_ns)
        if call and self._has_to_wait(agent_turn, at_ns):
            return
        tool_use_id = call.tool_use_id if call else None
        span_id = ids.tool_span_id(tool_use_id) if tool_use_id else None
        given = {**given, names.TOOL_CALL: tool_use_id and call_id_of(tool_use_id)}
        turn = agent_turn.turn if agent_turn else None
        yield self._event(name, key, at_ns, fact, given, turn=turn, span_id=span_id, failed=failed)

    def _conversation(self) -> Iterator[LogEvent]:
        facts = self._facts
        for boundary in facts.compactions:
            at_ns = boundary.at_ns or 0
            turn, given = facts.turn_at(at_ns), attributes.compaction(boundary)
            yield self._event(names.EVENT_COMPACTION, (boundary.uuid,), at_ns, boundary, given, turn=turn)
        for switch in facts.switches:
            at_ns = switch.at_ns or 0
            turn, given = facts.turn_at(at_ns), attributes.model_switch(switch)
            yield self._event(names.EVENT_MODEL_SWITCH, (switch.switch_id,), at_ns, switch, given, turn=turn)


def _seconds(begin_ns: int, end_ns: int) -> float:
    return max(0, end_ns - begin_ns) / SECOND
