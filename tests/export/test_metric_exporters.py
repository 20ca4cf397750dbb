"""Metric exporters send to a real receiver, over both protocols. The receiver answers, fails, hangs and goes away."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import grpc
import pytest
import requests
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData

from claude_hooks_otel import __version__
from claude_hooks_otel.export.exporters import MetricExporter, build_metric_exporters
from claude_hooks_otel.export.metrics import metrics_data
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import ConfigError, OtelSettings
from claude_hooks_otel.settings.redaction import MASK
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.support.otlp_receiver import OtlpReceiver, Tls, self_signed_certificate

GRPC, HTTP = "grpc", "http/protobuf"
PROTOCOLS = pytest.mark.parametrize("protocol", [GRPC, HTTP])

CALLS = Metric("claude.tool.calls", "{call}", Kind.COUNTER, "Tool calls.")
COST = Metric("claude.api.cost.usd", "{USD}", Kind.COUNTER, "Cost.", scale=DOLLAR)
USAGE = Metric("claude.context.usage", "%", Kind.GAUGE, "Context in use.")
DURATION = Metric("claude.session.duration", "s", Kind.HISTOGRAM, "Time.", scale=SECOND, buckets=(1.0, 60.0))
LABELS = (("agent", "backend"), ("project", "shop"))
START, NOW = 1_700_000_000_000_000_000, 1_700_000_060_000_000_000
SECRET = "tok-3cr3t-value"


def sample(calls: int = 41, environment: dict[str, str] | None = None) -> MetricsData:
    points = [
        SeriesPoint(CALLS, LABELS, START, calls),
        SeriesPoint(COST, LABELS, START + 1, 1_234_567_890_123),
        SeriesPoint(USAGE, LABELS, START + 2, 12),
        SeriesPoint(DURATION, LABELS, START + 3, 61_500_000_000, (1, 0, 2)),
    ]
    return metrics_data(points, service_resource(OtelSettings.from_variables(environment or {}), "instance-1"), NOW)


def exporters(variables: dict[str, str], console: TextIO | None = None) -> list[MetricExporter]:
    return build_metric_exporters(OtelSettings.from_variables(variables), console)


@dataclass
class Rig:
    """Exporters to a receiver. They are closed at the end."""

    receiver: OtlpReceiver
    protocol: str
    cleanup: ExitStack = field(repr=False)

    @property
    def endpoint(self) -> Any:
        return self.receiver.grpc if self.protocol == GRPC else self.receiver.http

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
        } | {f"OTEL_{name}": value for name, value in variables.items()}

    def exporter(self, **variables: str) -> MetricExporter:
        [exporter] = exporters(self.environment(**variables))
        self.cleanup.callback(exporter.shutdown)
        return exporter


@pytest.fixture
def rig(otlp_receiver: OtlpReceiver) -> Iterator[Callable[..., Rig]]:
    with ExitStack() as cleanup:
        yield lambda protocol, receiver=otlp_receiver: Rig(receiver, protocol, cleanup)


# --- exported data ---


@PROTOCOLS
def test_names_units_values_times_and_resource_arrive_unchanged(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    outcome = here.exporter().export(
        sample(environment={"OTEL_SERVICE_NAME": "mine", "OTEL_RESOURCE_ATTRIBUTES": "team=red"})
    )
    assert (outcome.ok, outcome.error, outcome.rejected) == (True, None, 0)
    calls, cost, usage, duration = here.receiver.metrics
    assert (calls.name, calls.unit, calls.kind, calls.monotonic) == ("claude.tool.calls", "{call}", "sum", True)
    assert (calls.value, calls.start_ns, calls.time_ns, calls.temporality) == (41, START, NOW, "cumulative")
    assert calls.attributes == dict(LABELS)
    assert (cost.value, cost.start_ns) == (1.234567890123, START + 1)
    assert (usage.kind, usage.value) == ("gauge", 12)
    assert (duration.value, duration.bucket_counts, duration.start_ns) == ((3, 61.5), (1, 0, 2), START + 3)
    assert not duration.has_extremes
    resource = {key: value for key, value in calls.resource.items() if not key.startswith("telemetry.sdk.")}
    assert resource == {
        "service.name": "mine",
        "service.version": __version__,
        "service.instance.id": "instance-1",
        "team": "red",
    }
    assert here.receiver.latest_totals()["claude.tool.calls", frozenset(LABELS)] == 41
    assert [request.protocol for request in here.receiver.requests] == [protocol.partition("/")[0]]


@PROTOCOLS
def test_a_second_export_replaces_the_total(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    exporter = here.exporter()
    assert exporter.export(sample(41)).ok
    assert exporter.export(sample(42)).ok
    assert here.receiver.latest_totals()["claude.tool.calls", frozenset(LABELS)] == 42
    assert len(here.receiver.raw_bodies) == 2


@PROTOCOLS
def test_headers_are_decoded_and_metrics_headers_win(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    general = here.exporter(EXPORTER_OTLP_HEADERS="X-Tenant=one,note=a%20b")
    specific = here.exporter(EXPORTER_OTLP_HEADERS="x-tenant=one", EXPORTER_OTLP_METRICS_HEADERS="x-tenant=two")
    assert general.export(sample()).ok
    assert specific.export(sample()).ok
    first, second = here.receiver.requests
    assert (first.headers["x-tenant"], first.headers["note"]) == ("one", "a b")
    assert second.headers["x-tenant"] == "two"
    assert first.headers["user-agent"].startswith("OTel-OTLP-Exporter-Python/")


class ByteCounter:
    """A relay that counts the bytes from clients, which show whether gRPC compresses."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with self._listener:
            client, _ = self._listener.accept()
        server = socket.create_connection(self._target)
        back = threading.Thread(target=self._copy, args=(server, client, False))
        back.start()
        self._copy(client, server, True)
        back.join()
        client.close()
        server.close()

    def _copy(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):  # either side may close the connection
            while data := source.recv(65536):
                self.count += len(data) if counted else 0
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def join(self) -> None:
        self._thread.join()


@pytest.mark.parametrize(
    ("protocol", "compression", "smaller"),
    [(GRPC, "gzip", True), (GRPC, "none", False), (HTTP, "gzip", True), (HTTP, "deflate", True), (HTTP, "none", False)],
)
def test_compression_reduces_the_bytes_of_a_request(
    rig: Callable[..., Rig], protocol: str, compression: str, smaller: bool
) -> None:
    here = rig(protocol)
    relay = ByteCounter(here.endpoint.port)
    exporter = here.exporter(
        EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{relay.port}",
        EXPORTER_OTLP_COMPRESSION="gzip",
        EXPORTER_OTLP_METRICS_COMPRESSION=compression,
    )
    points = [SeriesPoint(CALLS, (("agent", f"agent-{number}"),), START, number) for number in range(300)]
    assert exporter.export(metrics_data(points, service_resource(OtelSettings.from_variables({}), "i"), NOW)).ok
    exporter.shutdown()
    relay.join()
    [request] = here.receiver.requests
    assert len(here.receiver.metrics) == 300
    assert (relay.count < len(request.body) / 2) is smaller
    if protocol == HTTP:
        assert request.encoding == ("" if compression == "none" else compression)


def test_the_http_endpoint_gets_a_path_and_the_metrics_endpoint_is_used_unchanged(rig: Callable[..., Rig]) -> None:
    here = rig(HTTP)
    assert here.exporter(EXPORTER_OTLP_ENDPOINT=f"{here.endpoint.url}/prefix/").export(sample()).ok
    outcome = here.exporter(EXPORTER_OTLP_METRICS_ENDPOINT=f"{here.endpoint.url}/elsewhere").export(sample())
    assert not outcome.ok
    assert outcome.error == "HTTP 404 Not Found: no such path"


# --- TLS and credentials ---

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return self_signed_certificate(tmp_path_factory.mktemp("tls"))


@needs_openssl
@PROTOCOLS
def test_export_works_with_a_private_authority_and_a_bearer_token(
    rig: Callable[..., Rig], protocol: str, certificate: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "REQUESTS_CA_BUNDLE", requests.certs.where()
    )  # many companies set it; OpenTelemetry's variable wins
    with OtlpReceiver(tls=certificate, bearer=SECRET) as receiver:
        here = rig(protocol, receiver)
        trusted = {"EXPORTER_OTLP_CERTIFICATE": str(certificate.certificate)}
        exporter = here.exporter(**trusted, EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{SECRET}")
        assert exporter.export(sample()).ok
        assert len(receiver.metrics) == 4

        refused = here.exporter(**trusted, EXPORTER_OTLP_HEADERS="authorization=Bearer%20wrong-token").export(sample())
        assert not refused.ok
        assert "missing or wrong bearer token" in refused.error
        assert "wrong-token" not in refused.error

        untrusting = here.exporter(EXPORTER_OTLP_TIMEOUT="400").export(sample())
        assert not untrusting.ok
        assert untrusting.error
        exporter.shutdown()


@needs_openssl
@PROTOCOLS
def test_export_works_with_a_client_certificate(
    rig: Callable[..., Rig], protocol: str, certificate: Tls, tmp_path: Path
) -> None:
    client = self_signed_certificate(tmp_path, "client")
    server = Tls(certificate.certificate, certificate.key, client_authority=client.certificate)
    with OtlpReceiver(tls=server) as receiver:
        here = rig(protocol, receiver)
        trusted = {"EXPORTER_OTLP_CERTIFICATE": str(certificate.certificate)}
        shown = {
            "EXPORTER_OTLP_CLIENT_CERTIFICATE": str(client.certificate),
            "EXPORTER_OTLP_CLIENT_KEY": str(client.key),
        }
        exporter = here.exporter(**trusted, **shown)
        assert exporter.export(sample()).ok
        assert not here.exporter(**trusted, EXPORTER_OTLP_TIMEOUT="400").export(sample()).ok
        exporter.shutdown()


@needs_openssl
@PROTOCOLS
def test_a_client_certificate_needs_no_private_authority(protocol: str, certificate: Tls, tmp_path: Path) -> None:
    """The test has its own process, because gRPC reads the machine's authorities only once."""
    client = self_signed_certificate(tmp_path, "client")
    server = Tls(certificate.certificate, certificate.key, client_authority=client.certificate)
    code = (
        "import json, sys\n"
        "from claude_hooks_otel.export.exporters import build_metric_exporters\n"
        "from claude_hooks_otel.settings import OtelSettings\n"
        "[exporter] = build_metric_exporters(OtelSettings.from_variables(json.loads(sys.argv[1])))\n"
        "print(exporter.probe())\n"
    )
    machine = {
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate.certificate),
        "REQUESTS_CA_BUNDLE": str(certificate.certificate),
    }
    with OtlpReceiver(tls=server) as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": (receiver.grpc if protocol == GRPC else receiver.http).url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(client.certificate),
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY": str(client.key),
        }
        command = [sys.executable, "-c", code, json.dumps(environment)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | machine)
        assert done.stdout.startswith("Outcome(status=<Status.ACCEPTED: 1>, error=None")
        assert len(receiver.messages("metrics")) == 1


@PROTOCOLS
def test_a_missing_certificate_is_named(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    wanted = {
        "EXPORTER_OTLP_ENDPOINT": here.endpoint.url.replace("http:", "https:"),
        "EXPORTER_OTLP_CERTIFICATE": "/no/ca.pem",
    }
    if protocol == GRPC:
        with pytest.raises(ConfigError, match=r"/no/ca\.pem"):
            here.exporter(**wanted)
    else:
        outcome = here.exporter(**wanted).export(sample())
        assert not outcome.ok
        assert "/no/ca.pem" in outcome.error


# --- failures ---


@PROTOCOLS
def test_an_export_fails_while_the_receiver_is_away_and_succeeds_afterwards(
    rig: Callable[..., Rig], protocol: str
) -> None:
    here = rig(protocol)
    exporter = here.exporter(EXPORTER_OTLP_TIMEOUT="500")
    assert exporter.export(sample()).ok
    here.endpoint.go_away()
    outcome = exporter.export(sample())
    assert not outcome.ok
    assert outcome.error
    here.endpoint.come_back()
    retrying = here.exporter(EXPORTER_OTLP_TIMEOUT="10000")
    assert retrying.export(sample(43)).ok
    assert here.receiver.latest_totals()["claude.tool.calls", frozenset(LABELS)] == 43


@PROTOCOLS
def test_a_refused_connection_is_the_reported_reason(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    exporter = here.exporter(EXPORTER_OTLP_TIMEOUT="500")
    here.endpoint.go_away()
    outcome = exporter.export(sample())
    assert not outcome.ok
    assert "Connection refused" in outcome.error


@pytest.mark.parametrize(
    ("protocol", "status", "expected"),
    [
        (HTTP, 500, "HTTP 500 Internal Server Error: out of order"),
        (HTTP, 400, "HTTP 400 Bad Request: out of order"),
        (GRPC, grpc.StatusCode.INTERNAL, "gRPC INTERNAL: out of order"),
        (GRPC, grpc.StatusCode.INVALID_ARGUMENT, "gRPC INVALID_ARGUMENT: out of order"),
    ],
)
def test_a_refusal_is_reported_with_the_receivers_message(
    rig: Callable[..., Rig], protocol: str, status: Any, expected: str
) -> None:
    here = rig(protocol)
    exporter = here.exporter()
    here.endpoint.fail_with(status, "out of order")
    for _ in range(2):
        outcome = exporter.export(sample())
        assert (outcome.ok, outcome.error) == (False, expected)
    assert len(here.receiver.requests) == 2
    assert here.receiver.metrics == []
    here.endpoint.answer_normally()
    assert exporter.export(sample()).ok


@pytest.mark.parametrize(("protocol", "status"), [(HTTP, 503), (GRPC, grpc.StatusCode.UNAVAILABLE)])
def test_an_export_retries_a_transient_failure(rig: Callable[..., Rig], protocol: str, status: Any) -> None:
    here = rig(protocol)
    exporter = here.exporter()
    here.endpoint.fail_with(status, "busy", times=1)
    outcome = exporter.export(sample())
    assert (outcome.ok, outcome.error) == (True, None)
    assert [request.accepted for request in here.receiver.requests] == [False, True]


def test_a_retry_after_beyond_the_timeout_ends_the_export(rig: Callable[..., Rig]) -> None:
    here = rig(HTTP)
    here.endpoint.fail_with(503, "back later", headers={"retry-after": "60"})
    outcome = here.exporter().export(sample())
    assert (outcome.ok, outcome.error) == (False, "HTTP 503 Service Unavailable: back later")
    assert len(here.receiver.requests) == 1


@PROTOCOLS
def test_an_export_to_a_hanging_receiver_ends_after_the_metrics_timeout(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    a_day = str(24 * 3600 * 1000)  # with it, this test would not end
    exporter = here.exporter(EXPORTER_OTLP_TIMEOUT=a_day, EXPORTER_OTLP_METRICS_TIMEOUT="400")
    here.endpoint.hang()
    outcome = exporter.export(sample())
    assert not outcome.ok
    assert "timed out" in outcome.error or "DEADLINE_EXCEEDED" in outcome.error
    assert here.receiver.metrics == []


@PROTOCOLS
def test_a_partial_success_is_a_success_with_the_number_of_refused_points(
    rig: Callable[..., Rig], protocol: str
) -> None:
    here = rig(protocol)
    exporter = here.exporter()
    here.endpoint.reject(3, "points are too old")
    outcome = exporter.export(sample())
    assert (outcome.ok, outcome.rejected, outcome.error) == (True, 3, "points are too old")
    here.endpoint.answer_normally()
    outcome = exporter.export(sample())
    assert (outcome.ok, outcome.rejected, outcome.error) == (True, 0, None)


def test_a_redirect_is_a_failure(rig: Callable[..., Rig]) -> None:
    """A login page must not count as accepted: the data would be lost."""
    here = rig(HTTP)
    here.endpoint.fail_with(302, headers={"location": "https://login.example/?next=secret"})
    outcome = here.exporter().export(sample())
    assert not outcome.ok
    assert outcome.error == f"HTTP 302 Found: redirects are not followed (to https://login.example/?{MASK})"


@PROTOCOLS
def test_no_message_and_no_log_has_a_secret(
    rig: Callable[..., Rig], protocol: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    here = rig(protocol)
    exporter = here.exporter(
        EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{SECRET},no header at all", EXPORTER_OTLP_TIMEOUT="400"
    )
    status = grpc.StatusCode.PERMISSION_DENIED if protocol == GRPC else 403
    here.endpoint.fail_with(status, f"the token {SECRET} has expired")
    outcome = exporter.export(sample())
    assert MASK in outcome.error
    messages = [outcome.error, exporter.describe(), *exporter.warnings]
    here.endpoint.go_away()
    messages.append(exporter.export(sample()).error)
    assert any("is not of the form name=value" in text for text in messages)
    assert not [text for text in messages if SECRET in text or "no header" in text]
    assert SECRET not in caplog.text
    assert caplog.records == []
    captured = capfd.readouterr()
    assert SECRET not in captured.out + captured.err


@PROTOCOLS
def test_an_exception_in_an_exporter_is_a_failed_export(
    rig: Callable[..., Rig], protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = rig(protocol).exporter()

    def broken(*_: object) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr(exporter._sender, "send", broken)
    outcome = exporter.export(sample())
    assert (outcome.ok, outcome.error) == (False, "RuntimeError: defect")


@PROTOCOLS
def test_shutdown_ends_an_export_that_waits_for_a_retry(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    exporter = here.exporter(EXPORTER_OTLP_TIMEOUT="60000")
    here.endpoint.fail_with(503 if protocol == HTTP else grpc.StatusCode.UNAVAILABLE, "busy")
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(exporter.export(sample())))
    thread.start()
    here.receiver.wait_for(lambda receiver: len(receiver.requests) >= 2)
    exporter.shutdown()
    thread.join(30)
    assert [outcome.ok for outcome in outcomes] == [False]
    exporter.shutdown()  # a second call does no harm
    assert "already shut down" in exporter.export(sample()).error  # not the reason of the earlier export


@PROTOCOLS
def test_shutdown_ends_an_export_without_an_answer(rig: Callable[..., Rig], protocol: str) -> None:
    here = rig(protocol)
    exporter = here.exporter(EXPORTER_OTLP_TIMEOUT="60000")
    here.endpoint.hang()
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(exporter.export(sample())))
    thread.start()
    here.receiver.wait_for(lambda receiver: receiver.requests)
    exporter.shutdown()
    thread.join(30)
    assert [outcome.ok for outcome in outcomes] == [False]


# --- settings ---


def test_an_unusable_setting_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"zipkin is not known; use otlp, console, none"):
        exporters({"OTEL_METRICS_EXPORTER": "otlp,zipkin"})


@pytest.mark.parametrize(("preference", "temporality"), [("delta", "DELTA"), ("cumulative", "CUMULATIVE")])
@PROTOCOLS
def test_only_the_otlp_exporter_follows_the_temporality_preference(
    protocol: str, preference: str, temporality: str
) -> None:
    otlp, console = exporters(
        {
            "OTEL_METRICS_EXPORTER": "otlp,console",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": preference,
        }
    )
    assert otlp.temporality is AggregationTemporality[temporality]
    assert console.temporality is AggregationTemporality.CUMULATIVE
    otlp.shutdown()


@PROTOCOLS
def test_a_timeout_that_is_not_a_number_is_ignored_with_a_warning(rig: Callable[..., Rig], protocol: str) -> None:
    exporter = rig(protocol).exporter(EXPORTER_OTLP_METRICS_TIMEOUT="soon")
    assert "timeout 10 s" in exporter.describe()
    assert len(exporter.warnings) == 1


@PROTOCOLS
def test_a_timeout_may_be_unlimited(rig: Callable[..., Rig], protocol: str) -> None:
    exporter = rig(protocol).exporter(EXPORTER_OTLP_TIMEOUT="0")
    assert exporter.export(sample()).ok
    assert "no timeout" in exporter.describe()


@PROTOCOLS
def test_an_unknown_compression_is_ignored_with_a_warning(rig: Callable[..., Rig], protocol: str) -> None:
    exporter = rig(protocol).exporter(EXPORTER_OTLP_COMPRESSION="brotli")
    assert len(exporter.warnings) == 1
    assert "brotli is not known" in exporter.describe()
    assert exporter.export(sample()).ok


def test_describe_shows_the_settings_in_use_without_secrets() -> None:
    [exporter] = exporters(
        {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"https://user:{SECRET}@collector:4318/?key={SECRET}2",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {SECRET},x-tenant=red-team",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        }
    )
    assert exporter.describe() == (
        f"OTLP http/protobuf to https://{MASK}@collector:4318/?{MASK} with TLS, timeout 10 s, compression gzip, "
        "headers authorization x-tenant, delta"
    )
    exporter.shutdown()


@pytest.mark.parametrize(
    ("environment", "absent"),
    [
        ({}, ("grpc", "requests", "opentelemetry.exporter.otlp")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, ("requests",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ("grpc",)),
    ],
)
def test_only_the_chosen_protocol_is_imported(environment: dict[str, str], absent: tuple[str, ...]) -> None:
    """Each protocol takes 10 to 16 MiB of the daemon's memory."""
    code = (
        "import json, sys\n"
        "from claude_hooks_otel.export.exporters import build_metric_exporters\n"
        "from claude_hooks_otel.settings import OtelSettings\n"
        "build_metric_exporters(OtelSettings.from_variables(json.loads(sys.argv[1])))\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code, json.dumps(environment)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert set(absent) & set(json.loads(done.stdout)) == set()


# --- console ---


def test_the_console_exporter_writes_one_json_document_a_line() -> None:
    stream = io.StringIO()
    [exporter] = exporters({"OTEL_METRICS_EXPORTER": "console"}, stream)
    assert exporter.export(sample(41)).ok
    assert exporter.export(sample(42)).ok
    first, second = map(json.loads, stream.getvalue().splitlines())
    metrics = second["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    assert [metric["name"] for metric in metrics] == [metric.name for metric in (CALLS, COST, USAGE, DURATION)]
    assert metrics[0]["data"]["data_points"][0]["value"] == 42
    assert first["resource_metrics"][0]["resource"]["attributes"]["service.instance.id"] == "instance-1"


def test_a_closed_console_is_a_failed_export() -> None:
    stream = io.StringIO()
    [exporter] = exporters({"OTEL_METRICS_EXPORTER": "console"}, stream)
    stream.close()
    outcome = exporter.export(sample())
    assert not outcome.ok
    assert "closed file" in outcome.error
