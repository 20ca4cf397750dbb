"""The exporters of spans and of log events that the configuration asks for, each telling how every batch ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol, TextIO

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from claude_hooks_otel import __version__
from claude_hooks_otel.export.attempt import attempt
from claude_hooks_otel.export.exporter_logs import caught_logs
from claude_hooks_otel.export.logs import readable_log_records
from claude_hooks_otel.export.metrics import SCOPE_NAME
from claude_hooks_otel.export.otlp import Answer
from claude_hooks_otel.export.redaction import Redactor
from claude_hooks_otel.export.signals import Signal
from claude_hooks_otel.export.spans import readable_spans
from claude_hooks_otel.export.stock import build_otlp, exporter_names, is_requested
from claude_hooks_otel.traces.model import Item

_SCOPE = InstrumentationScope(SCOPE_NAME, __version__)


class Status(Enum):
    """How the endpoint took a batch, and so what is to become of it."""

    ACCEPTED = auto()
    TOO_LARGE = auto()  # to be sent in smaller ones
    REFUSED = auto()  # it is bad, and will not get better
    FAILED = auto()  # the endpoint broke at it: it is broken, or the batch is bad
    UNSERVED = auto()  # nothing of this signal is taken there
    UNAVAILABLE = auto()  # to be sent again later


# By the OTLP specification ("Failures") a status that may not be retried is about the request; which of them are about its content,
# and not about who asks or where, is our reading.
_STATUSES: Mapping[int | str, Status] = {
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
# gRPC has no code of its own for a message that is too large: what its libraries say of it, and what it makes of HTTP's.
_TOO_LARGE = (
    ("RESOURCE_EXHAUSTED", "larger than"),  # C, Go, Node
    ("RESOURCE_EXHAUSTED", "exceeds maximum size"),  # Java
    ("RESOURCE_EXHAUSTED", "exceeds the maximum configured message size"),  # .NET
    ("RESOURCE_EXHAUSTED", "exceeded while decompressing"),  # Rust
    ("OUT_OF_RANGE", "message length too large"),  # Rust
    ("UNKNOWN", "http2 header with status: 413"),  # a proxy
)


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """How one export ended.

    Attributes:
        status: what is to become of the batch.
        error: why it was not accepted, or what the receiver had to say to a batch it accepted; never holds a secret.
        rejected: records that the receiver refused for good within a batch it accepted.
        duration_s: how long the export took, seconds, its retries included.
    """

    status: Status
    error: str | None
    rejected: int
    duration_s: float


class _Stock(Protocol):
    """What the stock exporters of spans and of log records have in common."""

    def export(self, batch: Any, /) -> Any:
        """Sends a batch; what it returns is an enumeration with the member SUCCESS."""

    def shutdown(self) -> None:
        """Closes the connection."""


class RecordExporter:
    """An exporter of spans or of log events.

    Attributes:
        name: as ``OTEL_TRACES_EXPORTER`` or ``OTEL_LOGS_EXPORTER`` has it.
        signal: what it sends.
        is_requested: whether somebody asks for this signal, and does not just name an endpoint for all of them.
        warnings: what in its configuration is ignored, a sentence each.
    """

    def __init__(
        self,
        name: str,
        signal: Signal,
        exporter: _Stock,
        convert: Callable[[Any, Resource, InstrumentationScope], list[Any]],
        description: str,
        *,
        redact: Redactor,
        answer: Answer,
        is_requested: bool = True,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.signal = signal
        self.is_requested = is_requested
        self.warnings = tuple(map(redact, warnings))
        self._exporter = exporter
        self._convert = convert
        self._description = redact(description)
        self._redact = redact
        self._answer = answer

    def describe(self) -> str:
        """What is used and what is ignored, in one line for people."""
        return "; ".join((self._description, *self.warnings))

    def export(self, items: Sequence[Item], resource: Resource) -> RecordOutcome:
        """Send one batch and wait for its end, at most the configured timeout. Never raises."""
        done = attempt(
            lambda: self._exporter.export(self._convert(items, resource, _SCOPE)).name == "SUCCESS",
            self._answer,
            self._redact,
        )
        if done.ok:
            return RecordOutcome(Status.ACCEPTED, done.error, self._answer.rejected, done.duration_s)
        status = Status.REFUSED if done.is_unsendable else _status(self._answer)
        return RecordOutcome(status, done.error, 0, done.duration_s)

    def shutdown(self) -> None:
        """Closes the connection; an export under way in another thread ends at once. May be called twice."""
        with caught_logs():
            self._exporter.shutdown()


def build_record_exporters(
    environment: Mapping[str, str], signal: Signal, console: TextIO | None = None
) -> list[RecordExporter]:
    """The exporters that the variables in effect ask for; none where none is asked for.

    ``OTEL_TRACES_EXPORTER`` and ``OTEL_LOGS_EXPORTER`` name them as ``OTEL_METRICS_EXPORTER`` does for metrics. While an exporter is
    built, the process's ``OTEL_*`` variables are replaced, so build before other threads start processes.

    Args:
        environment: the ``OTEL_*`` variables in effect (``config.otel_environment``).
        signal: traces or logs.
        console: where the console exporter writes, one JSON document a line; standard output by default.

    Raises:
        ConfigError: an exporter or protocol is not supported, or a setting can not be used.
    """
    redact = Redactor(environment)
    convert: Any = readable_spans if signal is Signal.TRACES else readable_log_records

    def build(name: str) -> RecordExporter:
        if name == "console":
            exporter = _console(signal, console or sys.stdout)
            description = "console, one JSON document a line"
            return RecordExporter(name, signal, exporter, convert, description, redact=redact, answer=Answer())
        stock = build_otlp(environment, signal, redact)
        return RecordExporter(
            name,
            signal,
            stock.exporter,
            convert,
            stock.description,
            redact=redact,
            answer=stock.answer,
            is_requested=is_requested(environment, signal),
            warnings=stock.warnings,
        )

    return [build(name) for name in exporter_names(environment, signal)]


def _console(signal: Signal, stream: TextIO) -> _Stock:
    """The stock console exporter, one record a line."""

    def line(record: Any) -> str:
        return f"{record.to_json(indent=None)}\n"

    if signal is Signal.TRACES:
        return ConsoleSpanExporter(out=stream, formatter=line)
    return ConsoleLogRecordExporter(out=stream, formatter=line)


def _status(answer: Answer) -> Status:
    if any(answer.code == code and text in (answer.error or "") for code, text in _TOO_LARGE):
        return Status.TOO_LARGE
    return Status.UNAVAILABLE if answer.code is None else _STATUSES.get(answer.code, Status.UNAVAILABLE)
