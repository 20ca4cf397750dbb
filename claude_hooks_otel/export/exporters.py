"""The exporters that the configuration asks for, each as something that can say what it does and why it failed."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)

from claude_hooks_otel.config import ConfigError
from claude_hooks_otel.export.exporter_logs import caught_logs
from claude_hooks_otel.export.otlp import Answer, OtlpSettings, variable
from claude_hooks_otel.export.redaction import Redactor
from claude_hooks_otel.export.temporality import preferred_temporality

SUPPORTED = ("otlp", "console", "none")

# The stock exporters get these two as arguments: they read the timeout in seconds, and gRPC's knows no compression "none".
_GIVEN_AS_ARGUMENTS = ("_TIMEOUT", "_COMPRESSION")

_environment_lock = threading.Lock()


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
        begin = time.monotonic()
        self._answer.clear()
        exception = None
        with caught_logs() as records:
            try:
                succeeded = self._exporter.export(data) is MetricExportResult.SUCCESS
            except Exception as error:
                succeeded, exception = False, f"{type(error).__name__}: {error}"
        duration_s = time.monotonic() - begin
        answer = self._answer
        if succeeded and answer.error is None:
            note = self._redact(answer.message) or None
            return ExportOutcome(ok=True, error=note, duration_s=duration_s, rejected_points=answer.rejected_points)
        reason = answer.error or exception or (records[-1].getMessage() if records else "the exporter gave no reason")
        return ExportOutcome(ok=False, error=self._redact(reason), duration_s=duration_s)

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
        for name in _names(environment)
    ]


def _names(environment: Mapping[str, str]) -> list[str]:
    """The exporters' names, each once."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    text = environment.get("OTEL_METRICS_EXPORTER", "")
    names = list(dict.fromkeys(filter(None, (part.strip().lower() for part in text.split(",")))))
    if not names:
        return ["otlp"] if variable(environment, "ENDPOINT") else []
    if unknown := [name for name in names if name not in SUPPORTED]:
        raise ConfigError(
            f"OTEL_METRICS_EXPORTER={text}: {', '.join(unknown)} is not known; use {', '.join(SUPPORTED)}"
        )
    if names == ["none"]:
        return []
    if "none" in names:
        raise ConfigError(f"OTEL_METRICS_EXPORTER={text}: none stands alone, or name the others without it")
    return names


def _otlp(environment: Mapping[str, str], redact: Redactor) -> NamedExporter:
    """The stock OTLP exporter of the chosen protocol; the other one's packages are not even imported."""
    settings = OtlpSettings.from_environment(environment)
    answer = Answer()
    try:
        with caught_logs() as records, _process_environment(environment):
            if settings.protocol == "grpc":
                from claude_hooks_otel.export import otlp_grpc  # noqa: PLC0415 -- 16 MiB that HTTP does not need

                exporter: MetricExporter = otlp_grpc.exporter(settings, answer, environment)
            else:
                from claude_hooks_otel.export import otlp_http  # noqa: PLC0415

                exporter = otlp_http.exporter(settings, answer, environment)
    except Exception as error:
        raise ConfigError(redact(f"the OTLP exporter can not be built: {type(error).__name__}: {error}")) from None
    return NamedExporter(
        "otlp",
        exporter,
        settings.describe(),
        redact=redact,
        temporality=preferred_temporality(environment),
        answer=answer,
        warnings=(*settings.warnings, *(record.getMessage() for record in records)),
    )


def _console(stream: TextIO, redact: Redactor) -> NamedExporter:
    """The stock console exporter, one export a line."""
    exporter = ConsoleMetricExporter(out=stream, formatter=lambda data: f"{data.to_json(indent=None)}\n")
    return NamedExporter("console", exporter, "console, one JSON document a line", redact=redact)


@contextmanager
def _process_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Makes the process's ``OTEL_*`` variables those of ``environment``: the exporters read them when they are built."""
    wanted = {name: value for name, value in environment.items() if value and not name.endswith(_GIVEN_AS_ARGUMENTS)}
    with _environment_lock:
        before = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
        try:
            _replace_variables(before, wanted)
            yield
        finally:
            _replace_variables(wanted, before)


def _replace_variables(present: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for name in present.keys() - wanted.keys():
        os.environ.pop(name, None)
    os.environ.update(wanted)
