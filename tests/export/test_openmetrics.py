"""Exported history is valid OpenMetrics text, with samples that Prometheus finds."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable

import pytest
from opentelemetry.sdk.resources import Resource
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from claude_hooks_otel.export.openmetrics import NOT_WRITTEN, REPEATED_EVERY, Target, Written, write_openmetrics
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import OVERFLOW
from claude_hooks_otel.series.aggregates import BUCKET
from claude_hooks_otel.series.timelines import Origin, Timeline
from claude_hooks_otel.units import DAY, DOLLAR, SECOND

BEGIN = 1_700_000_000 * SECOND // BUCKET * BUCKET
NOW = BEGIN + 30 * DAY + 1
END = (NOW - NOT_WRITTEN) // SECOND
TARGET = Target("claude-hooks-otel", "store")
LABELS = (("agent", "back\\slash"), ("project", 'quo"te\nand line'))
COST = Timeline(catalog.COST, LABELS, ((BEGIN, (DOLLAR // 3,)), (BEGIN + 10 * DAY, (2 * DOLLAR,))), Origin.HISTORY)
BUCKETS = len(catalog.TURN_DURATION.buckets) + 1
TURNS = Timeline(
    catalog.TURN_DURATION,
    LABELS,
    (
        (BEGIN, (7 * SECOND, 0, 0, 1, *(0,) * (BUCKETS - 3))),
        (BEGIN + BUCKET, (10**7 * SECOND, *(0,) * (BUCKETS - 1), 2)),
    ),
    Origin.HISTORY,
)
REVIEW = Timeline(
    catalog.REVIEW_DURATION,
    LABELS,
    ((BEGIN, (SECOND, 1, *(0,) * len(catalog.REVIEW_DURATION.buckets))),),
    Origin.HISTORY,
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], list[tuple[int, float]]]


def written(timelines: Iterable[Timeline], target: Target = TARGET, now_ns: int = NOW) -> tuple[Samples, str, Written]:
    """Return the samples as another implementation reads them, the text, and what was counted.

    That parser drops histogram points after the first of a series, so it gets the samples of each time by themselves.
    """
    pieces: list[str] = []
    counted = write_openmetrics(timelines, target, now_ns, pieces.append)
    text = "".join(pieces)
    lines = text.splitlines(keepends=True)
    times = dict.fromkeys(line.rpartition(" ")[2] for line in lines if not line.startswith("#"))
    found: Samples = defaultdict(list)
    for at in times:
        one = "".join(line for line in lines if line.startswith("#") or line.endswith(f" {at}"))
        for family in text_string_to_metric_families(one):
            for sample in family.samples:
                found[sample.name, frozenset(sample.labels.items())].append((int(at), sample.value))
    return found, text, counted


def test_a_counter_begins_with_0_and_has_its_total_at_the_end_of_each_half_hour() -> None:
    found, text, counted = written([COST])
    ((name, labels),) = found
    assert name == "claude_api_cost_usd_total"
    assert labels == {*LABELS, ("instance", "store-history"), ("job", "claude-hooks-otel")}
    samples = dict(found[name, labels])
    assert samples[BEGIN // SECOND] == 0
    assert samples[(BEGIN + BUCKET) // SECOND - 1] == DOLLAR // 3 / DOLLAR
    assert samples[(BEGIN + 10 * DAY + BUCKET) // SECOND - 1] == pytest.approx(7 / 3, abs=1e-12)
    assert samples[END] == max(samples.values())
    assert text.endswith("\n# EOF\n")
    assert counted == Written(series=1, samples=len(samples), first_ns=BEGIN)


def test_no_gap_between_samples_is_longer_than_the_dashboards_look_back() -> None:
    _, text, _ = written([COST, TURNS])
    found: defaultdict[str, list[int]] = defaultdict(list)
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, at = line.rpartition(" ")
            found[series.rpartition(" ")[0]].append(int(at))
    assert len(found) == 1 + BUCKETS + 2
    for times in found.values():
        assert times == sorted(set(times))
        assert times[-1] == END
        assert (
            max(after - before for before, after in itertools.pairwise(times))
            <= REPEATED_EVERY // SECOND
            < 3 * DAY // SECOND
        )


def test_a_histogram_has_cumulative_buckets() -> None:
    found, _, _ = written([TURNS])
    last = {(name, dict(labels).get("le")): samples[-1][1] for (name, labels), samples in found.items()}
    name = "claude_turn_duration_seconds"
    assert {le: value for (each, le), value in last.items() if each == f"{name}_bucket"} == {
        le: 0 if float(le) < 15 else 1 if float(le) < math.inf else 3
        for each, le in last
        if each == f"{name}_bucket" and le
    }
    assert last[f"{name}_count", None] == 3
    assert last[f"{name}_sum", None] == 10**7 + 7


def test_bounds_are_written_as_prometheus_writes_them() -> None:
    found, _, _ = written([REVIEW])
    bounds = {dict(labels).get("le") for name, labels in found if name.endswith("_bucket")}
    assert {"300.0", "604800.0", "1.2096e+06", "2.592e+06", "+Inf"} <= bounds


def test_the_samples_of_a_family_are_together() -> None:
    other = Timeline(catalog.COST, (("agent", "b"), ("project", "p")), COST.growths, Origin.LIVE)
    found, text, _ = written([COST, other, TURNS])
    assert text.count("# TYPE claude_api_cost_usd counter\n") == 1
    assert text.count("# TYPE ") == 2
    assert {dict(labels)["instance"] for _, labels in found} == {"store", "store-history"}


def test_the_history_of_a_range_has_an_instance_of_its_own() -> None:
    live = Timeline(catalog.COST, LABELS, COST.growths, Origin.LIVE)
    found, _, _ = written([COST, live], Target("job", "store", "-from-20260101T0000Z"))
    assert {dict(labels)["instance"] for _, labels in found} == {"store", "store-history-from-20260101T0000Z"}


def test_half_hours_that_are_too_new_are_left_out_and_counted() -> None:
    half = (NOW - NOT_WRITTEN) // BUCKET * BUCKET
    late = Timeline(catalog.COST, LABELS, ((BEGIN, (1,)), (half, (1,)), (half + BUCKET, (1,))), Origin.HISTORY)
    only = Timeline(catalog.COST, LABELS, ((half + BUCKET, (1,)),), Origin.HISTORY)
    found, _, counted = written([late, only])
    assert (counted.series, counted.too_new) == (1, 3)
    ((_, value),) = {sample for samples in found.values() for sample in samples[-1:]}
    assert value == 1 / DOLLAR


def test_labels_have_the_names_and_signs_that_prometheus_accepts() -> None:
    overflow = Timeline(catalog.COST, OVERFLOW, COST.growths, Origin.HISTORY)
    odd = Timeline(catalog.COST, (("agent", "half \ud83d pair"),), COST.growths, Origin.HISTORY)
    found, text, _ = written([overflow, odd])
    labels = {pair for _, each in found for pair in each}
    assert {("otel_metric_overflow", "true"), ("agent", "half ? pair")} <= labels
    text.encode()


def test_the_job_is_the_service_after_its_namespace() -> None:
    attributes = {"service.name": "agents", "service.instance.id": "i"}
    assert Target.of(Resource(attributes)) == Target("agents", "i")
    assert Target.of(Resource(attributes | {"service.namespace": "team"})) == Target("team/agents", "i")


def test_nothing_is_still_a_complete_text() -> None:
    assert written([])[1:] == ("# EOF\n", Written())
