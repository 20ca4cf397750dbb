"""Series as OpenTelemetry ``MetricsData``, built by hand so that every point keeps its own start time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.export.resource import SCOPE
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.points import SeriesPoint

# A gRPC receiver refuses messages over 4 MiB by default. The largest point is a histogram point with eight labels of 64 four-byte
# characters, the longest that labels.normalize lets through. It is under 2.7 KiB, and an exemplar in each of its buckets adds one KiB.
# So this many points always fit.
POINTS_PER_REQUEST = 1100


def metrics_data(
    points: Iterable[SeriesPoint],
    resource: Resource,
    now_ns: int,
    *,
    temporality: sdk.AggregationTemporality = sdk.AggregationTemporality.CUMULATIVE,
) -> sdk.MetricsData:
    """Return the points of one export, grouped by metric. The metrics keep the order in which they first appear.

    Args:
        points: cumulative states, or the deltas from ``temporality.delta_points``.
        resource: who sends them (``resource.service_resource``).
        now_ns: the time of the points, Unix nanoseconds.
        temporality: what the values of counters and histograms count from. Gauges have none.
    """
    by_metric: dict[str, list[SeriesPoint]] = {}
    for point in points:
        by_metric.setdefault(point.metric.name, []).append(point)
    metrics = [_metric(group, now_ns, temporality) for group in by_metric.values()]
    scope_metrics = sdk.ScopeMetrics(scope=SCOPE, metrics=metrics, schema_url="")
    return sdk.MetricsData([sdk.ResourceMetrics(resource=resource, scope_metrics=[scope_metrics], schema_url="")])


def requests(points: Iterable[SeriesPoint], size: int = POINTS_PER_REQUEST) -> Iterator[list[SeriesPoint]]:
    """Return the points in portions that fit into one request."""
    rest = iter(points)
    while portion := list(islice(rest, size)):
        yield portion


def point_time(point: SeriesPoint, now_ns: int) -> int:
    """Return the time of an exported point. It is never before the point's start, even if the clock was set back."""
    return max(now_ns, point.start_time_ns)


def _metric(points: list[SeriesPoint], now_ns: int, temporality: sdk.AggregationTemporality) -> sdk.Metric:
    """Return one metric with all its points."""
    declared = points[0].metric
    data: sdk.Sum | sdk.Gauge | sdk.Histogram
    match declared.kind:
        case Kind.COUNTER:
            data = sdk.Sum([_number_point(point, now_ns) for point in points], temporality, is_monotonic=True)
        case Kind.GAUGE:
            data = sdk.Gauge([_number_point(point, now_ns) for point in points])
        case Kind.HISTOGRAM:
            data = sdk.Histogram([_histogram_point(point, now_ns) for point in points], temporality)
    return sdk.Metric(name=declared.name, description=declared.meaning, unit=declared.unit, data=data)


def _exported(value: int, scale: int) -> int | float:
    """Return a stored value in exported units: an unscaled value as an integer, any other as the float nearest to the quotient."""
    return value if scale == 1 else value / scale  # Python rounds the quotient of two integers of any size correctly


def _number_point(point: SeriesPoint, now_ns: int) -> sdk.NumberDataPoint:
    return sdk.NumberDataPoint(
        attributes=dict(point.labels),
        start_time_unix_nano=point.start_time_ns,
        time_unix_nano=point_time(point, now_ns),
        value=_exported(point.value, point.metric.scale),
    )


def _histogram_point(point: SeriesPoint, now_ns: int) -> sdk.HistogramDataPoint:
    return sdk.HistogramDataPoint(
        attributes=dict(point.labels),
        start_time_unix_nano=point.start_time_ns,
        time_unix_nano=point_time(point, now_ns),
        count=point.count,
        sum=_exported(point.value, point.metric.scale),
        bucket_counts=list(point.bucket_counts),
        explicit_bounds=list(point.metric.buckets),
        min=None,  # type: ignore[arg-type]  # absent on the wire: the store does not keep the extremes
        max=None,  # type: ignore[arg-type]
        exemplars=[
            Exemplar(
                filtered_attributes={},
                value=_exported(exemplar.value, point.metric.scale),
                time_unix_nano=exemplar.at_ns,
                span_id=exemplar.span_id,
                trace_id=exemplar.trace_id,
            )
            for exemplar in point.exemplars
        ],
    )
