"""What of a session stands beneath what: the turn of a main conversation or of a sub-agent that each request and call belongs to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces import ids
from claude_hooks_otel.traces.session_facts import SessionFacts, asked_ns, call_times
from claude_hooks_otel.traces.turn_trace import trace_of


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """A turn of the main conversation or of a sub-agent: what requests and calls stand beneath.

    Attributes:
        turn: in whose trace it is.
        span_id: its span.
        parent_id: what that is beneath; None for a turn of the main conversation.
        begin_ns, end_ns: Unix nanoseconds.
        invocation: the sub-agent's turn; None for the main conversation's.
    """

    turn: model.Turn
    span_id: int
    parent_id: int | None
    begin_ns: int
    end_ns: int
    invocation: model.SubagentTurn | None = None


def times_of_call(call: model.ToolCall, place: AgentTurn | None) -> tuple[int, int]:
    """When a call began to run and when it ended; one that was still running when all else ended, then."""
    begin, end = call_times(call)
    return begin, max(end, place.end_ns) if call.ended_ns is None and place is not None else end


class AgentTurns:
    """All of them in one session.

    Args:
        facts: of the session.
        is_over: whether nothing more is expected of it. Before that, what belongs to a turn of a sub-agent that is still going on
            has no place yet.
    """

    def __init__(self, facts: SessionFacts, *, is_over: bool) -> None:
        self._facts = facts
        self._is_over = is_over
        self._subagents = {agent.agent_id: agent for agent in facts.subagents}
        self._invocations: dict[str, list[model.SubagentTurn]] = {}
        for invocation in facts.subagent_turns:
            self._invocations.setdefault(invocation.agent_id, []).append(invocation)
        # Sub-agent (None: the main conversation) → when each of its answers came and each of its calls ended, sorted.
        self._ends: dict[str | None, list[int]] = {}
        for request in facts.requests:
            self._ends.setdefault(request.agent_id, []).append(request.at_ns or 0)
        for call in facts.calls:
            self._ends.setdefault(call.agent_id, []).append(call_times(call)[1])
        for ends in self._ends.values():
            ends.sort()
        # None while it is looked for: no sub-agent can be beneath itself.
        self._found: dict[str, list[AgentTurn] | None] = {}

    def of_subagents(self) -> Iterator[AgentTurn]:
        """Every finished turn of every sub-agent whose place is known."""
        for agent_id in self._invocations:
            yield from self._of(agent_id)

    def of_request(self, request: model.ApiRequest) -> AgentTurn | None:
        """What a request stands beneath; None where that is not known (yet)."""
        return self.at(request.agent_id, request.at_ns or 0)

    def of_call(self, call: model.ToolCall) -> AgentTurn | None:
        """What a call stands beneath; None where that is not known (yet)."""
        return self.at(call.agent_id, asked_ns(call), self._facts.turn_of_call(call))

    def of_wait(self, wait: model.PermissionWait) -> AgentTurn | None:
        """What a question stands beneath: what the call does that it was about; None where that is not known (yet)."""
        call = self._facts.calls_by_id.get(wait.tool_use_id or "")
        return self.of_call(call) if call else self.at(None, wait.asked_ns)

    def at(self, agent_id: str | None, at_ns: int, turn: model.Turn | None = None) -> AgentTurn | None:
        """The sub-agent's turn that was going on, else the conversation's: ``turn``, or the one of that time."""
        if agent_id:
            agent_turns = self._of(agent_id)
            if (
                going_on := next((agent_turn for agent_turn in agent_turns if at_ns <= agent_turn.end_ns), None)
            ) is not None:
                return going_on
            if not self._is_over:
                return None
            if agent_turns:
                return agent_turns[-1]
        turn = turn or self._facts.turn_at(at_ns)
        if turn is None:
            return None
        begin = turn.started_ns or 0
        end = turn.ended_ns if turn.ended_ns is not None else begin
        return AgentTurn(turn, trace_of(turn).root_id, None, begin, end)

    def before(self, agent_id: str | None, at_ns: int, place: AgentTurn) -> int:
        """When the last thing before ``at_ns`` had ended, in the same conversation."""
        ends = self._ends.get(agent_id, [])
        index = bisect_left(ends, at_ns)
        return min(max(ends[index - 1] if index else 0, place.begin_ns), at_ns)

    def is_last(self, agent_id: str | None, at_ns: int) -> bool:
        """Whether nothing came or ended after this, in the same conversation."""
        ends = self._ends.get(agent_id, [])
        return not ends or at_ns >= ends[-1]

    # -- sub-agents ------------------------------------------------------------------------------------------------------------

    def _of(self, agent_id: str) -> list[AgentTurn]:
        """The sub-agent's finished turns in order of time."""
        if agent_id not in self._found:
            self._found[agent_id] = None
            made = [self._thread(invocation) for invocation in self._invocations.get(agent_id, ())]
            self._found[agent_id] = sorted(
                filter(None, made), key=lambda agent_turn: (agent_turn.end_ns, agent_turn.span_id)
            )
        return self._found[agent_id] or []

    def _thread(self, invocation: model.SubagentTurn) -> AgentTurn | None:
        agent = self._subagents.get(invocation.agent_id)
        is_first = self._is_first(invocation)
        caller = self._facts.calls_by_id.get(agent.tool_use_id or "") if agent else None
        times = self._times(invocation, caller)
        if times is None:
            return None
        begin, end = times
        span_id = ids.span_id("subagent", invocation.agent_id, invocation.ended_ns)
        if is_first and caller is None and agent and agent.tool_use_id and not self._is_over:
            return None  # its call is still running: it tells which turn this is of
        # A teammate is woken by messages that name no agent: all it does is the business of the call that started it.
        woken_by = None if is_first else self._waking_call(invocation.agent_id, begin)
        if (call := woken_by or caller) is not None:
            place = self.of_call(call)
            if place is None:
                return None
            return AgentTurn(place.turn, span_id, ids.tool_span_id(call.tool_use_id), begin, end, invocation)
        turn = self._facts.turn_at(begin)
        if turn is None:
            return None
        above = self.at(agent.parent_agent_id, begin, turn) if agent and agent.parent_agent_id else None
        parent_id = above.span_id if above is not None and above.turn is turn else trace_of(turn).root_id
        return AgentTurn(turn, span_id, parent_id, begin, end, invocation)

    def _waking_call(self, agent_id: str, begin_ns: int) -> model.ToolCall | None:
        """The last call before ``begin_ns`` that had the sub-agent go on."""
        calls = [
            self._facts.calls_by_id.get(wake.tool_use_id) for wake in self._facts.wakes if wake.agent_id == agent_id
        ]
        before = [call for call in calls if call is not None and asked_ns(call) <= begin_ns]
        return max(before, key=asked_ns, default=None)

    def _is_first(self, invocation: model.SubagentTurn) -> bool:
        return all(
            other.ended_ns == model.INFERRED or other.ended_ns >= invocation.ended_ns
            for other in self._invocations[invocation.agent_id]
        )

    def _times(self, invocation: model.SubagentTurn, caller: model.ToolCall | None) -> tuple[int, int] | None:
        """Begin and end, taken from what the sub-agent did where no event told of them."""
        did = self._ends.get(invocation.agent_id, [])
        end = invocation.ended_ns if invocation.ended_ns != model.INFERRED else None
        begin = invocation.started_ns
        if begin is None:
            others = [
                other.ended_ns
                for other in self._invocations[invocation.agent_id]
                if other.ended_ns != invocation.ended_ns and other.ended_ns < (end or 0)
            ]
            since = max(others, default=0)
            begin = min((at for at in did if at >= since and (end is None or at <= end)), default=None)
        if begin is None:
            begin = call_times(caller)[0] if caller else end
        if begin is None:
            return None
        end = end if end is not None else max((at for at in did if at >= begin), default=begin)
        return min(begin, end), end
