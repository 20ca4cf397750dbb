"""Which traces are sent: OpenTelemetry's samplers, asked once for a turn's trace, so that a turn is there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, TraceIdRatioBased

_SAMPLER, _ARGUMENT = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_DEFAULT: Final = "parentbased_always_on"
_NO_PARENT = Context()


class TurnSampler:
    """Decides for whole traces.

    Attributes:
        warnings: what the variables say that can not be followed, a sentence each.
    """

    def __init__(self, sampler: Sampler, warnings: tuple[str, ...] = ()) -> None:
        self._sampler = sampler
        self.warnings = warnings

    def __call__(self, trace_id: int, parent_sampled: bool | None) -> bool:
        """Whether a trace is sent: the same for every process that asks.

        Args:
            trace_id: of the trace.
            parent_sampled: whether the caller that the trace goes on from sampled it; None where there is none.
        """
        context = _NO_PARENT if parent_sampled is None else _remote(trace_id, sampled=parent_sampled)
        return self._sampler.should_sample(context, trace_id, "invoke_agent").decision is Decision.RECORD_AND_SAMPLE

    def describe(self) -> str:
        """The sampler in OpenTelemetry's own words."""
        return self._sampler.get_description()


def turn_sampler(environment: Mapping[str, str]) -> TurnSampler:
    """The sampler that ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` name.

    A name or argument that is not known is ignored with a warning, as the specification says (OpenTelemetry specification,
    "Environment Variable Specification", "General SDK Configuration").
    """
    warnings: list[str] = []
    ratio = _ratio(environment, warnings)
    samplers: Mapping[str, Sampler] = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(ratio),
        "parentbased_always_on": ParentBased(ALWAYS_ON),
        "parentbased_always_off": ParentBased(ALWAYS_OFF),
        "parentbased_traceidratio": ParentBased(TraceIdRatioBased(ratio)),
    }
    name = environment.get(_SAMPLER, "").strip().lower() or _DEFAULT
    if name not in samplers:
        warnings.append(f"{_SAMPLER}={name} is not known ({', '.join(samplers)}): {_DEFAULT} is used")
        name = _DEFAULT
    return TurnSampler(samplers[name], tuple(warnings))


def _ratio(environment: Mapping[str, str], warnings: list[str]) -> float:
    text = environment.get(_ARGUMENT, "").strip()
    if not text or not environment.get(_SAMPLER, "").strip().lower().endswith("traceidratio"):
        return 1.0
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        warnings.append(f"{_ARGUMENT}={text} is no number from 0 to 1: 1 is used")
        return 1.0
    return ratio


def _remote(trace_id: int, *, sampled: bool) -> Context:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
    # Which span it was plays no part in a decision, but none may be zero.
    parent = trace.SpanContext(trace_id, 1, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), _NO_PARENT)
