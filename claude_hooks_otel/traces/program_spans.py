"""From the tasks and spans of programs (the SDK's) to finished spans: a trace for each of a program's outermost ones.

A span is final when it arrives. The record names the outermost span it was inside of, so that it finds its trace whatever arrives first.
"""

from __future__ import annotations

from collections.abc import Sequence

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces import ids
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Span, SpanKind, Value

_SUCCESS = "success"


def spans_of_programs(facts: Sequence[model.ProgramSpan]) -> list[Span]:
    """The spans that these facts are; what has not ended is none.

    Args:
        facts: of any programs, in any order.
    """
    return [_span(fact, fact.ended_ns) for fact in facts if fact.ended_ns is not None]


def _span(fact: model.ProgramSpan, ended_ns: int) -> Span:
    attributes: dict[str, Value] = {names.IDENTITY[label]: value for label, value in fact.labels()}
    if fact.outcome:
        attributes[names.OUTCOME] = fact.outcome
    return Span(
        # An older SDK does not name the outermost one: then it is taken to be the next.
        trace_id=ids.program_trace_id(fact.root_id or fact.parent_id or fact.span_id),
        span_id=ids.span_id("program", fact.span_id),
        parent_id=ids.span_id("program", fact.parent_id) if fact.parent_id else None,
        name=fact.name or "span",
        kind=SpanKind.INTERNAL,
        start_ns=min(fact.started_ns if fact.started_ns is not None else ended_ns, ended_ns),
        end_ns=ended_ns,
        attributes=attributes,
        error=fact.outcome if fact.outcome not in (None, _SUCCESS) else None,
        fact=fact,
    )
