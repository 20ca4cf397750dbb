"""The stock OTLP exporter over gRPC, and what the receiver answered it. Imported only when this protocol is in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpc import (  # type: ignore[import-untyped]
    ChannelCredentials,
    Compression,
    RpcError,
    ssl_channel_credentials,
)
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from claude_hooks_otel.export.otlp import Answer, OtlpSettings, variable

_COMPRESSIONS = {"none": Compression.NoCompression, "gzip": Compression.Gzip}


def exporter(settings: OtlpSettings, answer: Answer, environment: Mapping[str, str]) -> OTLPMetricExporter:
    """The exporter; what it is not given here it reads from ``os.environ`` itself.

    Raises:
        OSError: a certificate or key can not be read.
    """
    return _Exporter(settings, answer, _credentials(environment) if settings.secure else None)


def _credentials(environment: Mapping[str, str]) -> ChannelCredentials | None:
    """The certificates that are named; the exporter itself uses a client's only where an authority is named as well."""
    names = [variable(environment, name) for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")]
    if not any(names):
        return None
    authority, key, chain = (Path(name).read_bytes() if name else None for name in names)
    return ssl_channel_credentials(authority, key, chain)


class _Exporter(OTLPMetricExporter):
    """Notes each answer: the exporter throws partial successes away, and logs one kind of failure once in 20 seconds only."""

    def __init__(self, settings: OtlpSettings, answer: Answer, credentials: ChannelCredentials | None) -> None:
        self._answer = answer
        compression = _COMPRESSIONS[settings.compression]
        super().__init__(timeout=settings.timeout_s, compression=compression, credentials=credentials)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]
        self._client = _Stub(self._client, self._answer)  # type: ignore[assignment]


class _Stub:
    """The metrics service's client stub."""

    def __init__(self, stub: Any, answer: Answer) -> None:
        self._stub = stub
        self._answer = answer

    def Export(self, **kwargs: Any) -> ExportMetricsServiceResponse:  # noqa: N802 -- the service's name for it
        self._answer.clear()
        try:
            response: ExportMetricsServiceResponse = self._stub.Export(**kwargs)
        except RpcError as error:
            self._answer.error = f"gRPC {error.code().name}: {error.details()}"
            raise
        partial = response.partial_success
        self._answer.rejected_points, self._answer.message = partial.rejected_data_points, partial.error_message
        return response
