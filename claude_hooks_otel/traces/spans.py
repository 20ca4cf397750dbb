"""From the facts of a session to the finished spans of its turns.

A turn is a trace. Its root span is an ``invoke_agent``. Below it there is a ``chat`` for each API request, an ``execute_tool`` for each
tool call, a ``permission`` for each question to the human, and an ``invoke_agent`` for each turn of a sub-agent, with children of its own.
The same facts make the same spans with the same ids. No text of a human or a model is in a span.

A span is sent once, so it is made only when nothing can change it any more. A turn and its contents are complete when the turn has ended.
The requests and calls of a sub-agent are complete when its own turn has ended. Everything else is complete when the session is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from claude_hooks_otel.facts import model
from claude_hooks_otel.sources.call_ids import call_id_of
from claude_hooks_otel.traces import attributes, ids
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.agent_turns import AgentTurn, AgentTurns, times_of_call
from claude_hooks_otel.traces.model import Span, SpanEvent, SpanKind, SpanLink, Value
from claude_hooks_otel.traces.session_facts import SessionFacts, asked_ns
from claude_hooks_otel.traces.turn_trace import trace_of
from claude_hooks_otel.units import DOLLAR

_RAN = "success"
_COMPLETED = "completed"
# How a turn continues the turn before it.
_RESUME, _COMPACT = "resume", "compact"

_F = TypeVar("_F", bound=model.Fact)


@dataclass(frozen=True, slots=True)
class TurnSpans:
    """The finished spans of a session.

    Attributes:
        spans: prompt id → the spans of that turn, root span first.
        held_ns: when the first incomplete turn began, in Unix nanoseconds; None if all turns are complete.
    """

    spans: dict[str, tuple[Span, ...]]
    held_ns: int | None


def spans_of_turns(facts: SessionFacts, *, is_over: bool = True, follow_traceparent: bool = False) -> TurnSpans:
    """Return the finished spans of a session's turns.

    Args:
        facts: the facts of the session, or of a stretch of it.
        is_over: whether the session is over. Then spans are made even if something has no end.
        follow_traceparent: whether a turn continues the trace in which its client was started.
    """
    return _Traces(facts, is_over=is_over, follow_traceparent=follow_traceparent).build()


class _Traces:
    def __init__(self, facts: SessionFacts, *, is_over: bool, follow_traceparent: bool) -> None:
        self._facts = facts
        self._is_over = is_over
        self._traces = {turn.prompt_id: trace_of(turn, follow_traceparent=follow_traceparent) for turn in facts.turns}
        self._follow_traceparent = follow_traceparent
        self._agent_turns = AgentTurns(facts, is_over=is_over)
        self._commits = {commit.tool_use_id: commit for commit in facts.commits}
        self._spans: dict[str, list[Span]] = {}
        self._held_ns: int | None = None

    def build(self) -> TurnSpans:
        facts = self._facts
        for before, turn in zip((None, *facts.turns), facts.turns, strict=False):
            if facts.begin_ns <= (turn.started_ns or 0) < facts.end_ns and self._has_ended(turn):
                self._add(turn, self._root(turn, before))
        for agent_turn in self._agent_turns.of_subagents():
            if agent_turn.subagent_turn is not None and self._has_ended(agent_turn.turn):
                self._add(agent_turn.turn, self._subagent(agent_turn, agent_turn.subagent_turn))
        self._add_each(facts.requests, self._of_finished, lambda request: request.at_ns or 0, self._chat)
        self._add_each(facts.calls, self._agent_turns.of_call, asked_ns, self._tool)
        self._add_each(facts.waits, self._agent_turns.of_wait, lambda wait: wait.asked_ns, self._wait)
        spans = {prompt_id: tuple(sorted(found, key=_order)) for prompt_id, found in self._spans.items()}
        return TurnSpans(spans, self._held_ns)

    def _add_each(
        self,
        facts: Iterable[_F],
        agent_turn_of: Callable[[_F], AgentTurn | None],
        time_of: Callable[[_F], int],
        make: Callable[[_F, AgentTurn], Span],
    ) -> None:
        """Add the span of each fact whose agent turn is known and has ended. Hold the others back."""
        for fact in facts:
            agent_turn = agent_turn_of(fact)
            if agent_turn is None:
                self._hold(time_of(fact))
            elif self._has_ended(agent_turn.turn):
                self._add(agent_turn.turn, make(fact, agent_turn))

    def _has_ended(self, turn: model.Turn) -> bool:
        """Return whether a turn has ended. If not, hold it back with everything in it."""
        if turn.ended_ns is None:
            self._hold(turn.started_ns or 0)
        return turn.ended_ns is not None

    def _of_finished(self, request: model.ApiRequest) -> AgentTurn | None:
        """Return the agent turn of a request with a complete answer. The lines of an answer are written while it arrives."""
        has_end = request.stop_reason is not None or request.error is not None
        is_finished = has_end or self._is_over or not self._agent_turns.is_last(request.agent_id, request.at_ns or 0)
        return self._agent_turns.of_request(request) if is_finished else None

    def _hold(self, at_ns: int) -> None:
        turn = self._facts.turn_at(at_ns)
        if not self._is_over and turn is not None:
            self._held_ns = min(turn.started_ns or 0, self._held_ns if self._held_ns is not None else at_ns)

    def _add(self, turn: model.Turn, span: Span) -> None:
        self._spans.setdefault(turn.prompt_id, []).append(span)

    # -- the root ------------------------------------------------------------------------------------------------------------

    def _root(self, turn: model.Turn, before: model.Turn | None) -> Span:
        trace = self._traces[turn.prompt_id]
        begin = turn.started_ns or 0
        end = max(begin, turn.ended_ns or 0)
        agent = turn.agent or self._facts.session.agent or ""
        return Span(
            trace_id=trace.trace_id,
            span_id=trace.root_id,
            parent_id=trace.parent.span_id if trace.parent else None,
            is_parent_remote=trace.parent is not None,
            parent_sampled=trace.parent_sampled,
            name=f"{names.INVOKE_AGENT} {agent}".strip(),
            kind=SpanKind.INTERNAL,
            start_ns=begin,
            end_ns=end,
            attributes=attributes.common(self._facts.session, turn, names.INVOKE_AGENT)
            | {names.AGENT_NAME: agent, names.PROMPT: turn.prompt_id}
            | attributes.terminal(self._facts.session)
            | attributes.repository(turn),
            error=turn.failure,
            events=self._events(turn, before, end),
            links=self._links(turn, before),
            fact=turn,
        )

    def _events(self, turn: model.Turn, before: model.Turn | None, end_ns: int) -> tuple[SpanEvent, ...]:
        """Return the events of a turn, and those since the turn before: a human often switches models before writing a prompt."""
        found = [
            SpanEvent(names.EVENT_COMPACTION, boundary.at_ns or 0, attributes.compaction(boundary))
            for boundary in self._facts.compactions
        ]
        found += [
            SpanEvent(names.EVENT_MODEL_SWITCH, switch.at_ns or 0, attributes.model_switch(switch))
            for switch in self._facts.switches
        ]
        if turn.interrupted_ns is not None:
            found.append(SpanEvent(names.EVENT_INTERRUPT, turn.interrupted_ns))
        since_ns = 0
        if before is not None:  # a turn without an end lasts until the next turn begins
            since_ns = (before.ended_ns if before.ended_ns is not None else turn.started_ns) or 0
        own = [event for event in found if since_ns < event.at_ns <= end_ns]
        return tuple(sorted(own, key=lambda event: (event.at_ns, event.name)))

    def _links(self, turn: model.Turn, before: model.Turn | None) -> tuple[SpanLink, ...]:
        """Return links to the turn that a forked, cleared, resumed or compacted conversation continues."""
        if before is None:
            return () if self._facts.origin is None else (self._link(*self._facts.origin),)
        begin, end = before.started_ns or 0, turn.started_ns or 0
        found = []
        if any(run.source == _RESUME and begin < run.started_ns <= end for run in self._facts.runs):
            found.append(self._link(before, _RESUME))
        if any(begin < (boundary.at_ns or 0) <= end for boundary in self._facts.compactions):
            found.append(self._link(before, _COMPACT))
        return tuple(found)

    def _link(self, turn: model.Turn, how: str) -> SpanLink:
        trace = trace_of(turn, follow_traceparent=self._follow_traceparent)
        return SpanLink(trace.trace_id, trace.root_id, {names.LINK: how})

    # -- below the root --------------------------------------------------------------------------------------------------------

    def _child(
        self,
        agent_turn: AgentTurn,
        fact: model.Fact,
        *,
        span_id: int,
        name: str,
        times: tuple[int, int],
        attributes: dict[str, Value],
        parent_id: int | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        error: str | None = None,
    ) -> Span:
        trace = self._traces[agent_turn.turn.prompt_id]
        return Span(
            trace_id=trace.trace_id,
            span_id=span_id,
            parent_id=agent_turn.span_id if parent_id is None else parent_id,
            parent_sampled=trace.parent_sampled,
            name=name,
            kind=kind,
            start_ns=times[0],
            end_ns=times[1],
            attributes=attributes,
            error=error,
            fact=fact,
        )

    def _subagent(self, agent_turn: AgentTurn, fact: model.SubagentTurn) -> Span:
        kind = fact.agent_type or "subagent"
        return self._child(
            agent_turn,
            fact,
            span_id=agent_turn.span_id,
            parent_id=agent_turn.parent_id,
            name=f"{names.INVOKE_AGENT} {kind}",
            times=(agent_turn.begin_ns, agent_turn.end_ns),
            attributes=attributes.common(self._facts.session, fact, names.INVOKE_AGENT)
            | {names.AGENT_NAME: kind, names.SUBAGENT: fact.agent_id},
            error=fact.outcome if fact.outcome != _COMPLETED else None,
        )

    def _chat(self, request: model.ApiRequest, agent_turn: AgentTurn) -> Span:
        """Return the span of an API request.

        A transcript has only the time at which the answer began. The request counts from the end of the request or call before it.
        """
        end = request.at_ns or 0
        found = attributes.common(self._facts.session, request, names.CHAT)
        found[names.REQUEST_MODEL] = request.model or "unknown"
        if request.error is None:
            cached = request.cache_read_tokens or 0
            written = (request.cache_write_5m_tokens or 0) + (request.cache_write_1h_tokens or 0)
            found |= {
                names.RESPONSE_MODEL: request.answering_model or request.model or "unknown",
                names.INPUT_TOKENS: (request.input_tokens or 0) + cached + written,
                names.CACHE_READ_TOKENS: cached,
                names.CACHE_WRITE_TOKENS: written,
                names.OUTPUT_TOKENS: request.output_tokens or 0,
            }
            if request.message_id:
                found[names.RESPONSE_ID] = request.message_id
        if request.request_id:
            found[names.REQUEST] = request.request_id
        if request.stop_reason:
            found[names.FINISH_REASONS] = (request.stop_reason,)
        if request.cost is not None:
            found[names.COST] = request.cost / DOLLAR
        return self._child(
            agent_turn,
            request,
            span_id=ids.chat_span_id(request.message_id, request.answer_id),
            name=f"{names.CHAT} {request.model or 'unknown'}",
            kind=SpanKind.CLIENT,
            times=(self._agent_turns.previous_end(request.agent_id, end, agent_turn), end),
            attributes=found,
            error=request.error,
        )

    def _tool(self, call: model.ToolCall, agent_turn: AgentTurn) -> Span:
        found = attributes.common(self._facts.session, call, names.EXECUTE_TOOL) | attributes.tool(call)
        if (commit := self._commits.get(call.tool_use_id)) is not None:
            found |= attributes.commit(commit)
        return self._child(
            agent_turn,
            call,
            span_id=ids.tool_span_id(call.tool_use_id),
            name=f"{names.EXECUTE_TOOL} {call.tool or ''}".strip(),
            times=times_of_call(call, agent_turn),
            attributes=found,
            error=call.outcome if call.outcome != _RAN else None,
        )

    def _wait(self, wait: model.PermissionWait, agent_turn: AgentTurn) -> Span:
        found = attributes.common(self._facts.session, wait)
        found |= {names.TOOL_NAME: wait.tool or "", names.DECISION: wait.decision or ""}
        if wait.tool_use_id:
            found[names.TOOL_CALL] = call_id_of(wait.tool_use_id)
        return self._child(
            agent_turn,
            wait,
            span_id=ids.permission_span_id(wait.session_id, wait.asked_ns, wait.tool or ""),
            name=f"permission {wait.tool or ''}".strip(),
            times=(wait.asked_ns, wait.asked_ns + (wait.waited_ns or 0)),
            attributes=found,
        )


def _order(span: Span) -> tuple[bool, int, int, int]:
    """Return a sort key: the root span first, then in order of time."""
    return not isinstance(span.fact, model.Turn), span.start_ns, span.end_ns, span.span_id
