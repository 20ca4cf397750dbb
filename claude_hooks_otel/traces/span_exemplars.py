"""Exemplars: they link the buckets of histograms to the spans of the facts that were counted in them."""

from __future__ import annotations

from collections.abc import Sequence

from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.exemplars import Exemplars
from claude_hooks_otel.series.points import Exemplar
from claude_hooks_otel.series.projection import contributions
from claude_hooks_otel.traces.model import Span


def keep_exemplars(exemplars: Exemplars, spans: Sequence[Span]) -> None:
    """Keep an exemplar for each observation that a sent span shows, inside the transaction that writes the spans."""
    exemplars.forget_old()
    for span in spans:
        for (metric, labels), amount in contributions(span.fact).items():
            if metric.kind is Kind.HISTOGRAM:
                exemplars.keep(metric, labels, Exemplar(amount, span.end_ns, span.trace_id, span.span_id))
