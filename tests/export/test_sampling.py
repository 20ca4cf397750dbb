"""The sampler decides which traces are sent, as other SDKs do."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from claude_hooks_otel.export.sampling import TurnSampler
from claude_hooks_otel.settings import SamplerSettings
from claude_hooks_otel.settings.otel import SAMPLERS

_DICE = random.Random(5)
TRACES = [_DICE.getrandbits(128) for _ in range(2000)]


@pytest.mark.parametrize(
    ("settings", "alone", "with_sampled_parent", "with_unsampled_parent"),
    [
        (SamplerSettings(), True, True, False),
        (SamplerSettings("always_on"), True, True, True),
        (SamplerSettings("always_off"), False, False, False),
        (SamplerSettings("parentbased_always_on"), True, True, False),
        (SamplerSettings("parentbased_always_off"), False, True, False),
    ],
)
def test_each_sampler_decides_as_opentelemetry_specifies(
    settings: SamplerSettings, alone: bool, with_sampled_parent: bool, with_unsampled_parent: bool
) -> None:
    sampler = TurnSampler(settings)
    assert (sampler(7, None), sampler(7, True), sampler(7, False)) == (
        alone,
        with_sampled_parent,
        with_unsampled_parent,
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_there_is_a_sampler_for_every_name_of_the_settings(name: str) -> None:
    assert all(TurnSampler(SamplerSettings(name))(trace, True) in (True, False) for trace in TRACES[:3])


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_a_ratio_samples_the_traces_that_the_sdk_samples(ratio: float) -> None:
    """Any other service with this ratio sends the same traces."""
    sampler = TurnSampler(SamplerSettings("traceidratio", ratio))
    other = TraceIdRatioBased(ratio)
    for trace in TRACES:
        assert sampler(trace, None) == (other.should_sample(None, trace, "").decision is Decision.RECORD_AND_SAMPLE)
    share = sum(sampler(trace, None) for trace in TRACES) / len(TRACES)
    assert share == pytest.approx(ratio, abs=0.04)


def test_a_ratio_with_a_parent_follows_the_parents_decision() -> None:
    sampler = TurnSampler(SamplerSettings("parentbased_traceidratio", 0.0))
    assert (sampler(7, None), sampler(7, True), sampler(7, False)) == (False, True, False)
