"""The base class of custom exporters, and the measurements that they get.

Users import it through ``claude_monitoring.exporters``, so it needs only the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """One measurement: an addition to a counter, an observation of a histogram, or the value of a gauge.

    Attributes:
        name: the Prometheus name, for example ``claude_api_calls_total``.
        value: the addition, the observation, or the value of the gauge, in ``unit``.
        timestamp: when it was measured, in UTC.
        labels: label key to value.
        kind: ``counter``, ``gauge`` or ``histogram``.
        unit: the OTLP unit: ``s``, ``%``, ``By``, or a word in braces.
        key: identifies this measurement. A repeated measurement has the same key.
    """

    name: str
    value: float
    timestamp: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: str = "counter"
    unit: str = ""
    key: str = ""


class CustomExporter:
    """The base class: derive from it, and implement ``export_metric`` or ``export_batch``.

    An exporter runs in the daemon, in a thread of its own, so a slow exporter does not delay the others. It gets every measurement at
    least once. If it raises an exception, the batch counts as not accepted and comes again later, under the same keys, at growing
    intervals.

    The options in its configuration table become the keyword arguments of its constructor.

    >>> class Printer(CustomExporter):
    ...     def export_metric(self, metric):
    ...         print(metric.name, metric.value)
    >>> from datetime import datetime, timezone
    >>> Printer().export_batch([MetricRecord("claude_commits_total", 1, datetime(2026, 1, 1, tzinfo=timezone.utc))])
    claude_commits_total 1
    """

    def start(self) -> None:
        """Start. The daemon calls this in the exporter's thread before the first batch, and again later if it raises."""

    def export_metric(self, metric: MetricRecord) -> None:
        """Accept one measurement.

        Raises:
            NotImplementedError: neither this method nor ``export_batch`` is implemented.
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither export_metric nor export_batch")

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Accept several measurements, oldest first. By default, ``export_metric`` gets them one by one."""
        for metric in batch:
            self.export_metric(metric)

    def shutdown(self) -> None:
        """Stop. The daemon calls this once, in the exporter's thread, at the end."""
