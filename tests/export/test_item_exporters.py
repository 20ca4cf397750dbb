"""Exporters of spans and log events send everything, over both protocols, and understand each answer of a real receiver."""

from __future__ import annotations

import io
import json
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import grpc
import pytest
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel import __version__
from claude_hooks_otel.export.exporters import ItemExporter, build_item_exporters
from claude_hooks_otel.export.outcome import Status
from claude_hooks_otel.settings import ConfigError, OtelSettings, Signal
from claude_hooks_otel.traces.model import Item
from tests.support.items import EVENT, SPAN
from tests.support.otlp_receiver import OtlpReceiver, Tls, self_signed_certificate
from tests.support.otlp_records import attributes, log_records, spans

SIGNALS = (Signal.TRACES, Signal.LOGS)
ITEMS: dict[Signal, list[Item]] = {Signal.TRACES: [SPAN], Signal.LOGS: [EVENT]}
RESOURCE = Resource({"service.name": "claude-hooks-otel"})
# OTLP, SpanFlags: whether the next flag has a value, and whether the parent is remote.
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200


def exporters(variables: dict[str, str], signal: Signal, console: TextIO | None = None) -> list[ItemExporter]:
    return build_item_exporters(OtelSettings.from_variables(variables), signal, console)


class Rig:
    """An endpoint of a protocol, and exporters to it."""

    def __init__(self, receiver: OtlpReceiver, protocol: str) -> None:
        self.receiver, self.protocol = receiver, protocol
        self.endpoint: Any = receiver.grpc if protocol == "grpc" else receiver.http
        self.made: list[ItemExporter] = []

    def exporter(self, signal: Signal, **variables: str) -> ItemExporter:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
        } | variables
        (exporter,) = exporters(environment, signal)
        self.made.append(exporter)
        return exporter


@pytest.fixture(params=["grpc", "http/protobuf"])
def rig(request: pytest.FixtureRequest, otlp_receiver: OtlpReceiver) -> Any:
    rig = Rig(otlp_receiver, request.param)
    yield rig
    for exporter in rig.made:
        exporter.shutdown()


# -- what is sent ------------------------------------------------------------------------------------------------------------


def test_a_span_arrives_completely(rig: Rig) -> None:
    outcome = rig.exporter(Signal.TRACES).export([SPAN], RESOURCE)
    assert (outcome.status, outcome.error, outcome.rejected) == (Status.ACCEPTED, None, 0)
    (span,) = spans(rig.receiver)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (b"\xff" * 16, b"\xff" * 8, bytes(7) + b"\x07")
    assert (span.name, span.kind) == ("chat", 3)  # SPAN_KIND_CLIENT
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (SPAN.start_ns, SPAN.end_ns)
    assert (span.status.code, span.status.message) == (2, "rate_limit")
    assert attributes(span) == {"a": 1, "b": 0.25, "c": "ä\n", "d": ("x", "y"), "error.type": "rate_limit"}
    (event,) = span.events
    assert (event.name, event.time_unix_nano, attributes(event)) == ("claude.compaction", 5, {"trigger": "auto"})
    (link,) = span.links
    assert (link.trace_id[-1], link.span_id[-1], attributes(link)) == (1, 2, {"claude.link": "fork"})
    assert (span.flags, link.flags) == (HAS_IS_REMOTE, HAS_IS_REMOTE)


def test_a_parent_in_another_process_is_marked_as_remote(rig: Rig) -> None:
    rig.exporter(Signal.TRACES).export([replace(SPAN, is_parent_remote=True), replace(SPAN, parent_id=None)], RESOURCE)
    inbound, root = spans(rig.receiver)
    assert (inbound.flags, inbound.parent_span_id) == (HAS_IS_REMOTE | IS_REMOTE, bytes(7) + b"\x07")
    assert (root.flags, root.parent_span_id) == (HAS_IS_REMOTE, b"")


def test_a_log_event_arrives_completely(rig: Rig) -> None:
    before = time.time_ns()
    assert rig.exporter(Signal.LOGS).export([EVENT], RESOURCE).status is Status.ACCEPTED
    (record,) = log_records(rig.receiver)
    assert (record.event_name, record.body.string_value, record.time_unix_nano) == ("claude.prompt", "prompt", 5)
    assert before <= record.observed_time_unix_nano <= time.time_ns()
    assert (record.severity_number, record.severity_text) == (17, "ERROR")
    assert (record.trace_id, record.span_id, record.flags) == (b"\xff" * 16, bytes(7) + b"\x03", 1)
    assert attributes(record) == {"a": ("x",), "log.record.uid": "f" * 16}


def test_the_flags_of_a_log_event_say_that_its_trace_is_not_sent(rig: Rig) -> None:
    """It is W3C's sampled flag. Without it, a reader would look for a span that was never sent."""
    rig.exporter(Signal.LOGS).export([replace(EVENT, is_sampled=False)], RESOURCE)
    (record,) = log_records(rig.receiver)
    assert (record.trace_id, record.span_id, record.flags) == (b"\xff" * 16, bytes(7) + b"\x03", 0)


def test_spans_and_log_events_have_the_same_resource_and_scope(rig: Rig) -> None:
    for signal in SIGNALS:
        rig.exporter(signal).export(ITEMS[signal], RESOURCE)
    found = [
        (attributes(resource.resource)["service.name"], scope.scope.name, scope.scope.version)
        for message in rig.receiver.traces
        for resource in message.resource_spans
        for scope in resource.scope_spans
    ] + [
        (attributes(resource.resource)["service.name"], scope.scope.name, scope.scope.version)
        for message in rig.receiver.logs
        for resource in message.resource_logs
        for scope in resource.scope_logs
    ]
    assert found == [("claude-hooks-otel", "claude_hooks_otel", __version__)] * 2


def test_a_log_event_without_a_span_arrives_without_ids(rig: Rig) -> None:
    rig.exporter(Signal.LOGS).export([replace(EVENT, trace_id=None, span_id=None)], RESOURCE)
    (record,) = log_records(rig.receiver)
    assert (record.trace_id, record.span_id) == (b"", b"")


@pytest.mark.parametrize("signal", SIGNALS)
def test_variables_of_a_signal_win_over_general_ones(rig: Rig, signal: Signal) -> None:
    name = signal.upper()
    exporter = rig.exporter(
        signal,
        OTEL_EXPORTER_OTLP_HEADERS="x-general=1,x-both=general",
        **{f"OTEL_EXPORTER_OTLP_{name}_HEADERS": "x-both=own", f"OTEL_EXPORTER_OTLP_{name}_COMPRESSION": "gzip"},
    )
    assert exporter.export(ITEMS[signal], RESOURCE).status is Status.ACCEPTED
    (request,) = rig.receiver.requests
    assert request.headers["x-both"] == "own"
    assert "x-general" not in request.headers
    if rig.protocol != "grpc":
        assert request.encoding == "gzip"


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_http_endpoint_of_a_signal_is_used_unchanged(otlp_receiver: OtlpReceiver, signal: Signal) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT": f"{otlp_receiver.http_endpoint}/prefix/v1/{signal}",
    }
    (exporter,) = exporters(environment, signal)
    assert exporter.export(ITEMS[signal], RESOURCE).status is Status.ACCEPTED
    assert exporter.is_requested
    exporter.shutdown()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_certificates_and_headers_of_a_signal_win_over_general_ones(tmp_path: Path, protocol: str) -> None:
    """Both sides show a certificate. The general variables have values that the receiver does not accept."""
    server, client = self_signed_certificate(tmp_path), self_signed_certificate(tmp_path, "client")
    tls = Tls(server.certificate, server.key, client_authority=client.certificate)
    with OtlpReceiver(tls=tls, bearer="right") as receiver:
        rig = Rig(receiver, protocol)
        for signal in SIGNALS:
            own = {"CERTIFICATE": tls.certificate, "CLIENT_CERTIFICATE": client.certificate, "CLIENT_KEY": client.key}
            variables = {f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}": str(path) for name, path in own.items()}
            variables[f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS"] = "authorization=Bearer%20right"
            exporter = rig.exporter(
                signal,
                OTEL_EXPORTER_OTLP_CERTIFICATE=str(client.certificate),
                OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20wrong",
                **variables,
            )
            outcome = exporter.export(ITEMS[signal], RESOURCE)
            assert outcome.status is Status.ACCEPTED, outcome
            exporter.shutdown()


# -- outcomes of an export -----------------------------------------------------------------------------------------------------------


HTTP, GRPC = "http/protobuf", "grpc"
ANSWERS: list[tuple[str, Any, str, Status]] = [
    (HTTP, 400, "bad", Status.REFUSED),
    (GRPC, grpc.StatusCode.INVALID_ARGUMENT, "bad", Status.REFUSED),
    (HTTP, 422, "bad", Status.REFUSED),
    (HTTP, 413, "too much", Status.TOO_LARGE),
    (GRPC, grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (5 vs. 4)", Status.TOO_LARGE),
    (GRPC, grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: message after decompression larger than max 4", Status.TOO_LARGE),
    (GRPC, grpc.StatusCode.RESOURCE_EXHAUSTED, "message that decompresses to a size larger than 4", Status.TOO_LARGE),
    (GRPC, grpc.StatusCode.RESOURCE_EXHAUSTED, "gRPC message exceeds maximum size 4: 5", Status.TOO_LARGE),
    (GRPC, grpc.StatusCode.RESOURCE_EXHAUSTED, "Decompressed gRPC message exceeds maximum size 4", Status.TOO_LARGE),
    (
        GRPC,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Received message exceeds the maximum configured message size.",
        Status.TOO_LARGE,
    ),
    (
        GRPC,
        grpc.StatusCode.OUT_OF_RANGE,
        "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
        Status.TOO_LARGE,
    ),
    (
        GRPC,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Error decompressing: size limit, of 4 bytes, exceeded while decompressing message",
        Status.TOO_LARGE,
    ),
    (GRPC, grpc.StatusCode.OUT_OF_RANGE, "too old", Status.UNAVAILABLE),  # the OTLP specification allows a retry
    (GRPC, grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", Status.UNAVAILABLE),
    (HTTP, 404, "unknown service", Status.UNSERVED),
    (GRPC, grpc.StatusCode.UNIMPLEMENTED, "unknown service", Status.UNSERVED),
    (HTTP, 405, "", Status.UNSERVED),
    (HTTP, 501, "", Status.UNSERVED),
    (HTTP, 500, "broken", Status.FAILED),
    (GRPC, grpc.StatusCode.INTERNAL, "broken", Status.FAILED),
    (GRPC, grpc.StatusCode.UNKNOWN, "broken", Status.FAILED),
    (GRPC, grpc.StatusCode.DATA_LOSS, "broken", Status.FAILED),
    (GRPC, grpc.StatusCode.FAILED_PRECONDITION, "TRACE_TOO_LARGE: max size of trace exceeded", Status.FAILED),
    (HTTP, 401, "who", Status.UNAVAILABLE),
    (GRPC, grpc.StatusCode.UNAUTHENTICATED, "who", Status.UNAVAILABLE),
    (HTTP, 403, "no", Status.UNAVAILABLE),
    (GRPC, grpc.StatusCode.PERMISSION_DENIED, "no", Status.UNAVAILABLE),
    (HTTP, 302, "", Status.UNAVAILABLE),
]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(("rig", "answer", "message", "status"), ANSWERS, indirect=["rig"])
def test_each_answer_has_its_status_after_one_request(
    rig: Rig, signal: Signal, answer: Any, message: str, status: Status
) -> None:
    """An export sends one request. The worker decides about retries."""
    rig.endpoint.fail_with(answer, message)
    outcome = rig.exporter(signal).export(ITEMS[signal], RESOURCE)
    assert outcome.status is status
    assert message in (outcome.error or "")
    assert len(rig.receiver.requests) == 1


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_batch_over_the_limit_of_a_real_grpc_server_is_too_large(otlp_receiver: OtlpReceiver, signal: Signal) -> None:
    """The limit is gRPC's default, 4 MiB."""
    large: dict[Signal, Item] = {
        Signal.TRACES: replace(SPAN, attributes={"text": "x" * (5 << 20)}),
        Signal.LOGS: replace(EVENT, attributes={"text": "x" * (5 << 20)}),
    }
    outcome = Rig(otlp_receiver, GRPC).exporter(signal).export([large[signal]], RESOURCE)
    assert (outcome.status, otlp_receiver.requests) == (Status.TOO_LARGE, [])


def test_a_gateway_answer_of_http_413_to_a_grpc_request_means_too_large() -> None:
    """A proxy without gRPC answers only with a header frame (HTTP/2, RFC 9113 and 7541)."""
    settings = bytes.fromhex("000000 04 00 00000000")
    headers = bytes.fromhex("000005 01 05 00000001") + b"\x08\x03413"  # END_HEADERS, END_STREAM; `:status: 413`
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(settings)
                while b"/Export" not in connection.recv(65536):
                    pass
                connection.sendall(headers)
                while connection.recv(65536):  # until the client closes the connection
                    pass

        answered = pool.submit(answer)
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        (exporter,) = exporters(environment, Signal.TRACES)
        outcome = exporter.export([SPAN], RESOURCE)
        exporter.shutdown()
        answered.result(10)
    assert outcome.status is Status.TOO_LARGE, outcome


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_partial_success_says_how_many_items_were_rejected(rig: Rig, signal: Signal) -> None:
    rig.endpoint.reject(2, "2 without a name")
    outcome = rig.exporter(signal).export(ITEMS[signal] * 3, RESOURCE)
    assert (outcome.status, outcome.rejected, outcome.error) == (Status.ACCEPTED, 2, "2 without a name")
    rig.endpoint.answer_normally()
    outcome = rig.exporter(signal).export(ITEMS[signal], RESOURCE)
    assert (outcome.status, outcome.rejected, outcome.error) == (Status.ACCEPTED, 0, None)


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_endpoint_without_a_server_is_unavailable(rig: Rig, signal: Signal) -> None:
    rig.endpoint.go_away()
    outcome = rig.exporter(signal, OTEL_EXPORTER_OTLP_TIMEOUT="300").export(ITEMS[signal], RESOURCE)
    assert outcome.status is Status.UNAVAILABLE
    assert outcome.error


@pytest.mark.parametrize("signal", SIGNALS)
def test_shutdown_ends_an_export_without_an_answer(rig: Rig, signal: Signal) -> None:
    rig.endpoint.hang()
    exporter = rig.exporter(signal, OTEL_EXPORTER_OTLP_TIMEOUT="60000")
    with ThreadPoolExecutor(1) as pool:
        exporting = pool.submit(exporter.export, ITEMS[signal], RESOURCE)
        rig.receiver.wait_for(lambda it: it.requests)
        exporter.shutdown()
        assert exporting.result(30).status is Status.UNAVAILABLE
    assert exporter.export(ITEMS[signal], RESOURCE).status is Status.UNAVAILABLE
    assert len(rig.receiver.requests) == 1


@pytest.mark.parametrize("protocol", [GRPC, HTTP])
def test_shutdown_ends_an_export_without_a_connection(protocol: str) -> None:
    """The server never answers the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{listener.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "60000",
        }
        (exporter,) = exporters(environment, Signal.TRACES)
        exporting = pool.submit(exporter.export, [SPAN], RESOURCE)
        connection, _ = listener.accept()
        with connection:
            exporter.shutdown()
            assert exporting.result(30).status is Status.UNAVAILABLE


def test_an_item_that_cannot_be_encoded_is_refused(rig: Rig) -> None:
    outcome = rig.exporter(Signal.TRACES).export([replace(SPAN, start_ns=-1)], RESOURCE)
    assert outcome.status is Status.REFUSED
    assert rig.receiver.requests == []


def test_no_message_has_a_secret(rig: Rig) -> None:
    rig.endpoint.fail_with(
        500 if rig.protocol != "grpc" else grpc.StatusCode.INTERNAL, "you sent Bearer hunter2-hunter2"
    )
    exporter = rig.exporter(Signal.TRACES, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20hunter2-hunter2")
    outcome = exporter.export([SPAN], RESOURCE)
    assert "hunter2" not in f"{outcome.error} {exporter.describe()}"


# -- the choice of exporters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "names", "requested"),
    [
        ({}, [], []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, ["otlp"], [False]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, ["otlp"], [True]),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://localhost:4318/v1/logs"}, [], []),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ["otlp"], [True]),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ["console", "otlp"], [True, True]),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, [], []),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, [], []),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, [], []),
    ],
)
def test_the_variables_name_the_exporters(variables: dict[str, str], names: list[str], requested: list[bool]) -> None:
    found = exporters(variables, Signal.TRACES, io.StringIO())
    assert [exporter.name for exporter in found] == names
    assert [exporter.is_requested for exporter in found] == requested
    for exporter in found:
        exporter.shutdown()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_LOGS_EXPORTER": "zipkin"}, "OTEL_LOGS_EXPORTER=zipkin: zipkin is not known; use otlp, console, none"),
        ({"OTEL_LOGS_EXPORTER": "none,otlp"}, "use none alone, or the others without it"),
        ({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/json"}, "http/json is not supported"),
    ],
)
def test_an_invalid_setting_is_an_error_that_says_what_to_do(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        exporters(variables, Signal.LOGS)
    assert said in str(error.value)


@pytest.mark.parametrize(("signal", "key"), [(Signal.TRACES, "name"), (Signal.LOGS, "event_name")])
def test_the_console_exporter_writes_a_json_document_a_line(signal: Signal, key: str) -> None:
    stream = io.StringIO()
    variables = {f"OTEL_{signal.upper()}_EXPORTER": "console"}
    (exporter,) = exporters(variables, signal, stream)
    assert exporter.export(ITEMS[signal] * 2, RESOURCE).status is Status.ACCEPTED
    lines = stream.getvalue().splitlines()
    assert [json.loads(line)[key] for line in lines] == [ITEMS[signal][0].name] * 2
