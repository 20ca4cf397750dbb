"""Series become MetricsData with names, units, kinds, exact values, times and resource. Deltas add up to the totals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel import __version__
from claude_hooks_otel.export.metrics import POINTS_PER_REQUEST, metrics_data, requests
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.export.temporality import Baseline, accepted, delta_points, series_key
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import OtelSettings
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.support.otlp_points import Point
from tests.support.otlp_points import points as flattened

CALLS = Metric("claude.tool.calls", "{call}", Kind.COUNTER, "Tool calls.", labels=("tool",))
COST = Metric("claude.api.cost.usd", "{USD}", Kind.COUNTER, "Cost.", scale=DOLLAR)
USAGE = Metric("claude.context.usage", "%", Kind.GAUGE, "Context in use.", scale=1000)
DURATION = Metric("claude.session.duration", "s", Kind.HISTOGRAM, "Time.", scale=SECOND, buckets=(1.0, 60.0))

BACKEND = (("agent", "backend"), ("project", "shop"))
FRONTEND = (("agent", "frontend"), ("project", "shop"))
START, NOW = 1_700_000_000_000_000_000, 1_700_000_060_000_000_000
RESOURCE = Resource({"service.name": "s"})
SAMPLE = [
    SeriesPoint(CALLS, BACKEND, START, 41),
    SeriesPoint(COST, BACKEND, START + 1, 1_234_567_890_123),
    SeriesPoint(CALLS, FRONTEND, START + 2, 1),
    SeriesPoint(USAGE, BACKEND, START + 3, 12_345),
    SeriesPoint(DURATION, BACKEND, START + 4, 61_500_000_000, (1, 0, 2)),
]


def encoded(points: list[SeriesPoint], now_ns: int = NOW, **options: object) -> list[Point]:
    """Return the points as OpenTelemetry's encoder writes them."""
    return list(flattened(encode_metrics(metrics_data(points, RESOURCE, now_ns, **options))))


def test_every_kind_of_metric_arrives_with_its_name_unit_value_and_start() -> None:
    calls, other_calls, cost, usage, duration = encoded(SAMPLE)
    assert (calls.name, calls.unit, calls.description, calls.kind) == (
        "claude.tool.calls",
        "{call}",
        "Tool calls.",
        "sum",
    )
    assert (calls.attributes, calls.value, calls.start_ns, calls.time_ns) == (dict(BACKEND), 41, START, NOW)
    assert (calls.temporality, calls.monotonic) == ("cumulative", True)
    assert isinstance(calls.value, int)
    assert (other_calls.attributes, other_calls.start_ns) == (dict(FRONTEND), START + 2)
    assert (cost.unit, cost.value, cost.start_ns) == ("{USD}", 1.234567890123, START + 1)
    assert (usage.kind, usage.unit, usage.value, usage.temporality) == ("gauge", "%", 12.345, None)
    assert (duration.kind, duration.unit, duration.value) == ("histogram", "s", (3, 61.5))
    assert (duration.bucket_counts, duration.bounds) == ((1, 0, 2), (1.0, 60.0))
    assert (duration.start_ns, duration.temporality, duration.has_extremes) == (START + 4, "cumulative", False)
    assert {point.scope for point in (calls, cost, usage, duration)} == {("claude_hooks_otel", __version__)}


def test_points_of_a_metric_are_in_one_metric_message() -> None:
    [resource_metrics] = encode_metrics(metrics_data(SAMPLE, RESOURCE, NOW)).resource_metrics
    [scope_metrics] = resource_metrics.scope_metrics
    assert [metric.name for metric in scope_metrics.metrics] == [m.name for m in (CALLS, COST, USAGE, DURATION)]


@given(value=st.integers(0, 2**63), scale=st.sampled_from([SECOND, DOLLAR, 1000, 7]))
def test_a_scaled_value_is_the_float_nearest_to_the_exact_quotient(value: int, scale: int) -> None:
    metric = Metric("m", "s", Kind.COUNTER, "", scale=scale)
    [point] = (
        metrics_data([SeriesPoint(metric, (), 0, value)], RESOURCE, 1).resource_metrics[0].scope_metrics[0].metrics
    )
    exported, exact = point.data.data_points[0].value, Fraction(value, scale)
    assert isinstance(exported, float)
    assert exported == float(exact)


def test_a_large_integer_counter_keeps_every_digit() -> None:
    [point] = encoded([SeriesPoint(CALLS, (), START, 2**63 - 1)])
    assert point.value == 2**63 - 1


def test_a_point_is_never_older_than_its_series() -> None:
    """If the clock is set back, an interval still does not end before it begins."""
    [point] = encoded([SeriesPoint(CALLS, (), START, 1)], now_ns=START - 5)
    assert (point.start_ns, point.time_ns) == (START, START)


def test_requests_have_every_point_once_and_fit_into_a_grpc_message() -> None:
    """A receiver refuses a gRPC message over 4 MiB. The points here are the largest that labels and buckets allow."""
    labels = tuple((f"a.long.label.name.{number}", "\U0001f600" * 64) for number in range(8))
    metric = Metric("claude.session.duration", "s", Kind.HISTOGRAM, "", buckets=tuple(map(float, range(16))))
    points = [
        SeriesPoint(metric, (*labels, ("n", str(n))), START, 1, (2**40,) * 17) for n in range(POINTS_PER_REQUEST + 1)
    ]
    first, second = requests(points)
    assert first + second == points
    assert len(second) == 1
    assert encode_metrics(metrics_data(first, RESOURCE, NOW)).ByteSize() < 4 * 2**20


# --- the resource ---


def attributes(**variables: str) -> dict[str, object]:
    return dict(service_resource(OtelSettings.from_variables(variables), "instance-1").attributes)


def test_the_default_resource_has_service_version_instance_and_sdk_but_no_host() -> None:
    found = attributes()
    sdk = {key: found.pop(key) for key in list(found) if key.startswith("telemetry.sdk.")}
    assert found == {
        "service.name": "claude-hooks-otel",
        "service.version": __version__,
        "service.instance.id": "instance-1",
    }
    assert sdk == {
        key: value for key, value in Resource.create().attributes.items() if key.startswith("telemetry.sdk.")
    }


def test_the_service_name_variable_wins_over_the_attributes_and_they_win_over_the_defaults() -> None:
    given = "service.name=from-attributes,service.instance.id=mine,team=red"
    found = attributes(OTEL_RESOURCE_ATTRIBUTES=given)
    assert found["service.name"] == "from-attributes"
    assert found["service.instance.id"] == "mine"
    assert found["team"] == "red"
    named = attributes(OTEL_RESOURCE_ATTRIBUTES=given, OTEL_SERVICE_NAME="from-variable")
    assert named["service.name"] == "from-variable"


def test_an_empty_attribute_does_not_hide_a_default() -> None:
    found = attributes(OTEL_RESOURCE_ATTRIBUTES="service.instance.id=,note=")
    assert (found["service.instance.id"], found["note"]) == ("instance-1", "")


# --- the names in Prometheus ---

# (OTLP name, unit, kind, Prometheus name), as Prometheus 3 and the Collector translate them.
NAMES = [
    ("claude.sessions", "{session}", Kind.COUNTER, "claude_sessions_total"),
    ("claude.session.duration", "s", Kind.HISTOGRAM, "claude_session_duration_seconds"),
    ("claude.task.duration", "s", Kind.HISTOGRAM, "claude_task_duration_seconds"),
    ("claude.lines.added", "{line}", Kind.COUNTER, "claude_lines_added_total"),
    ("claude.lines.deleted", "{line}", Kind.COUNTER, "claude_lines_deleted_total"),
    ("claude.files.modified", "{file}", Kind.COUNTER, "claude_files_modified_total"),
    ("claude.tokens.input", "{token}", Kind.COUNTER, "claude_tokens_input_total"),
    ("claude.tokens.output", "{token}", Kind.COUNTER, "claude_tokens_output_total"),
    ("claude.api.cost.usd", "{USD}", Kind.COUNTER, "claude_api_cost_usd_total"),
    ("claude.tool.calls", "{call}", Kind.COUNTER, "claude_tool_calls_total"),
    ("claude.agent.efficiency.score", "{score}", Kind.GAUGE, "claude_agent_efficiency_score"),
    ("claude.agent.quality.score", "{score}", Kind.GAUGE, "claude_agent_quality_score"),
    ("claude.agent.xp", "{xp}", Kind.GAUGE, "claude_agent_xp"),
    ("claude.agent.level", "{level}", Kind.GAUGE, "claude_agent_level"),
    ("claude.features.delivered", "{feature}", Kind.COUNTER, "claude_features_delivered_total"),
    ("claude.bugs.introduced", "{bug}", Kind.COUNTER, "claude_bugs_introduced_total"),
    ("claude.story_points.delivered", "{point}", Kind.COUNTER, "claude_story_points_delivered_total"),
    ("claude.context.usage", "%", Kind.GAUGE, "claude_context_usage_percent"),
    ("claude.pattern.loads", "{load}", Kind.COUNTER, "claude_pattern_loads_total"),
]


@pytest.mark.parametrize(("name", "unit", "kind", "prometheus_name"), NAMES)
def test_the_declared_prometheus_name_equals_the_translated_one(
    name: str, unit: str, kind: Kind, prometheus_name: str
) -> None:
    assert Metric(name, unit, kind, "").prometheus_name == prometheus_name


@pytest.mark.parametrize("unit", ["USD", "dollar", "token"])
def test_a_unit_that_prometheus_adds_to_the_name_is_refused(unit: str) -> None:
    with pytest.raises(KeyError, match="no known Prometheus suffix"):
        _ = Metric("claude.x", unit, Kind.GAUGE, "").prometheus_name


# --- deltas ---


def test_the_first_delta_of_a_series_is_its_total_since_its_start() -> None:
    assert list(delta_points(SAMPLE, {})) == SAMPLE


def test_a_delta_is_the_increase_since_the_last_accepted_one() -> None:
    baseline = accepted(delta_points(SAMPLE, {}), {}, NOW)
    later = [
        SeriesPoint(CALLS, BACKEND, START, 50),
        SeriesPoint(COST, BACKEND, START + 1, 1_234_567_890_123),  # unchanged
        SeriesPoint(USAGE, BACKEND, START + 3, 1),
        SeriesPoint(DURATION, BACKEND, START + 4, 62_000_000_000, (2, 0, 2)),
    ]
    deltas = list(delta_points(later, baseline))
    assert deltas == [
        SeriesPoint(CALLS, BACKEND, NOW, 9),
        SeriesPoint(USAGE, BACKEND, START + 3, 1),
        SeriesPoint(DURATION, BACKEND, NOW, 500_000_000, (1, 0, 0)),
    ]
    calls, usage, duration = encoded(deltas, NOW + 7, temporality=AggregationTemporality.DELTA)
    assert (calls.temporality, calls.monotonic, calls.start_ns, calls.time_ns) == ("delta", True, NOW, NOW + 7)
    assert (duration.temporality, duration.value) == ("delta", (1, 0.5))
    assert usage.kind == "gauge"


def test_an_unchanged_series_continues_from_its_own_last_interval() -> None:
    """An export leaves it out. Its next point starts where its last one ended, without a gap or an overlap."""
    point = SeriesPoint(CALLS, BACKEND, START, 5)
    baseline = accepted([point], {}, NOW)
    assert list(delta_points([point], baseline)) == []
    [delta] = delta_points([SeriesPoint(CALLS, BACKEND, START, 6)], baseline)
    assert delta.start_time_ns == NOW


def test_a_decreased_counter_exports_nothing_until_it_exceeds_its_last_exported_value() -> None:
    baseline = {series_key(SAMPLE[0]): Baseline(41, (), NOW)}
    assert list(delta_points([SeriesPoint(CALLS, BACKEND, START, 40)], baseline)) == []
    [delta] = delta_points([SeriesPoint(CALLS, BACKEND, START, 43)], baseline)
    assert delta.value == 2


def test_a_histogram_with_a_decreased_bucket_exports_nothing() -> None:
    baseline = {series_key(SAMPLE[4]): Baseline(1, (2, 0, 0), NOW)}
    assert list(delta_points([SAMPLE[4]], baseline)) == []


def test_a_series_of_a_new_store_starts_from_zero() -> None:
    baseline = {series_key(SAMPLE[0]): Baseline(41, (), NOW)}
    reborn = SeriesPoint(CALLS, BACKEND, NOW + 1, 3)
    assert list(delta_points([reborn], baseline)) == [reborn]
    assert accepted([reborn], baseline, NOW + 2) == {series_key(reborn): Baseline(3, (), NOW + 2)}


def test_a_histogram_with_other_buckets_starts_from_zero() -> None:
    baseline = {series_key(SAMPLE[4]): Baseline(1, (1, 0), NOW)}
    assert list(delta_points([SAMPLE[4]], baseline)) == [SAMPLE[4]]


@given(
    steps=st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from([CALLS, COST, DURATION]), st.integers(0, 10**15)), max_size=6),
            st.booleans(),  # whether the receiver accepts this export
            st.integers(-3, 10),  # nanoseconds by which the clock moves; it may go back
        ),
        max_size=12,
    )
)
def test_the_accepted_deltas_add_up_to_the_cumulative_total_without_gap_or_overlap(steps: list) -> None:
    totals = dict.fromkeys((CALLS, COST, DURATION), 0)
    counts = [0, 0, 0]
    received: dict[str, list[tuple[SeriesPoint, int]]] = {}
    baseline: dict = {}
    now = START
    for additions, is_accepted, elapsed in [*steps, ([], True, 1)]:  # the last export is always accepted
        for metric, amount in additions:
            totals[metric] += amount
            if metric is DURATION:
                counts[amount % 3] += 1
        now += elapsed
        states = [
            SeriesPoint(metric, BACKEND, START, value, tuple(counts) if metric is DURATION else ())
            for metric, value in totals.items()
        ]
        deltas = list(delta_points(states, baseline))
        if is_accepted:
            for delta, point in zip(
                deltas, encoded(deltas, now, temporality=AggregationTemporality.DELTA), strict=True
            ):
                received.setdefault(delta.metric.name, []).append((delta, point.time_ns))
            baseline |= accepted(deltas, baseline, now)
    for metric, total in totals.items():
        deltas = received.get(metric.name, [])
        assert sum(delta.value for delta, _ in deltas) == total
        assert all(delta.value >= 0 for delta, _ in deltas)
        ends = [START, *(end for _, end in deltas)]
        assert [delta.start_time_ns for delta, _ in deltas] == ends[:-1]
        assert ends == sorted(ends)
    assert [
        sum(column) for column in zip(*(d.bucket_counts for d, _ in received[DURATION.name]), strict=True)
    ] == counts
