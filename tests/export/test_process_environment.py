"""Exporters follow the settings. Unrelated variables of the process change nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from claude_hooks_otel.export import otlp
from claude_hooks_otel.export.exporters import Exporter, build_item_exporters, build_metric_exporters
from claude_hooks_otel.export.outcome import Status
from claude_hooks_otel.settings import ConfigError, OtelSettings, Signal
from tests.support.otlp_receiver import OtlpReceiver, Tls, self_signed_certificate

GRPC, HTTP = "grpc", "http/protobuf"
EVERY_EXPORTER = [
    pytest.param(protocol, signal, id=f"{protocol} {signal}") for protocol in (GRPC, HTTP) for signal in Signal
]
NOWHERE = "/no/such/file.pem"
UNRELATED = {
    "ENDPOINT": "http://127.0.0.1:9",
    "PROTOCOL": "smoke",
    "HEADERS": "x-unrelated=1,user-agent=unrelated,content-type=unrelated/unrelated,content-encoding=unrelated,no header at all",
    "TIMEOUT": "unrelated",
    "COMPRESSION": "gzip",
    "INSECURE": "unrelated",
    "CERTIFICATE": NOWHERE,
    "CLIENT_KEY": NOWHERE,
    "CLIENT_CERTIFICATE": NOWHERE,
}
UNRELATED_FOR_METRICS = {
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "unrelated",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "unrelated",
}
UNRELATED_IN_PYTHON = {
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true",
    "OTEL_PYTHON_METER_PROVIDER": "unrelated",
    "OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES": "unrelated",
    "OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER": "unrelated",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "unrelated",
}
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture
def unrelated_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set variables of every kind, for all signals and for each one."""
    for name, value in UNRELATED.items():
        for signal in ("", *(f"{signal.upper()}_" for signal in Signal)):
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}{name}", value)
    for name, value in (UNRELATED_FOR_METRICS | UNRELATED_IN_PYTHON).items():
        monkeypatch.setenv(name, value)


@contextmanager
def exporter(receiver: OtlpReceiver, protocol: str, signal: Signal, **variables: str) -> Iterator[Exporter]:
    otel = OtelSettings.from_variables(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint if protocol == GRPC else receiver.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
            **variables,
        }
    )
    [built] = build_metric_exporters(otel) if signal is Signal.METRICS else build_item_exporters(otel, signal)
    try:
        yield built
    finally:
        built.shutdown()


@pytest.mark.parametrize(("protocol", "signal"), EVERY_EXPORTER)
def test_unrelated_variables_change_no_request(
    otlp_receiver: OtlpReceiver, protocol: str, signal: Signal, request: pytest.FixtureRequest
) -> None:
    for prepare in (lambda: None, lambda: request.getfixturevalue("unrelated_variables")):
        prepare()
        before = dict(os.environ)
        with exporter(otlp_receiver, protocol, signal, OTEL_EXPORTER_OTLP_HEADERS="x-mine=1") as built:
            assert built.probe().status is Status.ACCEPTED
            assert built.warnings == ()
        assert dict(os.environ) == before
    usual, with_stray = otlp_receiver.requests
    assert with_stray.headers == usual.headers
    assert with_stray.headers["x-mine"] == "1"
    assert (with_stray.encoding, with_stray.body) == (usual.encoding, usual.body)


@pytest.mark.usefixtures("unrelated_variables")
@pytest.mark.parametrize(("protocol", "signal"), EVERY_EXPORTER)
def test_without_headers_in_the_settings_a_request_has_no_unrelated_header(
    otlp_receiver: OtlpReceiver, protocol: str, signal: Signal
) -> None:
    with exporter(otlp_receiver, protocol, signal) as built:
        assert built.probe().ok
    [received] = otlp_receiver.requests
    assert "unrelated" not in str(received.headers)
    assert received.headers["user-agent"].startswith("OTel-OTLP-Exporter-Python/")


@needs_openssl
@pytest.mark.parametrize(("protocol", "signal"), EVERY_EXPORTER)
def test_only_certificates_of_the_settings_are_used(
    tmp_path: Path, protocol: str, signal: Signal, request: pytest.FixtureRequest
) -> None:
    server, client = self_signed_certificate(tmp_path), self_signed_certificate(tmp_path, "client")
    request.getfixturevalue("unrelated_variables")
    with OtlpReceiver(tls=Tls(server.certificate, server.key, client_authority=client.certificate)) as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(server.certificate),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(client.certificate),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(client.key),
        }
        with exporter(receiver, protocol, signal, **variables) as built:
            assert built.probe().ok


@needs_openssl
@pytest.mark.parametrize(("protocol", "signal"), EVERY_EXPORTER)
def test_an_authority_or_client_certificate_outside_the_settings_is_not_used(
    tmp_path: Path, protocol: str, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = self_signed_certificate(tmp_path), self_signed_certificate(tmp_path, "client")
    files = {"CERTIFICATE": server.certificate, "CLIENT_CERTIFICATE": client.certificate, "CLIENT_KEY": client.key}
    for name, path in files.items():
        for variable in (f"OTEL_EXPORTER_OTLP_{name}", f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"):
            monkeypatch.setenv(variable, str(path))
    with (
        OtlpReceiver(tls=server) as receiver,
        exporter(receiver, protocol, signal, OTEL_EXPORTER_OTLP_TIMEOUT="400") as built,
    ):
        assert not built.probe().ok
        assert receiver.requests == []
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(server.certificate), "OTEL_EXPORTER_OTLP_TIMEOUT": "400"}
    tls = Tls(server.certificate, server.key, client_authority=client.certificate)
    with OtlpReceiver(tls=tls) as receiver, exporter(receiver, protocol, signal, **trusted) as built:
        assert not built.probe().ok
        assert receiver.requests == []


# --- credential providers: OpenTelemetry's way to provide a session or the credentials of a channel ---


class _Session(requests.Session):
    """A session with a token, as a provider may make it."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = self._sign

    @staticmethod
    def _sign(request: Any) -> Any:
        request.headers["authorization"] = "Bearer provided"
        return request


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Credential providers by name. They look as if packages had registered them."""
    known: dict[str, Any] = {}

    class _Point(EntryPoint):
        def load(self) -> Any:
            return known[self.name]

    def entry_points(*, group: str, name: str) -> list[EntryPoint]:
        assert group == "opentelemetry_otlp_credential_provider"
        return [_Point(name, "", group)] if name in known else []

    monkeypatch.setattr(otlp, "entry_points", entry_points)
    return known


@pytest.mark.parametrize("signal", Signal)
def test_the_session_of_a_provider_sends_over_http(signal: Signal, providers: dict[str, Any]) -> None:
    providers["signed"] = _Session
    named = {"OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "signed"}
    with OtlpReceiver(bearer="provided") as receiver, exporter(receiver, HTTP, signal, **named) as built:
        assert built.probe().ok
        receiver.http.reject(1, "too old")  # the answers are read, too
        outcome = built.probe()
        assert (outcome.ok, outcome.error) == (True, "too old")


@needs_openssl
@pytest.mark.parametrize("signal", Signal)
def test_the_credentials_of_a_provider_are_used_over_grpc(
    signal: Signal, providers: dict[str, Any], tmp_path: Path
) -> None:
    server = self_signed_certificate(tmp_path)
    providers["trusting"] = lambda: grpc.ssl_channel_credentials(server.certificate.read_bytes())
    named = {f"OTEL_PYTHON_EXPORTER_OTLP_GRPC_{signal.upper()}_CREDENTIAL_PROVIDER": "trusting"}
    with OtlpReceiver(tls=server) as receiver, exporter(receiver, GRPC, signal, **named) as built:
        assert built.probe().ok


@pytest.mark.parametrize(
    ("protocol", "made", "message"),
    [
        (GRPC, "session", "the credential provider x makes a str, not a ChannelCredentials"),
        (HTTP, "session", "the credential provider x makes a str, not a Session"),
        (HTTP, None, "the OTLP exporter cannot be built: the credential provider x is not installed"),
    ],
)
def test_an_unusable_provider_is_an_error(
    otlp_receiver: OtlpReceiver, protocol: str, made: str | None, message: str, providers: dict[str, Any]
) -> None:
    if made is not None:
        providers["x"] = lambda: made
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:1"}
    named = {f"OTEL_PYTHON_EXPORTER_OTLP_{protocol[:4].upper()}_CREDENTIAL_PROVIDER": "x"}
    with (
        pytest.raises(ConfigError, match=message),
        exporter(otlp_receiver, protocol, Signal.METRICS, **named, **endpoint),
    ):
        pass
