"""What a custom exporter is, and what it is given. Standard library only: users import it through ``claude_monitoring.exporters``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """One measurement: an addition to a counter, an observation of a histogram, or the value of a gauge at a time.

    Attributes:
        name: the Prometheus name, such as ``claude_api_calls_total``.
        value: how much was added or observed, or what the gauge stood at; in ``unit``.
        timestamp: when, UTC.
        labels: label key to value.
        kind: ``counter``, ``gauge`` or ``histogram``.
        unit: the OTLP unit: ``s``, ``%``, ``By``, or a word in braces.
        key: names this measurement for ever: one that comes a second time has the same.
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

    It runs in the daemon, in a thread of its own. Every measurement is given to it at least once: what it had not taken when
    something failed comes again, under the same ``key``. An exception means "not taken": the batch is tried again later, at
    growing intervals. What it takes long for holds up nobody else.

    Options of its configuration table are passed to its constructor as keyword arguments.

    >>> class Printer(CustomExporter):
    ...     def export_metric(self, metric):
    ...         print(metric.name, metric.value)
    >>> from datetime import datetime, timezone
    >>> Printer().export_batch([MetricRecord("claude_commits_total", 1, datetime(2026, 1, 1, tzinfo=timezone.utc))])
    claude_commits_total 1
    """

    def start(self) -> None:
        """Called once, in the exporter's thread, before the first batch; tried again later if it raises."""

    def export_metric(self, metric: MetricRecord) -> None:
        """Takes one measurement.

        Raises:
            NotImplementedError: neither this nor ``export_batch`` was implemented.
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither export_metric nor export_batch")

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Takes several measurements, oldest first; by default one by one."""
        for metric in batch:
            self.export_metric(metric)

    def shutdown(self) -> None:
        """Called once, in the exporter's thread, at the end."""
