"""The metric exporters that the configuration asks for, each as something that can say what it does and why it failed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)

from claude_hooks_otel.export.attempt import attempt
from claude_hooks_otel.export.exporter_logs import caught_logs
from claude_hooks_otel.export.otlp import Answer
from claude_hooks_otel.export.redaction import Redactor
from claude_hooks_otel.export.signals import Signal
from claude_hooks_otel.export.stock import build_otlp, exporter_names
from claude_hooks_otel.export.temporality import preferred_temporality


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """How one export ended.

    Attributes:
        ok: the receiver took the request; it must not be sent again.
        error: why it did not, or what the receiver had to say to a request it took; never holds a secret.
        duration_s: how long the export took, seconds, its retries included.
        rejected_points: points that the receiver refused for good within a request it took.
    """

    ok: bool
    error: str | None
    duration_s: float
    rejected_points: int = 0


class NamedExporter:
    """A metric exporter with its name, its temporality and its reasons.

    Attributes:
        name: as ``OTEL_METRICS_EXPORTER`` has it.
        temporality: what it wants counters and histograms to be.
        warnings: what in its configuration is ignored, a sentence each.
    """

    def __init__(
        self,
        name: str,
        exporter: MetricExporter,
        description: str,
        *,
        redact: Redactor,
        temporality: AggregationTemporality = AggregationTemporality.CUMULATIVE,
        answer: Answer | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.temporality = temporality
        self.warnings = tuple(map(redact, warnings))
        self._exporter = exporter
        self._description = redact(description)
        self._redact = redact
        self._answer = answer or Answer()

    def describe(self) -> str:
        """What is used and what is ignored, in one line for people."""
        return "; ".join((f"{self._description}, {self.temporality.name.lower()}", *self.warnings))

    def export(self, data: MetricsData) -> ExportOutcome:
        """Sends one request and waits for its end, at most the configured timeout. Never raises."""
        done = attempt(lambda: self._exporter.export(data) is MetricExportResult.SUCCESS, self._answer, self._redact)
        rejected = self._answer.rejected if done.ok else 0
        return ExportOutcome(ok=done.ok, error=done.error, duration_s=done.duration_s, rejected_points=rejected)

    def shutdown(self) -> None:
        """Closes the connection; an export under way in another thread ends at once. May be called twice."""
        with caught_logs():
            self._exporter.shutdown()


def build_metric_exporters(environment: Mapping[str, str], console: TextIO | None = None) -> list[NamedExporter]:
    """The metric exporters that the variables in effect ask for; none where none is asked for.

    ``OTEL_METRICS_EXPORTER`` names them (``otlp``, ``console``, ``none``, comma-separated). Where it is unset, an OTLP endpoint
    means ``otlp``, and without one the embedded store is all there is. While an exporter is built, the process's ``OTEL_*``
    variables are replaced, so build before other threads start processes.

    Args:
        environment: the ``OTEL_*`` variables in effect (``config.otel_environment``).
        console: where the console exporter writes, one JSON document a line; standard output by default.

    Raises:
        ConfigError: an exporter or protocol is not supported, or a setting can not be used.
    """
    redact = Redactor(environment)
    return [
        _otlp(environment, redact) if name == "otlp" else _console(console or sys.stdout, redact)
        for name in exporter_names(environment, Signal.METRICS)
    ]


def _otlp(environment: Mapping[str, str], redact: Redactor) -> NamedExporter:
    stock = build_otlp(environment, Signal.METRICS, redact)
    return NamedExporter(
        "otlp",
        stock.exporter,
        stock.description,
        redact=redact,
        temporality=preferred_temporality(environment),
        answer=stock.answer,
        warnings=stock.warnings,
    )


def _console(stream: TextIO, redact: Redactor) -> NamedExporter:
    """The stock console exporter, one export a line."""
    exporter = ConsoleMetricExporter(out=stream, formatter=lambda data: f"{data.to_json(indent=None)}\n")
    return NamedExporter("console", exporter, "console, one JSON document a line", redact=redact)
