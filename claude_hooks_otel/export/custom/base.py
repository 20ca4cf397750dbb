"""What a custom exporter is, and what it gets. Standard library only: users import it through ``claude_monitoring.exporters``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """One measurement: an addition to a counter, an observation of a histogram, or the value of a gauge at a time.

    Attributes:
        name: the Prometheus name, such as ``claude_api_calls_total``.
        value: how much was added or observed, or the value of the gauge, in ``unit``.
        timestamp: when, UTC.
        labels: label key to value.
        kind: ``counter``, ``gauge`` or ``histogram``.
        unit: the OTLP unit: ``s``, ``%``, ``By``, or a word in braces.
        key: identifies this measurement. If it comes a second time, it has the same key.
    """

    name: str
    value: float
    timestamp: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: str = "counter"
    unit: str = ""
    key: str = ""


class CustomExporter:
    """Derive from this, and implement ``export_metric`` or ``export_batch``.

    It runs in the daemon, in a thread of its own, so a slow exporter holds up no other. It gets every measurement at least once:
    what it did not accept before a failure comes again, under the same ``key``. An exception means "not accepted": the batch is
    tried again later, at growing intervals.

    The options of its configuration table are the keyword arguments of its constructor.

    >>> class Printer(CustomExporter):
    ...     def export_metric(self, metric):
    ...         print(metric.name, metric.value)
    >>> from datetime import datetime, timezone
    >>> Printer().export_batch([MetricRecord("claude_commits_total", 1, datetime(2026, 1, 1, tzinfo=timezone.utc))])
    claude_commits_total 1
    """

    def start(self) -> None:
        """Start. Called in the exporter's thread before the first batch, and again later if it raises."""

    def export_metric(self, metric: MetricRecord) -> None:
        """Accept one measurement.

        Raises:
            NotImplementedError: neither this method nor ``export_batch`` is implemented.
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither export_metric nor export_batch")

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Accept several measurements, oldest first; by default one by one."""
        for metric in batch:
            self.export_metric(metric)

    def shutdown(self) -> None:
        """Stop. Called once, in the exporter's thread, at the end."""
