"""The stock OTLP exporters over gRPC, and what the receiver answered them. Imported only when this protocol is in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpc import (  # type: ignore[import-untyped]
    ChannelCredentials,
    Compression,
    RpcError,
    StatusCode,
    ssl_channel_credentials,
)
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from claude_hooks_otel.export.otlp import Answer, OtlpSettings, variable
from claude_hooks_otel.export.partial_success import note_partial_success
from claude_hooks_otel.export.signals import Signal

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin

    _Mixin = OTLPExporterMixin[Any, Any, Any, Any]
else:
    _Mixin = object

_COMPRESSIONS = {"none": Compression.NoCompression, "gzip": Compression.Gzip}
# What a span or log exporter tries again by itself: an old connection is made anew then. All else waits for the next delivery; a
# batch that is too large would otherwise be sent over and over for the whole timeout.
_RETRIED = (StatusCode.UNAVAILABLE,)


def exporter(settings: OtlpSettings, answer: Answer, environment: Mapping[str, str], signal: Signal) -> Any:
    """The signal's exporter; what it is not given here it reads from ``os.environ`` itself.

    Raises:
        OSError: a certificate or key can not be read.
    """
    credentials = _credentials(environment, signal) if settings.secure else None
    compression = _COMPRESSIONS[settings.compression]
    if signal is Signal.METRICS:
        return _MetricExporter(answer, timeout=settings.timeout_s, compression=compression, credentials=credentials)
    kind = _SpanExporter if signal is Signal.TRACES else _LogExporter
    return kind(
        answer,
        timeout=settings.timeout_s,
        compression=compression,
        credentials=credentials,
        retryable_error_codes=_RETRIED,
    )


def _credentials(environment: Mapping[str, str], signal: Signal) -> ChannelCredentials | None:
    """The certificates that are named; the exporter itself uses a client's only where an authority is named as well."""
    names = [variable(environment, name, signal) for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")]
    if not any(names):
        return None
    authority, key, chain = (Path(name).read_bytes() if name else None for name in names)
    return ssl_channel_credentials(authority, key, chain)


class _Noting(_Mixin):
    """Notes each answer: the exporter throws partial successes away, and logs one kind of failure once in 20 seconds only."""

    def __init__(self, answer: Answer, **options: Any) -> None:
        self._answer = answer
        super().__init__(**options)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]
        self._client: Any = _Stub(self._client, self._answer)


class _MetricExporter(_Noting, OTLPMetricExporter):
    pass


class _SpanExporter(_Noting, OTLPSpanExporter):
    pass


class _LogExporter(_Noting, OTLPLogExporter):
    pass


class _Stub:
    """A service's client stub."""

    def __init__(self, stub: Any, answer: Answer) -> None:
        self._stub = stub
        self._answer = answer

    def Export(self, **kwargs: Any) -> Any:  # noqa: N802 -- the service's name for it
        self._answer.clear()
        try:
            response = self._stub.Export(**kwargs)
        except RpcError as error:
            self._answer.code = error.code().name
            self._answer.error = f"gRPC {error.code().name}: {error.details()}"
            raise
        self._answer.code = StatusCode.OK.name
        note_partial_success(response, self._answer)
        return response
