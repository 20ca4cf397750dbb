"""OTLP over HTTP. Imported only if this protocol is in use."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status as RpcStatus  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from claude_hooks_otel.export.http_answers import ACCEPTED_ENCODINGS, BoundedAdapter
from claude_hooks_otel.export.http_reasons import http_reason
from claude_hooks_otel.export.otlp import USER_AGENT, OtlpSender, provided_credentials
from claude_hooks_otel.export.outcome import Outcome, Status, accepted, not_accepted
from claude_hooks_otel.settings import Credentials, OtlpSettings, Signal
from claude_hooks_otel.settings.redaction import MAX_LENGTH

_PROTOBUF = "application/x-protobuf"
_REQUEST_HEADERS = {"content-type": _PROTOBUF, "user-agent": USER_AGENT, "accept-encoding": ACCEPTED_ENCODINGS}
_COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"none": bytes, "gzip": gzip.compress, "deflate": zlib.compress}
_RESPONSES: Mapping[Signal, Any] = {
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}
# Source: OTLP specification, "Retryable Response Codes".
_RETRYABLE = frozenset((429, 502, 503, 504))
# Seconds. ``requests`` accepts no timeout of zero.
_SHORTEST_TIMEOUT = 0.001


class HttpSender(OtlpSender):
    """Sends over HTTP, each request in a thread of its own: a name server and a proxy, too, can keep a request waiting.

    No answer takes more memory or time than ``BoundedAdapter`` allows. If a credential provider brings an adapter of its own, that one
    answers for itself, but the sender does not wait for it longer than the timeout.
    """

    def __init__(self, otlp: OtlpSettings, signal: Signal, credentials: Credentials | None = None) -> None:
        super().__init__(otlp, signal, credentials)
        self._response = _RESPONSES[signal]
        self._session = provided_credentials(otlp.credential_provider, requests.Session) or requests.Session()
        self._adapter = BoundedAdapter()
        if type(self._session.get_adapter(otlp.endpoint)) is HTTPAdapter:
            self._session.mount(otlp.endpoint, self._adapter)
        self._compress = _COMPRESS[otlp.compression]
        encoding = {} if otlp.compression == "none" else {"content-encoding": otlp.compression}
        self._request_headers = {**_REQUEST_HEADERS, **encoding}
        certificate, key = otlp.client_certificate, otlp.client_key
        self._post = partial(
            self._session.post,
            otlp.endpoint,
            verify=otlp.certificate,  # None leaves it to the session
            cert=(certificate, key) if certificate and key else certificate,
            allow_redirects=False,
        )
        self._results: SimpleQueue[requests.Response | Exception] = SimpleQueue()

    def close(self) -> None:
        """Close the connections for good. A request under way ends at once, even if it waits for a name or a connection."""
        super().close()
        self._results.put(requests.ConnectionError("closed while it was under way"))
        self._adapter.end()
        self._session.close()

    def _try(self, request: Any, headers: Mapping[str, str], timeout: float) -> tuple[Outcome, float | None]:
        body, timeout = self._compress(request.SerializeToString()), max(timeout, _SHORTEST_TIMEOUT)
        headers = {**self._request_headers, **headers}
        try:
            response = self._response_within(timeout, partial(self._post, data=body, headers=headers, timeout=timeout))
        except Exception as error:
            is_away = isinstance(error, requests.ConnectionError | requests.Timeout)
            return not_accepted(None, http_reason(error, self._otlp.endpoint)), 0 if is_away else None
        if 200 <= response.status_code < 300:
            with suppress(DecodeError):  # some receivers answer with plain text or nothing
                return accepted(self._response.FromString(response.content)), None
            return Outcome(Status.ACCEPTED), None
        pause = _retry_after(response) if response.status_code in _RETRYABLE else None
        return not_accepted(response.status_code, _reason(response)), pause

    def _response_within(self, timeout: float, send: Callable[[], requests.Response]) -> requests.Response:
        """Return or raise what ``send`` does, or raise an error of ``requests`` as soon as the time is over or the sender is closed."""
        results = self._results = SimpleQueue()
        if self._closed.is_set():
            raise requests.ConnectionError("closed")
        threading.Thread(target=_put_result, args=(send, results), name="otlp-request", daemon=True).start()
        try:
            result = results.get(timeout=min(timeout, threading.TIMEOUT_MAX))
        except Empty:
            self._adapter.end()
            raise requests.Timeout(f"timed out: no complete answer within {timeout:.3g} s") from None
        if isinstance(result, Exception):
            raise result
        return result


def _put_result(send: Callable[[], requests.Response], results: SimpleQueue[requests.Response | Exception]) -> None:
    try:
        results.put(send())
    except Exception as error:
        results.put(error)


def _retry_after(response: requests.Response) -> float:
    """Return the seconds that the header ``Retry-After`` asks for; 0 without a usable one."""
    with suppress(InvalidHeader):
        return Retry().parse_retry_after(response.headers.get("retry-after", "0"))
    return 0


def _reason(response: requests.Response) -> str:
    """Return status, reason and body. By the OTLP specification the body is a ``google.rpc.Status``. A proxy may send any text."""
    reason = f"HTTP {response.status_code} {response.reason or ''}".rstrip()
    if "location" in response.headers:
        return f"{reason}: redirects are not followed (to {response.headers['location']})"
    text = ""
    if response.headers.get("content-type", "").startswith(_PROTOBUF):
        with suppress(DecodeError):
            text = RpcStatus.FromString(response.content).message
    else:
        text = response.content[:MAX_LENGTH].decode("utf-8", "replace")
    return f"{reason}: {text}" if text.strip() else reason
