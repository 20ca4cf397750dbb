"""An export waits as long as the endpoint asks for. It reports an expired certificate and a partial success."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.export.exporters import ItemExporter, build_item_exporters
from claude_hooks_otel.export.outcome import Status
from claude_hooks_otel.settings import OtelSettings, Signal
from tests.support.items import SPAN
from tests.support.otlp_receiver import OtlpReceiver, Tls

RESOURCE = Resource({})
PROTOCOLS = ("grpc", "http/protobuf")
# Source: OTLP specification, "Failures". RESOURCE_EXHAUSTED is retryable only with retry information.
RETRYABLE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[ItemExporter] = []

    def exporter(url: str, protocol: str, **variables: str) -> ItemExporter:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol} | variables
        made.extend(build_item_exporters(OtelSettings.from_variables(environ), Signal.TRACES))
        return made[-1]

    yield exporter
    for each in made:
        each.shutdown()


def retry_information(seconds: float) -> dict[str, bytes]:
    info = AnyMessage()
    info.Pack(RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))))
    return {"grpc-status-details-bin": RpcStatus(details=[info]).SerializeToString()}


@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_a_status_with_retry_information_is_tried_again_only_if_it_is_retryable(
    otlp_receiver: OtlpReceiver, make: Any, code: grpc.StatusCode
) -> None:
    otlp_receiver.grpc.fail_with(code, "slow down", headers=retry_information(0.01), times=1)
    outcome = make(otlp_receiver.grpc.url, "grpc").export([SPAN], RESOURCE)
    assert (outcome.ok, len(otlp_receiver.requests)) == ((True, 2) if code in RETRYABLE else (False, 1))


@pytest.mark.parametrize("code", sorted(RETRYABLE, key=lambda code: code.name), ids=lambda code: code.name)
def test_a_long_pause_ends_the_export_and_is_reported(
    otlp_receiver: OtlpReceiver, make: Any, code: grpc.StatusCode
) -> None:
    otlp_receiver.grpc.fail_with(code, "slow down", headers=retry_information(90.5))
    outcome = make(otlp_receiver.grpc.url, "grpc").export([SPAN], RESOURCE)
    assert (outcome.ok, outcome.retry_after_s, len(otlp_receiver.requests)) == (False, 90.5, 1)


def test_a_long_retry_after_over_http_is_reported(otlp_receiver: OtlpReceiver, make: Any) -> None:
    otlp_receiver.http.fail_with(429, "slow down", headers={"retry-after": "90"})
    outcome = make(otlp_receiver.http.url, "http/protobuf").export([SPAN], RESOURCE)
    assert (outcome.ok, outcome.retry_after_s, len(otlp_receiver.requests)) == (False, 90, 1)


@pytest.mark.parametrize(
    "details",
    [b"", b"\xff\xff\xff", RpcStatus(details=[AnyMessage(type_url="type.googleapis.com/x", value=b"\xff")]).SerializeToString(),
     RpcStatus(details=[AnyMessage(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff")]).SerializeToString(),
     retry_information(0)["grpc-status-details-bin"]],
)  # fmt: skip
def test_broken_retry_information_is_none(otlp_receiver: OtlpReceiver, make: Any, details: bytes) -> None:
    otlp_receiver.grpc.fail_with(grpc.StatusCode.PERMISSION_DENIED, "no", headers={"grpc-status-details-bin": details})
    outcome = make(otlp_receiver.grpc.url, "grpc").export([SPAN], RESOURCE)
    assert (outcome.status, outcome.retry_after_s, len(otlp_receiver.requests)) == (Status.UNAVAILABLE, 0, 1)


@pytest.mark.parametrize("seconds", [-5, 315_576_000_000])
def test_an_absurd_pause_does_no_harm(otlp_receiver: OtlpReceiver, make: Any, seconds: int) -> None:
    otlp_receiver.grpc.fail_with(grpc.StatusCode.ABORTED, "no", headers=retry_information(seconds), times=1)
    outcome = make(otlp_receiver.grpc.url, "grpc").export([SPAN], RESOURCE)
    assert (outcome.ok, outcome.retry_after_s) == ((True, 0) if seconds < 0 else (False, seconds))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_partial_success_without_a_message_is_reported(
    otlp_receiver: OtlpReceiver, make: Any, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    from tests.support import otlp_receiver as receivers

    def response(signal: Any, _: Any) -> Any:
        made = receivers._SIGNALS[signal][1]()
        made.partial_success.rejected_spans = 1
        return made

    monkeypatch.setattr(receivers, "_response", response)
    url = otlp_receiver.grpc.url if protocol == "grpc" else otlp_receiver.http.url
    outcome = make(url, protocol).export([SPAN], RESOURCE)
    assert (outcome.status, outcome.rejected) == (Status.ACCEPTED, 1)
    assert outcome.error == "1 items of a batch were rejected without a reason"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_expired_certificate_is_reported_and_nothing_is_sent_until_it_is_renewed(
    tmp_path: Path, make: Any, protocol: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    now = datetime.now(UTC)
    tls = Tls(tmp_path / "server.pem", tmp_path / "server.key")

    def issue(until: datetime) -> None:
        made = authority.issue_cert("127.0.0.1", "localhost", not_before=now - timedelta(days=9), not_after=until)
        made.cert_chain_pems[0].write_to_path(tls.certificate)
        made.private_key_pem.write_to_path(tls.key)

    issue(now - timedelta(days=1))
    with OtlpReceiver(tls=tls) as receiver:
        endpoint: Any = receiver.grpc if protocol == "grpc" else receiver.http
        exporter = make(
            endpoint.url,
            protocol,
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(tmp_path / "ca.pem"),
            OTEL_EXPORTER_OTLP_TIMEOUT="1500",
        )
        outcome = exporter.export([SPAN], RESOURCE)
        assert (outcome.status, receiver.requests) == (Status.UNAVAILABLE, [])
        assert "certificate" in outcome.error.lower()
        endpoint.go_away()
        issue(now + timedelta(days=1))
        endpoint.come_back()
        assert exporter.export([SPAN], RESOURCE).ok


def test_the_other_signal_is_sent_while_one_endpoint_hangs(make: Any) -> None:
    """Each exporter has a thread and a connection of its own."""
    with OtlpReceiver() as hanging, OtlpReceiver() as answering:
        hanging.http.hang(accepting=True)
        first = make(hanging.http.url, "http/protobuf")
        second = make(answering.http.url, "http/protobuf")
        waiting = threading.Thread(target=first.export, args=([SPAN], RESOURCE))
        waiting.start()
        hanging.wait_for(lambda it: it.requests)
        assert second.export([SPAN], RESOURCE).ok
        assert waiting.is_alive()
        first.shutdown()
        waiting.join()
