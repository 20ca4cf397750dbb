"""Which traces are sent: as every other SDK would decide, and a turn as a whole."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from claude_hooks_otel.export.sampling import turn_sampler

SAMPLER, ARGUMENT = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_DICE = random.Random(5)
TRACES = [_DICE.getrandbits(128) for _ in range(2000)]


@pytest.mark.parametrize(
    ("name", "alone", "beneath_a_sampled_one", "beneath_one_that_is_not"),
    [
        (None, True, True, False),
        ("", True, True, False),
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
        ("ParentBased_Always_On", True, True, False),
    ],
)
def test_the_named_samplers(
    name: str | None, alone: bool, beneath_a_sampled_one: bool, beneath_one_that_is_not: bool
) -> None:
    sampler = turn_sampler({} if name is None else {SAMPLER: name})
    assert (sampler(7, None), sampler(7, True), sampler(7, False)) == (
        alone,
        beneath_a_sampled_one,
        beneath_one_that_is_not,
    )
    assert sampler.warnings == ()


@pytest.mark.parametrize("ratio", ["0", "0.25", "1"])
def test_a_share_is_the_sdks_own(ratio: str) -> None:
    """The same traces that any other service with that share would send."""
    sampler = turn_sampler({SAMPLER: "traceidratio", ARGUMENT: ratio})
    other = TraceIdRatioBased(float(ratio))
    for trace in TRACES:
        assert sampler(trace, None) == (other.should_sample(None, trace, "").decision is Decision.RECORD_AND_SAMPLE)
    share = sum(sampler(trace, None) for trace in TRACES) / len(TRACES)
    assert share == pytest.approx(float(ratio), abs=0.04)


def test_a_share_with_a_parent_is_the_parents_decision() -> None:
    sampler = turn_sampler({SAMPLER: "parentbased_traceidratio", ARGUMENT: "0"})
    assert (sampler(7, None), sampler(7, True), sampler(7, False)) == (False, True, False)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({SAMPLER: "sometimes"}, "sometimes"),
        ({SAMPLER: "traceidratio", ARGUMENT: "a tenth"}, "a tenth"),
        ({SAMPLER: "traceidratio", ARGUMENT: "1.5"}, "1.5"),
        ({SAMPLER: "parentbased_traceidratio", ARGUMENT: "nan"}, "nan"),
    ],
)
def test_what_is_not_known_is_said_and_everything_is_sent(variables: dict[str, str], named: str) -> None:
    sampler = turn_sampler(variables)
    assert all(sampler(trace, None) for trace in TRACES)
    (warning,) = sampler.warnings
    assert named in warning
