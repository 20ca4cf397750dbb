"""OTLP over gRPC. Imported only if this protocol is in use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status as RpcStatus  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from claude_hooks_otel.export.grpc_reasons import grpc_reason
from claude_hooks_otel.export.otlp import USER_AGENT, OtlpSender, provided_credentials
from claude_hooks_otel.export.outcome import Outcome, Status, accepted, not_accepted
from claude_hooks_otel.settings import Credentials, OtlpSettings, Signal

_COMPRESSIONS = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}
# Bytes of an answer and of its headers. An OTLP answer is a message for people at most.
_LONGEST_ANSWER, _LONGEST_METADATA = 1 << 16, 1 << 13
_OPTIONS = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.max_receive_message_length", _LONGEST_ANSWER),
    ("grpc.max_metadata_size", _LONGEST_METADATA),
    ("grpc.absolute_max_metadata_size", _LONGEST_METADATA * 2),
)
# How the library begins its own error about an answer that is too long. The server has accepted the request, or it would not answer.
_TOO_LONG_ANSWER = "CLIENT: Received message larger than max"
# The trailing metadata in which a server explains a status (gRPC, "Richer error model").
_STATUS_DETAILS = "grpc-status-details-bin"
# Source: OTLP specification, "Failures". RESOURCE_EXHAUSTED is retryable only with retry information. Without it, the worker decides.
_RETRYABLE = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
)
_STUBS: Mapping[Signal, Callable[[Any], Any]] = {
    Signal.METRICS: MetricsServiceStub,
    Signal.TRACES: TraceServiceStub,
    Signal.LOGS: LogsServiceStub,
}


class GrpcSender(OtlpSender):
    """Sends over gRPC, on OpenTelemetry's generated stubs.

    Raises:
        OSError: a certificate or key cannot be read.
    """

    def __init__(self, otlp: OtlpSettings, signal: Signal, credentials: Credentials | None = None) -> None:
        super().__init__(otlp, signal, credentials)
        self._stub = _STUBS[signal]
        self._credentials = _credentials(otlp) if otlp.secure else None
        self._lock = threading.Lock()
        self._channel = self._open()

    def close(self) -> None:
        """Close the connection for good. A request under way ends at once."""
        super().close()
        with self._lock:
            self._channel.close()

    def _try(self, request: Any, headers: Mapping[str, str], timeout: float) -> tuple[Outcome, float | None]:
        try:
            response = self._stub(self._channel).Export(request, timeout=timeout, metadata=tuple(headers.items()))
        except grpc.RpcError as error:
            code = error.code()
            details = error.details() or ""
            if _TOO_LONG_ANSWER in details:
                return Outcome(Status.ACCEPTED, f"the answer is too long: {details}"), None
            pause = _retry_delay(error) if code.name in _RETRYABLE else None
            if code is grpc.StatusCode.UNAVAILABLE:
                self._reconnect()
                pause = pause or 0
            reason = grpc_reason(code.name, details, self._otlp.endpoint, secure=self._otlp.secure)
            return not_accepted(code.name, reason), pause
        return accepted(response), None

    def _reconnect(self) -> None:
        """Use a new connection from now on. A broken one waits up to two minutes before it connects again."""
        with self._lock:
            self._channel.close()
            if not self._closed.is_set():
                self._channel = self._open()

    def _open(self) -> Any:
        """Return a channel. It connects with its first request."""
        target, compression = self._otlp.endpoint, _COMPRESSIONS[self._otlp.compression]
        if self._credentials is None:
            return grpc.insecure_channel(target, options=_OPTIONS, compression=compression)
        return grpc.secure_channel(target, self._credentials, options=_OPTIONS, compression=compression)


def _retry_delay(error: Any) -> float | None:
    """Return the seconds after which the server wants the next try (``google.rpc.RetryInfo``); None if it says nothing about it."""
    for key, value in error.trailing_metadata() or ():
        if key != _STATUS_DETAILS:
            continue
        with suppress(DecodeError):
            for detail in RpcStatus.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return max(0.0, float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9))
    return None


def _credentials(otlp: OtlpSettings) -> Any:
    if (provided := provided_credentials(otlp.credential_provider, grpc.ChannelCredentials)) is not None:
        return provided
    files = (otlp.certificate, otlp.client_key, otlp.client_certificate)
    return grpc.ssl_channel_credentials(*(Path(file).read_bytes() if file else None for file in files))
