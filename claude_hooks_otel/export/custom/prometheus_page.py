"""The page ``/metrics`` with the current series, for users without a Collector. It needs ``prometheus-client``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.series.points import SeriesPoint

DEFAULT_PORT = 9464  # OpenTelemetry's default for a Prometheus exporter

_FAMILIES: Mapping[Kind, Callable[..., Any]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


class PrometheusPage(CustomExporter, Collector):
    """Serves ``/metrics``. It shows totals, so a restart counts nothing twice. Gauges are at most a minute old.

    Args:
        port: the TCP port; 0 for any free port.
        host: the address. The default is loopback, so only this machine can read the page.
    """

    def __init__(self, port: int = DEFAULT_PORT, host: str = "127.0.0.1") -> None:
        self._port, self._host = port, host
        self._points: Callable[[], Sequence[SeriesPoint]] = tuple
        self._server: Any = None

    @property
    def port(self) -> int:
        """The port that the started server listens on."""
        return int(self._server.server_address[1]) if self._server else self._port

    def attach(self, points: Callable[[], Sequence[SeriesPoint]]) -> None:
        """Take the function that reads the series."""
        self._points = points

    def start(self) -> None:
        """Start the server.

        Raises:
            OSError: the port is in use.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        self._server, _ = start_http_server(self._port, self._host, registry)

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Accept everything and keep nothing. The page reads the totals when a client asks for it."""

    def shutdown(self) -> None:
        """Stop the server."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def collect(self) -> Iterator[Any]:
        """Return the series, for ``prometheus-client``."""
        groups: dict[str, list[SeriesPoint]] = {}
        for point in self._points():
            groups.setdefault(point.metric.prometheus_name, []).append(point)
        for name, points in groups.items():
            yield _family(name, points)

    def describe(self) -> Iterator[Any]:
        """Return nothing: the metrics are known only when a client asks for the page."""
        return iter(())


def _family(name: str, points: Sequence[SeriesPoint]) -> Any:
    metric = points[0].metric
    keys = sorted({key for point in points for key, _ in point.labels})
    names = [key.replace(".", "_") for key in keys]
    family = _FAMILIES[metric.kind](name, metric.meaning, labels=names)
    for point in points:
        labels, value = dict(point.labels), point.value / metric.scale
        values = [_encodable(labels.get(key, "")) for key in keys]
        match metric.kind:
            case Kind.HISTOGRAM:
                family.add_metric(values, list(_buckets(metric, point)), sum_value=value)
            case Kind.COUNTER:
                family.add_metric(values, value, created=point.start_time_ns / 1e9)
            case Kind.GAUGE:
                family.add_metric(values, value)
    return family


def _encodable(text: str) -> str:
    """Return the text without halves of surrogate pairs: one of them would make the whole page fail."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _buckets(metric: Metric, point: SeriesPoint) -> Iterator[tuple[str, int]]:
    """Return upper bounds and cumulative counts, as Prometheus has them."""
    count = 0
    for bound, here in zip((*metric.buckets, float("inf")), point.bucket_counts, strict=True):
        count += here
        yield ("+Inf" if bound == float("inf") else repr(float(bound)), count)
