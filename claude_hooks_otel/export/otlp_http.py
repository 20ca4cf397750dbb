"""The stock OTLP exporter over HTTP, and what the receiver answered it. Imported only when this protocol is in use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from claude_hooks_otel.export.otlp import Answer, OtlpSettings
from claude_hooks_otel.export.redaction import MAX_LENGTH

_PROTOBUF = "application/x-protobuf"


def exporter(settings: OtlpSettings, answer: Answer, environment: Mapping[str, str]) -> OTLPMetricExporter:
    """The exporter; what it is not given here it reads from ``os.environ`` itself."""
    brings_session = any(
        name.startswith("OTEL_PYTHON_EXPORTER_OTLP_HTTP_") for name in environment
    )  # credential provider
    return OTLPMetricExporter(
        timeout=settings.timeout_s,
        compression=Compression(settings.compression),
        session=None if brings_session else _Session(answer),
    )


class _Session(requests.Session):
    """A session that notes each answer: the exporter logs no more than its reason phrase, and takes a redirect for a success."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._answer.clear()
        kwargs.setdefault("verify", self.verify)  # or REQUESTS_CA_BUNDLE would win over OTEL_EXPORTER_OTLP_CERTIFICATE
        try:
            response = super().request(*args, **kwargs)
        except Exception as error:
            self._answer.error = f"{type(error).__name__}: {error}"
            raise
        if response.ok and not 300 <= response.status_code < 400:
            _note_partial_success(response, self._answer)
        else:
            self._answer.error = _failure(response)
        return response


def _note_partial_success(response: requests.Response, answer: Answer) -> None:
    """A receiver may accept a request and refuse some of its points (OTLP specification, "Partial Success")."""
    try:
        partial = ExportMetricsServiceResponse.FromString(response.content).partial_success
    except DecodeError:  # some receivers answer with plain text or nothing
        return
    answer.rejected_points, answer.message = partial.rejected_data_points, partial.error_message


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
