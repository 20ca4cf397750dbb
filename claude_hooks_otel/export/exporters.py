"""The exporters that the settings ask for. Each describes itself, sends batches and says how an export ended."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TextIO, TypeVar

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from claude_hooks_otel.export.console_file import ConsoleFile
from claude_hooks_otel.export.logs import readable_log_records
from claude_hooks_otel.export.outcome import Outcome, Status
from claude_hooks_otel.export.spans import readable_spans
from claude_hooks_otel.settings import ConfigError, Credentials, OtelSettings, OtlpSettings, Signal
from claude_hooks_otel.traces.model import Item

Stream = TextIO | ConsoleFile
"""Where the exporter ``console`` can write."""

_CONSOLE_EXPORTERS: Final[Mapping[Signal, Callable[..., Any]]] = {
    Signal.METRICS: ConsoleMetricExporter,
    Signal.TRACES: ConsoleSpanExporter,
    Signal.LOGS: ConsoleLogRecordExporter,
}


class _Sender(Protocol):
    """Sends batches."""

    def send(self, batch: Any, /) -> Outcome:
        """Send a batch. Raises any exception if the batch cannot be encoded."""

    def close(self) -> None:
        """Close the connection. A request under way ends at once."""


class _Console:
    """OpenTelemetry's console exporter, with one JSON document a line."""

    def __init__(self, signal: Signal, stream: Stream) -> None:
        make = _CONSOLE_EXPORTERS[signal]
        self._exporter = make(out=stream, formatter=lambda data: f"{data.to_json(indent=None)}\n")

    def send(self, batch: Any) -> Outcome:
        """Write a batch."""
        try:
            self._exporter.export(batch)
        except OSError as error:
            return Outcome(Status.UNAVAILABLE, f"{error.filename or 'the output'} cannot be written: {error.strerror}")
        return Outcome(Status.ACCEPTED)

    def close(self) -> None:
        """Do nothing: the stream is not ours."""


def _describe_console(stream: Stream) -> str:
    where = f" to {stream.name}" if isinstance(stream, ConsoleFile) else ""
    return f"console, one JSON document a line{where}"


class Exporter(ABC):
    """An exporter of one signal.

    Args:
        name: ``otlp`` or ``console``.
        signal: what it sends.
        otel: how it sends.
        console: where ``console`` writes.

    Attributes:
        name: as in ``OTEL_<signal>_EXPORTER``.
        signal: what it sends.
        is_requested: whether a variable asks for this very signal. An endpoint for all signals does not.
        warnings: settings that are ignored, one sentence each.

    Raises:
        ConfigError: a setting cannot be used.
    """

    def __init__(self, name: str, signal: Signal, otel: OtelSettings, console: Stream) -> None:
        settings = otel.signals[signal]
        self.name = name
        self.signal = signal
        self.is_requested = settings.is_requested
        self._redact = otel.redact
        self._is_shut_down = False
        self._otlp = otlp = settings.otlp if name == "otlp" else None
        credentials = otel.credentials_for(signal)
        self._sender: _Sender = self._build(otlp, credentials) if otlp else _Console(signal, console)
        parts = [otlp.describe() if otlp else _describe_console(console)]
        parts += [credentials.describe()] if otlp and credentials else []
        self._description = self._redact(", ".join(parts))
        self.warnings = otlp.warnings if otlp else ()

    def describe(self) -> str:
        """Return what is used and what is ignored, in one line for people."""
        return "; ".join((self._description, *self.warnings))

    def shutdown(self) -> None:
        """Close the connection. An export under way in another thread ends at once. May be called twice."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._sender.close()

    @abstractmethod
    def probe(self) -> Outcome:
        """Send a request without data."""

    def _build(self, otlp: OtlpSettings, credentials: Credentials | None) -> _Sender:
        """Return the sender for the chosen protocol. The packages of the other protocol are not imported."""
        try:
            if otlp.protocol == "grpc":
                from claude_hooks_otel.export.otlp_grpc import GrpcSender  # noqa: PLC0415 -- 16 MiB, not for HTTP

                return GrpcSender(otlp, self.signal, credentials)
            from claude_hooks_otel.export.otlp_http import HttpSender  # noqa: PLC0415

            return HttpSender(otlp, self.signal, credentials)
        except Exception as error:
            reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
            raise ConfigError(self._redact(f"the OTLP exporter cannot be built: {reason}")) from None

    def _send(self, make_batch: Callable[[], Any]) -> Outcome:
        """Send a batch, and wait for the end, at most the configured timeout. Never raises."""
        begin = time.monotonic()
        outcome = Outcome(Status.UNAVAILABLE, "the exporter is already shut down")
        if not self._is_shut_down:
            try:
                outcome = self._sender.send(make_batch())
            except (MemoryError, OSError) as error:  # this machine lacks something for now
                outcome = Outcome(Status.UNAVAILABLE, f"{type(error).__name__}: {error}")
            except Exception as error:
                # The batch cannot be encoded, unless a shutdown closed the connection meanwhile.
                status = Status.UNAVAILABLE if self._is_shut_down else Status.REFUSED
                outcome = Outcome(status, f"{type(error).__name__}: {error}")
        message = outcome.error and self._redact(outcome.error)
        return replace(outcome, error=message, duration_s=time.monotonic() - begin)


class MetricExporter(Exporter):
    """An exporter of metrics."""

    @property
    def temporality(self) -> AggregationTemporality:
        """What counters and histograms have to count from."""
        is_delta = self._otlp is not None and self._otlp.temporality == "delta"
        return AggregationTemporality.DELTA if is_delta else AggregationTemporality.CUMULATIVE

    def describe(self) -> str:
        """Return what is used and what is ignored, in one line for people."""
        return "; ".join((f"{self._description}, {self.temporality.name.lower()}", *self.warnings))

    def export(self, data: MetricsData) -> Outcome:
        """Send one request, and wait for the end, at most the configured timeout. Never raises."""
        return self._send(lambda: data)

    def probe(self) -> Outcome:
        """Send a request without data."""
        return self.export(MetricsData(resource_metrics=[]))


class ItemExporter(Exporter):
    """An exporter of spans or of log events."""

    def export(self, items: Sequence[Item], resource: Resource) -> Outcome:
        """Send one batch, and wait for the end, at most the configured timeout. Never raises.

        Args:
            items: spans or log events, according to the exporter's signal.
            resource: who sends them.
        """
        convert: Any = readable_spans if self.signal is Signal.TRACES else readable_log_records
        return self._send(lambda: convert(items, resource))

    def probe(self) -> Outcome:
        """Send a request without data."""
        return self.export([], Resource({}))


_Kind = TypeVar("_Kind", bound=Exporter)


def build_metric_exporters(otel: OtelSettings, console: Stream | None = None) -> list[MetricExporter]:
    """Return the metric exporters that the settings ask for.

    Args:
        otel: the settings.
        console: where ``console`` writes; by default standard output.

    Raises:
        ConfigError: the settings cannot be used.
    """
    return _build(MetricExporter, Signal.METRICS, otel, console)


def build_item_exporters(otel: OtelSettings, signal: Signal, console: Stream | None = None) -> list[ItemExporter]:
    """Return the exporters of spans or of log events that the settings ask for.

    Args:
        otel: the settings.
        signal: traces or logs.
        console: where ``console`` writes; by default standard output.

    Raises:
        ConfigError: the settings cannot be used.
    """
    return _build(ItemExporter, signal, otel, console)


def _build(kind: type[_Kind], signal: Signal, otel: OtelSettings, console: Stream | None) -> list[_Kind]:
    settings = otel.signals[signal]
    if settings.error is not None:
        raise ConfigError(settings.error)
    return [kind(name, signal, otel, console or sys.stdout) for name in settings.exporters]
