"""The metrics of OpenTelemetry's GenAI conventions, made from finished spans. They are optional.

Source of names, units, attributes and buckets: semantic-conventions-genai 0.1.0, "Generative AI metrics".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Labels
from claude_hooks_otel.series.totals import SeriesTotals
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Span
from claude_hooks_otel.units import SECOND

# Upper bounds in seconds, as the conventions advise: each twice the one before, from 0.01 s and from 0.1 s.
_REQUEST_SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
_AGENT_SECONDS: Final = tuple(0.1 * 2**power for power in range(13))
_TOKENS: Final = tuple(float(4**power) for power in range(14))

_OPERATION: Final = (names.OPERATION, names.PROVIDER)

TOKEN_USAGE: Final = Metric(
    "gen_ai.client.token.usage", "{token}", Kind.HISTOGRAM,
    "Tokens of one request to a model, by `gen_ai.token.type`: `input` (those read from and written to the cache included) or `output`.",
    labels=(*_OPERATION, names.REQUEST_MODEL, names.RESPONSE_MODEL, names.TOKEN_TYPE), buckets=_TOKENS,
)  # fmt: skip
OPERATION_DURATION: Final = Metric(
    "gen_ai.client.operation.duration", "s", Kind.HISTOGRAM,
    "How long one request to a model took until it began to answer.",
    labels=(*_OPERATION, names.REQUEST_MODEL, names.RESPONSE_MODEL, names.ERROR_TYPE), scale=SECOND,
    buckets=_REQUEST_SECONDS,
)  # fmt: skip
TOOL_DURATION: Final = Metric(
    "gen_ai.execute_tool.duration", "s", Kind.HISTOGRAM,
    "How long one tool call ran.",
    labels=(*_OPERATION, names.TOOL_NAME, names.TOOL_TYPE, names.ERROR_TYPE), scale=SECOND, buckets=_REQUEST_SECONDS,
)  # fmt: skip
AGENT_DURATION: Final = Metric(
    "gen_ai.invoke_agent.duration", "s", Kind.HISTOGRAM,
    "How long one turn of an agent or sub-agent lasted.",
    labels=(*_OPERATION, names.AGENT_NAME, names.ERROR_TYPE), scale=SECOND, buckets=_AGENT_SECONDS,
)  # fmt: skip

CATALOG: Final[dict[str, Metric]] = {
    metric.name: metric for metric in (TOKEN_USAGE, OPERATION_DURATION, TOOL_DURATION, AGENT_DURATION)
}
_DURATIONS: Final = {
    names.CHAT: OPERATION_DURATION,
    names.EXECUTE_TOOL: TOOL_DURATION,
    names.INVOKE_AGENT: AGENT_DURATION,
}
_TOKEN_TYPES: Final = {"input": names.INPUT_TOKENS, "output": names.OUTPUT_TOKENS}


def count_spans(totals: SeriesTotals, spans: Sequence[Span], *, left_out: Collection[str] = ()) -> None:
    """Count finished spans in the series, inside the transaction that writes the spans.

    Args:
        totals: the series. They have to know the metrics of CATALOG.
        spans: finished spans.
        left_out: labels that are on no metric.
    """
    for span in spans:
        for metric, labels, amount in observations(span):
            shown = tuple(pair for pair in labels if pair[0] not in left_out) if left_out else labels
            totals.add(metric, shown, amount, span.end_ns)


def observations(span: Span) -> Iterator[tuple[Metric, Labels, int]]:
    """Return what a span adds to the series: metric, labels, and amount in stored units."""
    metric = _DURATIONS.get(str(span.attributes.get(names.OPERATION)))
    if metric is None:
        return
    yield metric, _labels(metric, span), span.end_ns - span.start_ns
    if metric is not OPERATION_DURATION or span.error is not None:
        return
    for kind, attribute in _TOKEN_TYPES.items():
        tokens = span.attributes.get(attribute)
        if isinstance(tokens, int):
            yield TOKEN_USAGE, _labels(TOKEN_USAGE, span, {names.TOKEN_TYPE: kind}), tokens


def _labels(metric: Metric, span: Span, more: dict[str, str] | None = None) -> Labels:
    """Return the identity labels that all series have, and the span's values of the metric's own labels."""
    identity = {label: str(span.attributes[name]) for label, name in names.IDENTITY.items() if name in span.attributes}
    own = {name: str(span.attributes[name]) for name in metric.labels if name in span.attributes}
    return tuple(sorted((identity | own | (more or {})).items()))
