"""OTLP over HTTP, by OpenTelemetry's own exporters. Imported only if this protocol is in use.

The exporters fall back to ``os.environ`` for what they are not given, and add its headers to what they are given. So the session, which
is an argument, decides about headers and certificates of each request.
"""

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
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from claude_hooks_otel.export.otlp import USER_AGENT, Answer, provided_credentials
from claude_hooks_otel.settings import OtlpSettings, Signal
from claude_hooks_otel.settings.redaction import MAX_LENGTH

_PROTOBUF = "application/x-protobuf"
# Signal → OpenTelemetry's exporter, and what a receiver answers it.
_STOCK: Mapping[Signal, tuple[Any, Any]] = {
    Signal.METRICS: (OTLPMetricExporter, ExportMetricsServiceResponse),
    Signal.TRACES: (OTLPSpanExporter, ExportTraceServiceResponse),
    Signal.LOGS: (OTLPLogExporter, ExportLogsServiceResponse),
}


def http_exporter(otlp: OtlpSettings, signal: Signal, answer: Answer) -> Any:
    """Return OpenTelemetry's exporter of a signal.

    Args:
        otlp: how to send.
        signal: what is sent.
        answer: takes up what the receiver says.

    Raises:
        ConfigError: the credential provider cannot be used.
    """
    stock, response = _STOCK[signal]
    return stock(
        endpoint=otlp.endpoint,
        timeout=otlp.timeout_s,
        compression=Compression(otlp.compression),
        session=_Session(otlp, answer, response),
        max_request_size=0,  # the receiver says what is too large: the exporter drops what is over a limit of its own
        meter_provider=NoOpMeterProvider(),  # no metrics about the exporter itself
    )


class _Session(requests.Session):
    """A session that notes each answer: the exporter only logs its reason phrase, and takes a redirect for a success.

    Closing it ends the request under way, whatever that waits for: a name, a connection, an answer.
    """

    def __init__(self, otlp: OtlpSettings, answer: Answer, response: Any) -> None:
        super().__init__()
        self._answer = answer
        self._response = response
        # Requests go through another session, because the exporter sets this one's certificates from os.environ.
        self._inner = provided_credentials(otlp.credential_provider, requests.Session) or requests.Session()
        headers = {"content-type": _PROTOBUF, "user-agent": USER_AGENT}
        if otlp.compression != "none":
            headers["content-encoding"] = otlp.compression
        certificate, key = otlp.client_certificate, otlp.client_key
        self._options = {
            "headers": headers | dict(otlp.headers),
            "verify": otlp.certificate,  # if None, as the inner session says
            "cert": (certificate, key) if certificate and key else certificate,
        }
        self._results: SimpleQueue[requests.Response | Exception] = SimpleQueue()
        self._is_closed = False

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._answer.clear()
        try:
            response = self._unless_closed(partial(self._inner.request, *args, **kwargs | self._options))
        except Exception as error:
            self._answer.error = f"{type(error).__name__}: {error}"
            raise
        self._answer.code = response.status_code
        if response.ok and not 300 <= response.status_code < 400:
            with suppress(DecodeError):  # some receivers answer with plain text or nothing
                self._answer.note_partial_success(self._response.FromString(response.content))
        else:
            self._answer.error = _failure(response)
        return response

    def close(self) -> None:
        """Close the connections, for good."""
        self._is_closed = True
        self._results.put(requests.ConnectionError("closed while it was under way"))
        self._inner.close()

    def _unless_closed(self, send: Callable[[], requests.Response]) -> requests.Response:
        """Return or raise what ``send`` does, from a thread of its own: nothing ends a blocked request from outside."""
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
    """Return status, reason and what the body says: by the OTLP specification a ``google.rpc.Status``, from a proxy anything."""
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
