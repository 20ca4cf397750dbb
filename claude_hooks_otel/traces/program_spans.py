"""From the tasks and spans of programs, which the SDK records, to finished spans. Each outermost task or span begins a trace.

The record of a program span is final. It names the outermost span around it, so that every span finds its trace, whatever arrives first.
"""

from __future__ import annotations

from collections.abc import Sequence

from claude_hooks_otel.facts import model
from claude_hooks_otel.metrics.labels import all_identity_labels
from claude_hooks_otel.traces import ids
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Span, SpanKind, Value

_SUCCESS = "success"


def spans_of_programs(facts: Sequence[model.ProgramSpan]) -> list[Span]:
    """Return the spans of the facts that have ended.

    Args:
        facts: tasks and spans of any programs, in any order.
    """
    return [_span(fact, fact.ended_ns) for fact in facts if fact.ended_ns is not None]


def _span(fact: model.ProgramSpan, ended_ns: int) -> Span:
    attributes: dict[str, Value] = {names.IDENTITY[label]: value for label, value in all_identity_labels(fact)}
    if fact.outcome:
        attributes[names.OUTCOME] = fact.outcome
    return Span(
        # An older SDK does not name the outermost span. Then the parent counts as the outermost one.
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
