"""The stock OTLP exporters over HTTP, and what the receiver answered them. Imported only when this protocol is in use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from claude_hooks_otel.export.otlp import Answer, OtlpSettings
from claude_hooks_otel.export.partial_success import note_partial_success
from claude_hooks_otel.export.redaction import MAX_LENGTH
from claude_hooks_otel.export.signals import Signal

_PROTOBUF = "application/x-protobuf"
# Signal → the stock exporter, and what a receiver answers it.
_STOCK: Mapping[Signal, tuple[Any, Any]] = {
    Signal.METRICS: (OTLPMetricExporter, ExportMetricsServiceResponse),
    Signal.TRACES: (OTLPSpanExporter, ExportTraceServiceResponse),
    Signal.LOGS: (OTLPLogExporter, ExportLogsServiceResponse),
}


def exporter(settings: OtlpSettings, answer: Answer, environment: Mapping[str, str], signal: Signal) -> Any:
    """The signal's exporter; what it is not given here it reads from ``os.environ`` itself."""
    brings_session = any(
        name.startswith("OTEL_PYTHON_EXPORTER_OTLP_HTTP_") for name in environment
    )  # credential provider
    stock, response = _STOCK[signal]
    return stock(
        timeout=settings.timeout_s,
        compression=Compression(settings.compression),
        max_request_size=0,  # how much is too much is for the receiver to say: what is over its own limit, the exporter drops
        session=None if brings_session else _Session(answer, response),
    )


class _Session(requests.Session):
    """A session that notes each answer: the exporter logs no more than its reason phrase, and takes a redirect for a success.

    Closing it lets go of the request that is under way, whatever that waits for: a name, a connection, an answer.
    """

    def __init__(self, answer: Answer, response: Any) -> None:
        super().__init__()
        self._answer = answer
        self._response = response
        self._results: SimpleQueue[requests.Response | Exception] = SimpleQueue()
        self._is_closed = False

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._answer.clear()
        kwargs.setdefault("verify", self.verify)  # or REQUESTS_CA_BUNDLE would win over OTEL_EXPORTER_OTLP_CERTIFICATE
        try:
            response = self._unless_closed(partial(super().request, *args, **kwargs))
        except Exception as error:
            self._answer.error = f"{type(error).__name__}: {error}"
            raise
        self._answer.code = response.status_code
        if response.ok and not 300 <= response.status_code < 400:
            with suppress(DecodeError):  # some receivers answer with plain text or nothing
                note_partial_success(self._response.FromString(response.content), self._answer)
        else:
            self._answer.error = _failure(response)
        return response

    def close(self) -> None:
        """Closes the connections, for good."""
        self._is_closed = True
        self._results.put(requests.ConnectionError("closed while it was under way"))
        super().close()

    def _unless_closed(self, send: Callable[[], requests.Response]) -> requests.Response:
        """What ``send`` returns or raises, from a thread of its own: nothing ends a blocked request from outside."""
        results = self._results = SimpleQueue()
        if self._is_closed:
            raise requests.ConnectionError("closed")
        threading.Thread(target=_put_result, args=(send, results), name="otlp-request", daemon=True).start()
        result = results.get()
        if isinstance(result, Exception):
            raise result
        return result


def _put_result(send: Callable[[], requests.Response], results: SimpleQueue[requests.Response | Exception]) -> None:
    try:
        results.put(send())
    except Exception as error:
        results.put(error)


def _failure(response: requests.Response) -> str:
    """Status, reason and what the body says: by the OTLP specification a ``google.rpc.Status``, from a proxy anything."""
    reason = f"HTTP {response.status_code} {response.reason or ''}".rstrip()
    if "location" in response.headers:
        return f"{reason}: redirects are not followed (to {response.headers['location']})"
    text = ""
    if response.headers.get("content-type", "").startswith(_PROTOBUF):
        with suppress(DecodeError):
            text = Status.FromString(response.content).message
    else:
        text = response.content[:MAX_LENGTH].decode("utf-8", "replace")
    return f"{reason}: {text}" if text.strip() else reason
