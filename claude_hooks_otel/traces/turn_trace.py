"""The trace of a turn: a trace of its own, derived from session and prompt, or the trace in which its client was started."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from claude_hooks_otel.facts.model import Turn
from claude_hooks_otel.traces import ids

# Source: W3C Trace Context, "traceparent Header Field Values". Versions after 00 may append more, which is ignored.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(-.*)?"
)
_SAMPLED = 1

# (trace id, whether the calling program sampled the trace, None without one) → whether the trace is sent.
Sampler = Callable[[int, bool | None], bool]


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The span of another program in which a client was started."""

    trace_id: int
    span_id: int
    is_sampled: bool

    @classmethod
    def parse(cls, text: str) -> TraceParent | None:
        """Parse the value of ``TRACEPARENT``. Return None if it is invalid.

        >>> TraceParent.parse("00-0000000000000000000000000000000a-000000000000000b-01")
        TraceParent(trace_id=10, span_id=11, is_sampled=True)
        """
        found = _TRACEPARENT.fullmatch(text)
        if found is None or (text.startswith("00") and found[4]):
            return None
        trace_id, span_id = int(found["trace"], 16), int(found["span"], 16)
        if not trace_id or not span_id:
            return None
        return cls(trace_id, span_id, bool(int(found["flags"], 16) & _SAMPLED))


@dataclass(frozen=True, slots=True)
class TurnTrace:
    """The trace of a turn, and the turn's root span.

    Attributes:
        trace_id: the trace.
        root_id: the turn's root span.
        parent: the parent of the root span, in another program; None if the turn begins the trace.
    """

    trace_id: int
    root_id: int
    parent: TraceParent | None = None

    @property
    def parent_sampled(self) -> bool | None:
        """Whether the other program sampled the trace; None without one."""
        return self.parent.is_sampled if self.parent else None


def trace_of(turn: Turn, *, follow_traceparent: bool = False) -> TurnTrace:
    """Return the trace of a turn.

    Args:
        turn: the turn.
        follow_traceparent: whether the turn continues the trace in which its client was started.
    """
    session_id = turn.session_id or ""
    root_id = ids.span_id("turn", session_id, turn.prompt_id)
    if follow_traceparent and turn.traceparent and (parent := TraceParent.parse(turn.traceparent)) is not None:
        return TurnTrace(parent.trace_id, root_id, parent)
    return TurnTrace(ids.trace_id(session_id, turn.prompt_id), root_id)
