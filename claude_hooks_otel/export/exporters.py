"""The exporters that the settings ask for. Each says what it does, how an export ended, and why."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Protocol, TextIO, TypeVar

from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from claude_hooks_otel import __version__
from claude_hooks_otel.export.exporter_logs import caught_logs
from claude_hooks_otel.export.logs import readable_log_records
from claude_hooks_otel.export.metrics import SCOPE_NAME
from claude_hooks_otel.export.otlp import Answer
from claude_hooks_otel.export.spans import readable_spans
from claude_hooks_otel.settings import ConfigError, OtelSettings, OtlpSettings, Signal
from claude_hooks_otel.traces.model import Item

_SCOPE: Final = InstrumentationScope(SCOPE_NAME, __version__)
# What OpenTelemetry's exporters over HTTP log of a batch that cannot be encoded.
_NOT_ENCODED: Final = "Failed to encode"


class Status(Enum):
    """How the endpoint took a batch, which decides what happens to it."""

    ACCEPTED = auto()
    TOO_LARGE = auto()  # send it in smaller ones
    REFUSED = auto()  # it is bad, and will not get better
    FAILED = auto()  # the endpoint broke on it: either may be broken
    UNSERVED = auto()  # the endpoint does not take this signal
    UNAVAILABLE = auto()  # send it again later


# By the OTLP specification ("Failures"), a status that may not be retried is about the request. Which of them are about its content,
# and not about sender or address, is our reading.
_STATUSES: Final[Mapping[int | str, Status]] = {
    400: Status.REFUSED,
    422: Status.REFUSED,
    413: Status.TOO_LARGE,
    404: Status.UNSERVED,
    405: Status.UNSERVED,
    501: Status.UNSERVED,
    500: Status.FAILED,
    "INVALID_ARGUMENT": Status.REFUSED,
    "UNIMPLEMENTED": Status.UNSERVED,
    "UNKNOWN": Status.FAILED,
    "INTERNAL": Status.FAILED,
    "DATA_LOSS": Status.FAILED,
    "FAILED_PRECONDITION": Status.FAILED,  # Grafana Tempo says it of a trace that is full
}
# gRPC has no code for a message that is too large. This is what its libraries say, and what it makes of HTTP's code.
_TOO_LARGE: Final = (
    ("RESOURCE_EXHAUSTED", "larger than"),  # C, Go, Node
    ("RESOURCE_EXHAUSTED", "exceeds maximum size"),  # Java
    ("RESOURCE_EXHAUSTED", "exceeds the maximum configured message size"),  # .NET
    ("RESOURCE_EXHAUSTED", "exceeded while decompressing"),  # Rust
    ("OUT_OF_RANGE", "message length too large"),  # Rust
    ("UNKNOWN", "http2 header with status: 413"),  # a proxy
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one export ended.

    Attributes:
        status: how the endpoint took the batch.
        error: why the batch was not accepted, or what the receiver said to an accepted one. It never holds a secret.
        rejected: points, spans or log records that the receiver refused for good within an accepted batch.
        duration_s: how long the export took, seconds, its retries included.
    """

    status: Status
    error: str | None
    rejected: int
    duration_s: float

    @property
    def ok(self) -> bool:
        """Whether the batch was accepted: it must not be sent again."""
        return self.status is Status.ACCEPTED


class _Sender(Protocol):
    """Whatever sends batches."""

    def send(self, batch: Any, /) -> bool:
        """Send a batch, and return whether it was accepted."""

    def close(self) -> None:
        """Close the connection."""


class _Stock:
    """Sends through one of OpenTelemetry's own exporters."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self.close = exporter.shutdown

    def send(self, batch: Any) -> bool:
        """Send a batch, and return whether it was accepted. Each signal has its own enumeration of results."""
        return bool(self._exporter.export(batch).name == "SUCCESS")


class Exporter(ABC):
    """An exporter of one signal.

    Args:
        name: ``otlp`` or ``console``.
        signal: what it sends.
        otel: how it sends.
        console: where ``console`` writes.

    Attributes:
        name: as ``OTEL_<signal>_EXPORTER`` has it.
        signal: what it sends.
        is_requested: whether a variable asks for this very signal; an endpoint for all signals does not.
        warnings: settings that are ignored, one sentence each.

    Raises:
        ConfigError: a setting cannot be used.
    """

    def __init__(self, name: str, signal: Signal, otel: OtelSettings, console: TextIO) -> None:
        settings = otel.signals[signal]
        self.name = name
        self.signal = signal
        self.is_requested = settings.is_requested
        self._redact = otel.redact
        self._answer = Answer()
        self._is_shut_down = False
        self._otlp = settings.otlp if name == "otlp" else None
        otlp = self._otlp
        self._sender: _Sender = _console(signal, console) if otlp is None else self._build(otlp)
        self._description = self._redact(otlp.describe() if otlp else "console, one JSON document a line")
        self.warnings = otlp.warnings if otlp else ()

    def describe(self) -> str:
        """Return what is used and what is ignored, in one line for people."""
        return "; ".join((self._description, *self.warnings))

    def shutdown(self) -> None:
        """Close the connection. An export under way in another thread ends at once. May be called twice."""
        if not self._is_shut_down:
            self._is_shut_down = True
            with caught_logs():
                self._sender.close()

    @abstractmethod
    def probe(self) -> Outcome:
        """Send a request without data."""

    def _build(self, otlp: OtlpSettings) -> _Sender:
        """Return what sends over the chosen protocol. The other one's packages are not even imported."""
        try:
            with caught_logs():  # warnings about variables of the process, which do not count
                if otlp.protocol == "grpc":
                    from claude_hooks_otel.export.otlp_grpc import GrpcSender  # noqa: PLC0415 -- 16 MiB, not for HTTP

                    return GrpcSender(otlp, self.signal, self._answer)
                from claude_hooks_otel.export.otlp_http import http_exporter  # noqa: PLC0415

                return _Stock(http_exporter(otlp, self.signal, self._answer))
        except Exception as error:
            reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
            raise ConfigError(self._redact(f"the OTLP exporter cannot be built: {reason}")) from None

    def _send(self, make_batch: Callable[[], Any]) -> Outcome:
        """Send a batch, and wait for the end, at most the configured timeout. Never raises."""
        begin = time.monotonic()
        answer, failure, accepted = self._answer, "", False
        answer.clear()
        with caught_logs() as logs:
            try:
                if self._is_shut_down:
                    answer.error = "the exporter is already shut down"
                else:
                    accepted = self._sender.send(make_batch())
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
        duration_s = time.monotonic() - begin
        if accepted and answer.error is None:
            return Outcome(Status.ACCEPTED, self._redact(answer.message) or None, answer.rejected, duration_s)
        reason = answer.error or failure or (logs[-1].getMessage() if logs else "the exporter gave no reason")
        was_not_sent = answer.error is None and bool(failure or reason.startswith(_NOT_ENCODED))
        status = Status.REFUSED if was_not_sent and not self._is_shut_down else _status(answer)
        return Outcome(status, self._redact(reason), 0, duration_s)


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
            items: spans or log events, as the exporter's signal says.
            resource: who sends.
        """
        convert: Any = readable_spans if self.signal is Signal.TRACES else readable_log_records
        return self._send(lambda: convert(items, resource, _SCOPE))

    def probe(self) -> Outcome:
        """Send a request without data."""
        return self.export([], Resource({}))


def build_metric_exporters(otel: OtelSettings, console: TextIO | None = None) -> list[MetricExporter]:
    """Return the metric exporters that the settings ask for.

    Args:
        otel: the settings.
        console: where ``console`` writes, one JSON document a line; standard output by default.

    Raises:
        ConfigError: the settings cannot be used.
    """
    return _build(MetricExporter, Signal.METRICS, otel, console)


def build_item_exporters(otel: OtelSettings, signal: Signal, console: TextIO | None = None) -> list[ItemExporter]:
    """Return the exporters of spans or of log events that the settings ask for.

    Args:
        otel: the settings.
        signal: traces or logs.
        console: where ``console`` writes, one JSON document a line; standard output by default.

    Raises:
        ConfigError: the settings cannot be used.
    """
    return _build(ItemExporter, signal, otel, console)


_Kind = TypeVar("_Kind", bound=Exporter)


def _build(kind: type[_Kind], signal: Signal, otel: OtelSettings, console: TextIO | None) -> list[_Kind]:
    settings = otel.signals[signal]
    if settings.error is not None:
        raise ConfigError(settings.error)
    return [kind(name, signal, otel, console or sys.stdout) for name in settings.exporters]


def _console(signal: Signal, stream: TextIO) -> _Stock:
    """Return OpenTelemetry's console exporter of a signal, with one JSON document a line."""

    def line(data: Any) -> str:
        return f"{data.to_json(indent=None)}\n"

    # Imported here, because few use them.
    match signal:
        case Signal.METRICS:
            from opentelemetry.sdk.metrics.export import ConsoleMetricExporter  # noqa: PLC0415

            return _Stock(ConsoleMetricExporter(out=stream, formatter=line))
        case Signal.TRACES:
            from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

            return _Stock(ConsoleSpanExporter(out=stream, formatter=line))
        case Signal.LOGS:
            from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter  # noqa: PLC0415

            return _Stock(ConsoleLogRecordExporter(out=stream, formatter=line))


def _status(answer: Answer) -> Status:
    if any(answer.code == code and text in (answer.error or "") for code, text in _TOO_LARGE):
        return Status.TOO_LARGE
    return Status.UNAVAILABLE if answer.code is None else _STATUSES.get(answer.code, Status.UNAVAILABLE)
