"""Which traces are sent. An OpenTelemetry sampler decides once for a turn's trace, so that a turn is sent whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, TraceIdRatioBased

from claude_hooks_otel.settings import SamplerSettings

_NO_PARENT = Context()


class TurnSampler:
    """Decides for whole traces.

    Args:
        settings: name and ratio of the sampler.
    """

    def __init__(self, settings: SamplerSettings) -> None:
        samplers: Mapping[str, Sampler] = {
            "always_on": ALWAYS_ON,
            "always_off": ALWAYS_OFF,
            "traceidratio": TraceIdRatioBased(settings.ratio),
        }
        root = samplers[settings.name.removeprefix("parentbased_")]
        self._sampler = ParentBased(root) if settings.name.startswith("parentbased_") else root

    def __call__(self, trace_id: int, parent_sampled: bool | None) -> bool:
        """Return whether a trace is sent. Every process gets the same answer.

        Args:
            trace_id: the trace.
            parent_sampled: whether the calling program sampled the trace that continues here; None without one.
        """
        context = _NO_PARENT if parent_sampled is None else _remote(trace_id, sampled=parent_sampled)
        return self._sampler.should_sample(context, trace_id, "invoke_agent").decision is Decision.RECORD_AND_SAMPLE


def _remote(trace_id: int, *, sampled: bool) -> Context:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
    # Decisions do not depend on the parent's span id, but it must not be zero.
    parent = trace.SpanContext(trace_id, 1, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), _NO_PARENT)
