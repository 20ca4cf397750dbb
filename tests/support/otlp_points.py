"""OTLP requests as flat data points that tests can compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

_TEMPORALITIES = {1: "delta", 2: "cumulative"}


@dataclass(frozen=True)
class Point:
    """One data point, with the fields of its metric, scope and resource.

    ``value`` is a number, or (count, sum) for a histogram. ``temporality`` is ``cumulative``, ``delta``, or None for a gauge.
    """

    name: str
    unit: str
    description: str
    kind: Literal["sum", "gauge", "histogram"]
    attributes: dict[str, Any]
    value: Any
    start_ns: int
    time_ns: int
    temporality: str | None
    monotonic: bool
    resource: dict[str, Any]
    scope: tuple[str, str]
    bucket_counts: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    has_extremes: bool = False

    @property
    def key(self) -> tuple[str, frozenset[tuple[str, Any]]]:
        return self.name, frozenset(self.attributes.items())


def points(request: Any) -> Iterator[Point]:
    """Return the points of an ``ExportMetricsServiceRequest``."""
    for resource_metrics in request.resource_metrics:
        resource = attributes(resource_metrics.resource.attributes)
        for scope_metrics in resource_metrics.scope_metrics:
            scope = (scope_metrics.scope.name, scope_metrics.scope.version)
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    yield Point(
                        name=metric.name,
                        unit=metric.unit,
                        description=metric.description,
                        kind=kind,
                        attributes=attributes(point.attributes),
                        start_ns=point.start_time_unix_nano,
                        time_ns=point.time_unix_nano,
                        temporality=None if kind == "gauge" else _TEMPORALITIES[data.aggregation_temporality],
                        monotonic=kind == "sum" and data.is_monotonic,
                        resource=resource,
                        scope=scope,
                        **(_histogram(point) if kind == "histogram" else _number(point)),
                    )


def _number(point: Any) -> dict[str, Any]:
    return {"value": getattr(point, point.WhichOneof("value"))}


def _histogram(point: Any) -> dict[str, Any]:
    return {
        "value": (point.count, point.sum),
        "bucket_counts": tuple(point.bucket_counts),
        "bounds": tuple(point.explicit_bounds),
        "has_extremes": point.HasField("min") or point.HasField("max"),
    }


def attributes(pairs: list[KeyValue]) -> dict[str, Any]:
    """Return OTLP attributes as a dict."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(map(_value, value.array_value.values))
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
