"""From the facts of a session to the finished spans of its turns.

A turn is a trace: ``invoke_agent`` at its root; beneath it a ``chat`` per API request, an ``execute_tool`` per tool call, a wait per
question to the human, and an ``invoke_agent`` per turn of a sub-agent, which has children of its own. A pure function: the same
facts make the same spans, ids included. Nothing a human or a model wrote is in them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from claude_hooks_otel.facts import model
from claude_hooks_otel.records import ids
from claude_hooks_otel.records import semantic_conventions as names
from claude_hooks_otel.records.model import Span, SpanEvent, SpanKind, SpanLink, Value
from claude_hooks_otel.records.session_facts import SessionFacts, asked_ns, call_times
from claude_hooks_otel.series.metric import PICODOLLARS

_RAN = "success"
_COMPLETED = "completed"


def spans_of_turns(facts: SessionFacts) -> dict[str, tuple[Span, ...]]:
    """Prompt id → the spans of that turn, its root first; a turn that has not ended has none."""
    return _Traces(facts).build()


def root_of(turn: model.Turn) -> tuple[int, int]:
    """The trace of a turn and its root span."""
    session_id = turn.session_id or ""
    return ids.trace_id(session_id, turn.prompt_id), ids.span_id("turn", session_id, turn.prompt_id)


@dataclass(frozen=True, slots=True)
class _Thread:
    """A turn of the main conversation or of a sub-agent: what requests and calls stand beneath."""

    turn: model.Turn
    span_id: int
    begin_ns: int
    end_ns: int
    invocation: model.SubagentTurn | None = None


class _Traces:
    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts
        self._subagents = {agent.agent_id: agent for agent in facts.subagents}
        # Sub-agent (None: the main conversation) → when each of its answers came and each of its calls ended, sorted.
        self._ends: dict[str | None, list[int]] = {}
        for request in facts.requests:
            self._ends.setdefault(request.agent_id, []).append(request.at_ns or 0)
        for call in facts.calls:
            self._ends.setdefault(call.agent_id, []).append(call_times(call)[1])
        for ends in self._ends.values():
            ends.sort()
        self._threads: dict[str, list[_Thread]] = {}
        for invocation in facts.subagent_turns:
            if (thread := self._agent_thread(invocation)) is not None:
                self._threads.setdefault(invocation.agent_id, []).append(thread)
        for threads in self._threads.values():
            threads.sort(key=lambda thread: (thread.end_ns, thread.span_id))

    def build(self) -> dict[str, tuple[Span, ...]]:
        spans: dict[str, list[Span]] = {
            turn.prompt_id: [self._root(turn)] for turn in self._facts.turns if turn.ended_ns is not None
        }

        def add(turn: model.Turn | None, span: Span | None) -> None:
            if turn is not None and span is not None and turn.prompt_id in spans:
                spans[turn.prompt_id].append(span)

        for agent_id, threads in self._threads.items():
            for number, thread in enumerate(threads):
                add(thread.turn, self._invocation(agent_id, thread, is_first=number == 0))
        for request in self._facts.requests:
            if (home := self._home(request.agent_id, request.at_ns or 0, None)) is not None:
                add(home.turn, self._chat(request, home))
        for call in self._facts.calls:
            if (home := self._home_of_call(call)) is not None:
                add(home.turn, self._tool(call, home))
        for wait in self._facts.waits:
            asked = self._facts.calls_by_id.get(wait.tool_use_id or "")
            home = self._home_of_call(asked) if asked else self._home(None, wait.asked_ns, None)
            if home is not None:
                add(home.turn, self._wait(wait, home))
        return {
            prompt_id: (found[0], *sorted(found[1:], key=lambda span: (span.start_ns, span.end_ns, span.span_id)))
            for prompt_id, found in spans.items()
        }

    # -- what belongs where ------------------------------------------------------------------------------------------------

    def _home_of_call(self, call: model.ToolCall) -> _Thread | None:
        return self._home(call.agent_id, asked_ns(call), self._facts.turn_of_call(call))

    def _home(self, agent_id: str | None, at_ns: int, turn: model.Turn | None) -> _Thread | None:
        """What a request or call stands beneath: the sub-agent's turn that was going on, else the conversation's turn."""
        if agent_id and (threads := self._threads.get(agent_id)):
            return next((thread for thread in threads if at_ns <= thread.end_ns), threads[-1])
        turn = turn or self._facts.turn_at(at_ns)
        if turn is None:
            return None
        begin = turn.started_ns or 0
        return _Thread(turn, root_of(turn)[1], begin, turn.ended_ns if turn.ended_ns is not None else begin)

    def _agent_thread(self, invocation: model.SubagentTurn) -> _Thread | None:
        """A sub-agent's turn, its ends taken from what it did where no event told of them."""
        agent_id = invocation.agent_id
        did = self._ends.get(agent_id, [])
        agent = self._subagents.get(agent_id)
        caller = self._facts.calls_by_id.get(agent.tool_use_id or "") if agent else None
        end = invocation.ended_ns if invocation.ended_ns != model.INFERRED else None
        begin = invocation.started_ns
        if begin is None:
            others = [
                other.ended_ns
                for other in self._facts.subagent_turns
                if other.agent_id == agent_id and other.ended_ns != invocation.ended_ns and other.ended_ns < (end or 0)
            ]
            since = max(others, default=0)
            begin = min((at for at in did if at >= since and (end is None or at <= end)), default=None)
        if begin is None:
            begin = call_times(caller)[0] if caller else end
        if begin is None:
            return None
        end = end if end is not None else max((at for at in did if at >= begin), default=begin)
        is_first = all(
            other.ended_ns == model.INFERRED or other.ended_ns >= invocation.ended_ns
            for other in self._facts.subagent_turns
            if other.agent_id == agent_id
        )
        turn = self._facts.turn_of_call(caller) if caller and is_first else self._facts.turn_at(begin)
        if turn is None:
            return None
        span = ids.span_id("subagent", agent_id, invocation.ended_ns)
        return _Thread(turn, span, min(begin, end), end, invocation)

    # -- the spans -----------------------------------------------------------------------------------------------------------

    def _root(self, turn: model.Turn) -> Span:
        trace, span = root_of(turn)
        begin = turn.started_ns or 0
        end = max(begin, turn.ended_ns or 0)
        agent = turn.agent or self._facts.session.agent or ""
        return Span(
            trace_id=trace,
            span_id=span,
            parent_id=None,
            name=f"{names.INVOKE_AGENT} {agent}".strip(),
            kind=SpanKind.INTERNAL,
            start_ns=begin,
            end_ns=end,
            attributes=self._common(turn, names.INVOKE_AGENT) | {names.AGENT_NAME: agent, names.PROMPT: turn.prompt_id},
            error=turn.failure,
            events=self._events(turn),
            links=self._links(turn),
            fact=turn,
        )

    def _events(self, turn: model.Turn) -> tuple[SpanEvent, ...]:
        begin = turn.started_ns or 0
        found = [
            SpanEvent("claude.compaction", mark.at_ns or 0, {names.TRIGGER: mark.trigger or "auto"})
            for mark in self._facts.compactions
            if self._facts.turn_at(mark.at_ns or 0) is turn
        ]
        found += [
            SpanEvent("claude.model_switch", switch.at_ns or 0)
            for switch in self._facts.switches
            if begin <= (switch.at_ns or 0) and self._facts.turn_at(switch.at_ns or 0) is turn
        ]
        if turn.interrupted_ns is not None:
            found.append(SpanEvent("claude.interrupt", turn.interrupted_ns))
        return tuple(sorted(found, key=lambda event: (event.at_ns, event.name)))

    def _links(self, turn: model.Turn) -> tuple[SpanLink, ...]:
        """Where a fork, or a session taken up again, goes on from."""
        place = self._facts.turns.index(turn)
        if place == 0:
            origin, how = self._facts.origin, "fork"
        else:
            origin, how = self._facts.turns[place - 1], "resume"
            between = ((origin.started_ns or 0), (turn.started_ns or 0))
            if not any(r.source == "resume" and between[0] < r.started_ns <= between[1] for r in self._facts.runs):
                return ()
        return () if origin is None else (SpanLink(*root_of(origin), {names.LINK: how}),)

    def _invocation(self, agent_id: str, thread: _Thread, *, is_first: bool) -> Span | None:
        told, agent = thread.invocation, self._subagents.get(agent_id)
        if told is None:
            return None
        trace, parent = root_of(thread.turn)
        caller = self._facts.calls_by_id.get(agent.tool_use_id or "") if agent else None
        if is_first and caller is not None:
            parent = ids.span_id("tool", caller.tool_use_id)
        elif agent and agent.parent_agent_id:
            above = self._home(agent.parent_agent_id, thread.begin_ns, thread.turn)
            if above is not None and above.turn is thread.turn:
                parent = above.span_id
        kind = told.agent_type or "subagent"
        return Span(
            trace_id=trace,
            span_id=thread.span_id,
            parent_id=parent,
            name=f"{names.INVOKE_AGENT} {kind}",
            kind=SpanKind.INTERNAL,
            start_ns=thread.begin_ns,
            end_ns=thread.end_ns,
            attributes=self._common(told, names.INVOKE_AGENT) | {names.AGENT_NAME: kind, names.SUBAGENT: agent_id},
            error=told.outcome if told.outcome != _COMPLETED else None,
            fact=told,
        )

    def _chat(self, request: model.ApiRequest, home: _Thread) -> Span:
        """An API request.

        The transcript only tells when an answer began to come; the request began when what stands before it had ended.
        """
        end = request.at_ns or 0
        cached, written = (
            request.cache_read_tokens or 0,
            ((request.cache_write_5m_tokens or 0) + (request.cache_write_1h_tokens or 0)),
        )
        attributes = self._common(request, names.CHAT)
        attributes[names.REQUEST_MODEL] = request.model or "unknown"
        if request.error is None:
            attributes |= {
                names.RESPONSE_MODEL: request.answering_model or request.model or "unknown",
                names.RESPONSE_ID: request.message_id,
                names.INPUT_TOKENS: (request.input_tokens or 0) + cached + written,
                names.CACHE_READ_TOKENS: cached,
                names.CACHE_WRITE_TOKENS: written,
                names.OUTPUT_TOKENS: request.output_tokens or 0,
            }
        if request.request_id:
            attributes[names.REQUEST] = request.request_id
        if request.stop_reason:
            attributes[names.FINISH_REASONS] = (request.stop_reason,)
        if request.cost is not None:
            attributes[names.COST] = request.cost / PICODOLLARS
        return Span(
            trace_id=root_of(home.turn)[0],
            span_id=ids.span_id("chat", request.message_id),
            parent_id=home.span_id,
            name=f"{names.CHAT} {request.model or 'unknown'}",
            kind=SpanKind.CLIENT,
            start_ns=self._before(request, home),
            end_ns=end,
            attributes=attributes,
            error=request.error,
            fact=request,
        )

    def _before(self, request: model.ApiRequest, home: _Thread) -> int:
        """When the last thing before this answer had ended, in the same conversation."""
        end = request.at_ns or 0
        ends = self._ends.get(request.agent_id, [])
        place = bisect_left(ends, end)
        return min(max(ends[place - 1] if place else 0, home.begin_ns), end)

    def _tool(self, call: model.ToolCall, home: _Thread) -> Span:
        begin, end = call_times(call)
        if call.ended_ns is None:  # it was still running when all else ended
            end = max(end, home.end_ns)
        tool = call.tool or ""
        attributes = self._common(call, names.EXECUTE_TOOL)
        attributes |= {
            names.TOOL_NAME: tool,
            names.TOOL_TYPE: names.FUNCTION,
            names.TOOL_CALL: call.tool_use_id,
            names.OUTCOME: call.outcome or "",
        }
        if tool.startswith(names.MCP_PREFIX):
            attributes[names.MCP_METHOD] = names.MCP_CALL
        return Span(
            trace_id=root_of(home.turn)[0],
            span_id=ids.span_id("tool", call.tool_use_id),
            parent_id=home.span_id,
            name=f"{names.EXECUTE_TOOL} {tool}",
            kind=SpanKind.INTERNAL,
            start_ns=begin,
            end_ns=end,
            attributes=attributes,
            error=call.outcome if call.outcome != _RAN else None,
            fact=call,
        )

    def _wait(self, wait: model.PermissionWait, home: _Thread) -> Span:
        attributes = self._common(wait, None) | {names.TOOL_NAME: wait.tool or "", names.DECISION: wait.decision or ""}
        if wait.tool_use_id:
            attributes[names.TOOL_CALL] = wait.tool_use_id
        return Span(
            trace_id=root_of(home.turn)[0],
            span_id=ids.span_id("permission", wait.session_id, wait.asked_ns, wait.tool or ""),
            parent_id=home.span_id,
            name=f"permission {wait.tool or ''}".strip(),
            kind=SpanKind.INTERNAL,
            start_ns=wait.asked_ns,
            end_ns=wait.asked_ns + (wait.waited_ns or 0),
            attributes=attributes,
            fact=wait,
        )

    def _common(self, fact: model.Fact, operation: str | None) -> dict[str, Value]:
        session_id = self._facts.session.session_id
        found: dict[str, Value] = {names.SESSION: session_id, names.CONVERSATION: session_id}
        if operation is not None:
            found |= {names.OPERATION: operation, names.PROVIDER: names.ANTHROPIC}
        whose = fact if fact.agent is not None else self._facts.session
        return found | {names.IDENTITY[label]: value for label, value in whose.labels()}
