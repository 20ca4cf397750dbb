"""OTLP over gRPC, on OpenTelemetry's encoders and generated stubs. Imported only if this protocol is in use.

OpenTelemetry's own gRPC exporters are not used: they read ``os.environ`` even where every argument is given, and keep the receiver's
answer to themselves.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grpc import (  # type: ignore[import-untyped]
    ChannelCredentials,
    Compression,
    RpcError,
    StatusCode,
    insecure_channel,
    secure_channel,
    ssl_channel_credentials,
)
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from claude_hooks_otel.export.otlp import USER_AGENT, Answer, provided_credentials
from claude_hooks_otel.settings import OtlpSettings, Signal

# Tries of one export, and seconds before the second one. Each pause is twice the one before.
TRIES, FIRST_PAUSE = 6, 1.0

_COMPRESSIONS = {"none": Compression.NoCompression, "gzip": Compression.Gzip}
_OPTIONS = (("grpc.primary_user_agent", USER_AGENT),)
# Signal → what encodes a batch, and the stub of the service.
_SERVICES: Mapping[Signal, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    Signal.METRICS: (encode_metrics, MetricsServiceStub),
    Signal.TRACES: (encode_spans, TraceServiceStub),
    Signal.LOGS: (encode_logs, LogsServiceStub),
}


class GrpcSender:
    """Sends batches of one signal.

    Only an endpoint that is away is tried again, over a new connection. Everything else waits for the next delivery: a batch that is
    too large would be sent over and over.

    Args:
        otlp: how to send.
        signal: what is sent.
        answer: takes up what the receiver says.

    Raises:
        ConfigError: the credential provider cannot be used.
        OSError: a certificate or key cannot be read.
    """

    def __init__(self, otlp: OtlpSettings, signal: Signal, answer: Answer) -> None:
        self._otlp = otlp
        self._answer = answer
        self._encode, self._stub = _SERVICES[signal]
        self._credentials = _credentials(otlp) if otlp.secure else None
        self._metadata = tuple(otlp.headers.items())
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._channel = self._open()

    def send(self, batch: Any) -> bool:
        """Send a batch, and return whether the receiver accepted it."""
        request = self._encode(batch)
        deadline = time.monotonic() + self._otlp.timeout_s
        for number in range(TRIES):
            if self._ask(request, deadline - time.monotonic()):
                return True
            pause = FIRST_PAUSE * 2**number * random.uniform(0.8, 1.2)  # noqa: S311 -- spreads the tries of many machines
            if self._answer.code != StatusCode.UNAVAILABLE.name or pause > deadline - time.monotonic():
                break
            if number + 1 == TRIES or self._closed.wait(pause):
                break
        return False

    def close(self) -> None:
        """Close the connection, for good. A request under way ends at once."""
        with self._lock:
            self._closed.set()
            self._channel.close()

    def _ask(self, request: Any, timeout: float) -> bool:
        self._answer.clear()
        try:
            response = self._stub(self._channel).Export(request, timeout=timeout, metadata=self._metadata)
        except RpcError as error:
            self._answer.code = error.code().name
            self._answer.error = f"gRPC {error.code().name}: {error.details()}"
            if error.code() is StatusCode.UNAVAILABLE:
                self._reconnect()
            return False
        self._answer.code = StatusCode.OK.name
        self._answer.note_partial_success(response)
        return True

    def _reconnect(self) -> None:
        """Use a new connection from now on: a broken one waits up to two minutes before it connects again."""
        with self._lock:
            self._channel.close()
            if not self._closed.is_set():
                self._channel = self._open()

    def _open(self) -> Any:
        """Return a channel, which connects with its first request."""
        target, compression = self._otlp.endpoint, _COMPRESSIONS[self._otlp.compression]
        if self._credentials is None:
            return insecure_channel(target, options=_OPTIONS, compression=compression)
        return secure_channel(target, self._credentials, options=_OPTIONS, compression=compression)


def _credentials(otlp: OtlpSettings) -> Any:
    if (provided := provided_credentials(otlp.credential_provider, ChannelCredentials)) is not None:
        return provided
    files = (otlp.certificate, otlp.client_key, otlp.client_certificate)
    return ssl_channel_credentials(*(Path(file).read_bytes() if file else None for file in files))
