"""The agent turns of a session, and which of them each request, call and wait belongs to.

An agent turn is a turn of the main conversation or of a sub-agent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces import ids
from claude_hooks_otel.traces.session_facts import SessionFacts, asked_ns, call_times
from claude_hooks_otel.traces.turn_trace import trace_of


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """A turn of the main conversation or of a sub-agent. Its span is the parent of its requests and calls.

    Attributes:
        turn: the turn of the main conversation whose trace it is in.
        span_id: its span.
        parent_id: the parent of its span; None for a turn of the main conversation.
        begin_ns, end_ns: Unix nanoseconds.
        subagent_turn: the sub-agent's turn; None for a turn of the main conversation.
    """

    turn: model.Turn
    span_id: int
    parent_id: int | None
    begin_ns: int
    end_ns: int
    subagent_turn: model.SubagentTurn | None = None


def times_of_call(call: model.ToolCall, agent_turn: AgentTurn | None) -> tuple[int, int]:
    """Return when a call began to run and when it ended. A call without an end ends with its agent turn."""
    begin, end = call_times(call)
    return begin, max(end, agent_turn.end_ns) if call.ended_ns is None and agent_turn is not None else end


class AgentTurns:
    """The agent turns of one session.

    Args:
        facts: the facts of the session.
        is_over: whether the session is over. Before that, the agent turn of a request or call may still be unknown: a running
            sub-agent's turn becomes known when it ends.
    """

    def __init__(self, facts: SessionFacts, *, is_over: bool) -> None:
        self._facts = facts
        self._is_over = is_over
        self._subagents = {agent.agent_id: agent for agent in facts.subagents}
        self._subagent_turns: defaultdict[str, list[model.SubagentTurn]] = defaultdict(list)
        for subagent_turn in facts.subagent_turns:
            self._subagent_turns[subagent_turn.agent_id].append(subagent_turn)
        # Sub-agent (None: the main conversation) → the times of its answers and of the ends of its calls, sorted.
        self._ends: defaultdict[str | None, list[int]] = defaultdict(list)
        for request in facts.requests:
            self._ends[request.agent_id].append(request.at_ns or 0)
        for call in facts.calls:
            self._ends[call.agent_id].append(call_times(call)[1])
        for ends in self._ends.values():
            ends.sort()
        # Sub-agent → its agent turns; empty while they are being computed, because no sub-agent can be below itself.
        self._computed: dict[str, list[AgentTurn]] = {}

    def of_subagents(self) -> Iterator[AgentTurn]:
        """Yield every finished turn of every sub-agent whose parent is known."""
        for agent_id in list(self._subagent_turns):
            yield from self._of_subagent(agent_id)

    def of_request(self, request: model.ApiRequest) -> AgentTurn | None:
        """Return the agent turn of a request; None if it is not known (yet)."""
        return self.at(request.agent_id, request.at_ns or 0)

    def of_call(self, call: model.ToolCall) -> AgentTurn | None:
        """Return the agent turn in which the model asked for a call; None if it is not known (yet).

        The call's own prompt id may be that of a later turn: a killed session closes its open calls when it is resumed.
        """
        return self.at(call.agent_id, asked_ns(call))

    def of_wait(self, wait: model.PermissionWait) -> AgentTurn | None:
        """Return the agent turn of a wait: that of the call it was about. None if it is not known (yet)."""
        call = self._facts.calls_by_id.get(wait.tool_use_id or "")
        return self.of_call(call) if call else self.at(None, wait.asked_ns)

    def at(self, agent_id: str | None, at_ns: int) -> AgentTurn | None:
        """Return the agent turn in which something happened; None if it is not known (yet).

        Args:
            agent_id: the sub-agent; None for the main conversation.
            at_ns: when it happened, in Unix nanoseconds.
        """
        if agent_id:
            agent_turns = self._of_subagent(agent_id)
            running = next((agent_turn for agent_turn in agent_turns if at_ns <= agent_turn.end_ns), None)
            if running is not None or not self._is_over:
                return running
            if agent_turns:
                return agent_turns[-1]
        turn = self._facts.turn_at(at_ns)
        if turn is None:
            return None
        begin = turn.started_ns or 0
        end = turn.ended_ns if turn.ended_ns is not None else begin
        return AgentTurn(turn, trace_of(turn).root_id, None, begin, end)

    def previous_end(self, agent_id: str | None, at_ns: int, agent_turn: AgentTurn) -> int:
        """Return when the last request or call before ``at_ns`` ended, in the same conversation, but within the agent turn."""
        ends = self._ends[agent_id]
        index = bisect_left(ends, at_ns)
        return min(max(ends[index - 1] if index else 0, agent_turn.begin_ns), at_ns)

    def is_last(self, agent_id: str | None, at_ns: int) -> bool:
        """Return whether no answer came and no call ended after ``at_ns``, in the same conversation."""
        ends = self._ends[agent_id]
        return not ends or at_ns >= ends[-1]

    # -- sub-agents ------------------------------------------------------------------------------------------------------------

    def _of_subagent(self, agent_id: str) -> list[AgentTurn]:
        """Return the sub-agent's finished turns in order of time."""
        if agent_id not in self._computed:
            self._computed[agent_id] = []
            found = filter(None, map(self._agent_turn, self._subagent_turns.get(agent_id, ())))
            self._computed[agent_id] = sorted(found, key=lambda turn: (turn.end_ns, turn.span_id))
        return self._computed[agent_id]

    def _agent_turn(self, subagent_turn: model.SubagentTurn) -> AgentTurn | None:
        agent = self._subagents.get(subagent_turn.agent_id)
        is_first = self._is_first(subagent_turn)
        caller = self._facts.calls_by_id.get(agent.tool_use_id or "") if agent else None
        times = self._times(subagent_turn, caller)
        if times is None:
            return None
        begin, end = times
        span_id = ids.span_id("subagent", subagent_turn.agent_id, subagent_turn.ended_ns)
        if is_first and caller is None and agent and agent.tool_use_id and not self._is_over:
            return None  # the call that started the sub-agent still runs, and is known when it ends
        # The messages that wake a teammate name no agent. So all its turns belong to the call that started it.
        woken_by = None if is_first else self._waking_call(subagent_turn.agent_id, begin)
        if (call := woken_by or caller) is not None:
            parent = self.of_call(call)
            if parent is None:
                return None
            return AgentTurn(parent.turn, span_id, ids.tool_span_id(call.tool_use_id), begin, end, subagent_turn)
        turn = self._facts.turn_at(begin)
        if turn is None:
            return None
        above = self.at(agent.parent_agent_id, begin) if agent and agent.parent_agent_id else None
        parent_id = above.span_id if above is not None and above.turn is turn else trace_of(turn).root_id
        return AgentTurn(turn, span_id, parent_id, begin, end, subagent_turn)

    def _waking_call(self, agent_id: str, begin_ns: int) -> model.ToolCall | None:
        """Return the last call before ``begin_ns`` that woke the sub-agent."""
        calls = [
            self._facts.calls_by_id.get(wake.tool_use_id) for wake in self._facts.wakes if wake.agent_id == agent_id
        ]
        before = [call for call in calls if call is not None and asked_ns(call) <= begin_ns]
        return max(before, key=asked_ns, default=None)

    def _is_first(self, subagent_turn: model.SubagentTurn) -> bool:
        return all(
            other.ended_ns == model.INFERRED or other.ended_ns >= subagent_turn.ended_ns
            for other in self._subagent_turns[subagent_turn.agent_id]
        )

    def _times(self, subagent_turn: model.SubagentTurn, caller: model.ToolCall | None) -> tuple[int, int] | None:
        """Return begin and end of a sub-agent's turn. If no event had them, they come from its requests and calls."""
        did = self._ends[subagent_turn.agent_id]
        end = subagent_turn.ended_ns if subagent_turn.ended_ns != model.INFERRED else None
        begin = subagent_turn.started_ns
        if begin is None:
            others = (other.ended_ns for other in self._subagent_turns[subagent_turn.agent_id])
            since = max((at for at in others if at != subagent_turn.ended_ns and at < (end or 0)), default=0)
            begin = min((at for at in did if at >= since and (end is None or at <= end)), default=None)
        if begin is None:
            begin = call_times(caller)[0] if caller else end
        if begin is None:
            return None
        end = end if end is not None else max((at for at in did if at >= begin), default=begin)
        return min(begin, end), end
