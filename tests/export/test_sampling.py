"""Which traces are sent: as every other SDK decides."""

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
    ("settings", "alone", "beneath_a_sampled_one", "beneath_one_that_is_not"),
    [
        (SamplerSettings(), True, True, False),
        (SamplerSettings("always_on"), True, True, True),
        (SamplerSettings("always_off"), False, False, False),
        (SamplerSettings("parentbased_always_on"), True, True, False),
        (SamplerSettings("parentbased_always_off"), False, True, False),
    ],
)
def test_each_sampler_decides_as_opentelemetry_says(
    settings: SamplerSettings, alone: bool, beneath_a_sampled_one: bool, beneath_one_that_is_not: bool
) -> None:
    sampler = TurnSampler(settings)
    assert (sampler(7, None), sampler(7, True), sampler(7, False)) == (
        alone,
        beneath_a_sampled_one,
        beneath_one_that_is_not,
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_the_settings_can_be_asked(name: str) -> None:
    assert all(TurnSampler(SamplerSettings(name))(trace, True) is not None for trace in TRACES[:3])


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_a_share_is_the_sdks_own(ratio: float) -> None:
    """Any other service with that share sends the same traces."""
    sampler = TurnSampler(SamplerSettings("traceidratio", ratio))
    other = TraceIdRatioBased(ratio)
    for trace in TRACES:
        assert sampler(trace, None) == (other.should_sample(None, trace, "").decision is Decision.RECORD_AND_SAMPLE)
    share = sum(sampler(trace, None) for trace in TRACES) / len(TRACES)
    assert share == pytest.approx(ratio, abs=0.04)


def test_a_share_with_a_parent_is_the_parents_decision() -> None:
    sampler = TurnSampler(SamplerSettings("parentbased_traceidratio", 0.0))
    assert (sampler(7, None), sampler(7, True), sampler(7, False)) == (False, True, False)
