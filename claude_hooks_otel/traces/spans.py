"""From the facts of a session to the finished spans of its turns.

A turn is a trace: ``invoke_agent`` at its root; beneath it a ``chat`` per API request, an ``execute_tool`` per tool call, a wait per
question to the human, and an ``invoke_agent`` per turn of a sub-agent, which has children of its own. A pure function: the same
facts make the same spans, ids included. Nothing a human or a model wrote is in them.

A span is sent once, so it is only made when nothing that is still to come can change it: a turn and all that is in it when the turn
has ended, what a sub-agent did when its own turn has, and all that is left when the session is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces import attributes, ids
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.agent_turns import AgentTurn, AgentTurns, times_of_call
from claude_hooks_otel.traces.model import Span, SpanEvent, SpanKind, SpanLink, Value
from claude_hooks_otel.traces.session_facts import SessionFacts, asked_ns
from claude_hooks_otel.traces.turn_trace import trace_of
from claude_hooks_otel.units import DOLLAR

_RAN = "success"
_COMPLETED = "completed"
# Why a turn links to the one before it.
_RESUME, _COMPACT = "resume", "compact"


@dataclass(frozen=True, slots=True)
class TurnSpans:
    """What of a session is finished.

    Attributes:
        spans: prompt id → the spans of that turn, its root first.
        held_ns: when the first turn began of which something is not finished yet, Unix nanoseconds; None where all is.
    """

    spans: dict[str, tuple[Span, ...]]
    held_ns: int | None


def spans_of_turns(facts: SessionFacts, *, is_over: bool = True, follow_traceparent: bool = False) -> TurnSpans:
    """The finished spans of a session's turns.

    Args:
        facts: of the session, or of a stretch of it.
        is_over: whether nothing more is expected of it: what has not ended by then is closed as its facts say.
        follow_traceparent: whether a turn goes on in the trace that its client was started in.
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
            if agent_turn.invocation is not None and self._has_ended(agent_turn.turn):
                self._add(agent_turn.turn, self._invocation(agent_turn, agent_turn.invocation))
        for request in facts.requests:
            place = self._agent_turns.of_request(request)
            if place is None or not self._is_finished(request):
                self._hold(request.at_ns or 0)
            elif self._has_ended(place.turn):
                self._add(place.turn, self._chat(request, place))
        for call in facts.calls:
            place = self._agent_turns.of_call(call)
            if place is None:
                self._hold(asked_ns(call))
            elif self._has_ended(place.turn):
                self._add(place.turn, self._tool(call, place))
        for wait in facts.waits:
            place = self._agent_turns.of_wait(wait)
            if place is None:
                self._hold(wait.asked_ns)
            elif self._has_ended(place.turn):
                self._add(place.turn, self._wait(wait, place))
        return TurnSpans(
            {prompt_id: tuple(sorted(found, key=_order)) for prompt_id, found in self._spans.items()}, self._held_ns
        )

    def _has_ended(self, turn: model.Turn) -> bool:
        """Whether a turn has ended; one that has not is held back with all that is in it."""
        if turn.ended_ns is None:
            self._hold(turn.started_ns or 0)
        return turn.ended_ns is not None

    def _is_finished(self, request: model.ApiRequest) -> bool:
        """Whether an answer is complete: its lines are written one by one while it comes."""
        told = request.stop_reason is not None or request.error is not None
        return told or self._is_over or not self._agent_turns.is_last(request.agent_id, request.at_ns or 0)

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
            | attributes.repository(turn),
            error=turn.failure,
            events=self._events(turn, before, end),
            links=self._links(turn, before),
            fact=turn,
        )

    def _events(self, turn: model.Turn, before: model.Turn | None, end_ns: int) -> tuple[SpanEvent, ...]:
        """What happened in a turn, or between the one before and it: a model is mostly chosen before a prompt is written."""
        found = [
            SpanEvent(names.EVENT_COMPACTION, mark.at_ns or 0, attributes.compaction(mark))
            for mark in self._facts.compactions
        ]
        found += [
            SpanEvent(names.EVENT_MODEL_SWITCH, switch.at_ns or 0, attributes.model_switch(switch))
            for switch in self._facts.switches
        ]
        if turn.interrupted_ns is not None:
            found.append(SpanEvent(names.EVENT_INTERRUPT, turn.interrupted_ns))
        since_ns = 0
        if before is not None:  # one that has not ended lasts until this one begins
            since_ns = (before.ended_ns if before.ended_ns is not None else turn.started_ns) or 0
        own = [event for event in found if since_ns < event.at_ns <= end_ns]
        return tuple(sorted(own, key=lambda event: (event.at_ns, event.name)))

    def _links(self, turn: model.Turn, before: model.Turn | None) -> tuple[SpanLink, ...]:
        """Where a fork, a cleared, resumed or compacted conversation goes on from."""
        if before is None:
            return () if self._facts.origin is None else (self._link(*self._facts.origin),)
        begin, end = before.started_ns or 0, turn.started_ns or 0
        found = []
        if any(run.source == _RESUME and begin < run.started_ns <= end for run in self._facts.runs):
            found.append(self._link(before, _RESUME))
        if any(begin < (mark.at_ns or 0) <= end for mark in self._facts.compactions):
            found.append(self._link(before, _COMPACT))
        return tuple(found)

    def _link(self, turn: model.Turn, how: str) -> SpanLink:
        trace = trace_of(turn, follow_traceparent=self._follow_traceparent)
        return SpanLink(trace.trace_id, trace.root_id, {names.LINK: how})

    # -- what is beneath it --------------------------------------------------------------------------------------------------

    def _beneath(
        self,
        place: AgentTurn,
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
        trace = self._traces[place.turn.prompt_id]
        return Span(
            trace_id=trace.trace_id,
            span_id=span_id,
            parent_id=place.span_id if parent_id is None else parent_id,
            parent_sampled=trace.parent_sampled,
            name=name,
            kind=kind,
            start_ns=times[0],
            end_ns=times[1],
            attributes=attributes,
            error=error,
            fact=fact,
        )

    def _invocation(self, agent_turn: AgentTurn, told: model.SubagentTurn) -> Span:
        kind = told.agent_type or "subagent"
        return self._beneath(
            agent_turn,
            told,
            span_id=agent_turn.span_id,
            parent_id=agent_turn.parent_id,
            name=f"{names.INVOKE_AGENT} {kind}",
            times=(agent_turn.begin_ns, agent_turn.end_ns),
            attributes=attributes.common(self._facts.session, told, names.INVOKE_AGENT)
            | {names.AGENT_NAME: kind, names.SUBAGENT: told.agent_id},
            error=told.outcome if told.outcome != _COMPLETED else None,
        )

    def _chat(self, request: model.ApiRequest, place: AgentTurn) -> Span:
        """An API request.

        The transcript only tells when an answer began to come; the request began when what stands before it had ended.
        """
        end = request.at_ns or 0
        found = attributes.common(self._facts.session, request, names.CHAT)
        found[names.REQUEST_MODEL] = request.model or "unknown"
        if request.error is None:
            cached = request.cache_read_tokens or 0
            written = (request.cache_write_5m_tokens or 0) + (request.cache_write_1h_tokens or 0)
            found |= {
                names.RESPONSE_MODEL: request.answering_model or request.model or "unknown",
                names.RESPONSE_ID: request.message_id,
                names.INPUT_TOKENS: (request.input_tokens or 0) + cached + written,
                names.CACHE_READ_TOKENS: cached,
                names.CACHE_WRITE_TOKENS: written,
                names.OUTPUT_TOKENS: request.output_tokens or 0,
            }
        if request.request_id:
            found[names.REQUEST] = request.request_id
        if request.stop_reason:
            found[names.FINISH_REASONS] = (request.stop_reason,)
        if request.cost is not None:
            found[names.COST] = request.cost / DOLLAR
        return self._beneath(
            place,
            request,
            span_id=ids.chat_span_id(request.message_id),
            name=f"{names.CHAT} {request.model or 'unknown'}",
            kind=SpanKind.CLIENT,
            times=(self._agent_turns.before(request.agent_id, end, place), end),
            attributes=found,
            error=request.error,
        )

    def _tool(self, call: model.ToolCall, place: AgentTurn) -> Span:
        found = attributes.common(self._facts.session, call, names.EXECUTE_TOOL) | attributes.tool(call)
        if (commit := self._commits.get(call.tool_use_id)) is not None:
            found |= attributes.commit(commit)
        return self._beneath(
            place,
            call,
            span_id=ids.tool_span_id(call.tool_use_id),
            name=f"{names.EXECUTE_TOOL} {call.tool or ''}".strip(),
            times=times_of_call(call, place),
            attributes=found,
            error=call.outcome if call.outcome != _RAN else None,
        )

    def _wait(self, wait: model.PermissionWait, place: AgentTurn) -> Span:
        found = attributes.common(self._facts.session, wait) | {
            names.TOOL_NAME: wait.tool or "",
            names.DECISION: wait.decision or "",
        }
        if wait.tool_use_id:
            found[names.TOOL_CALL] = wait.tool_use_id
        return self._beneath(
            place,
            wait,
            span_id=ids.permission_span_id(wait.session_id, wait.asked_ns, wait.tool or ""),
            name=f"permission {wait.tool or ''}".strip(),
            times=(wait.asked_ns, wait.asked_ns + (wait.waited_ns or 0)),
            attributes=found,
        )


def _order(span: Span) -> tuple[bool, int, int, int]:
    """The root first, then in order of time."""
    return not isinstance(span.fact, model.Turn), span.start_ns, span.end_ns, span.span_id
