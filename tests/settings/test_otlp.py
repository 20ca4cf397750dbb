"""The OTLP variables of a signal have the same effect as in OpenTelemetry's own exporters."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers

from claude_hooks_otel.settings import ConfigError, OtlpSettings, Signal
from claude_hooks_otel.settings.otlp import read_otlp

GRPC, HTTP = "grpc", "http/protobuf"
SIGNALS = pytest.mark.parametrize("signal", Signal)
PROTOCOLS = pytest.mark.parametrize("protocol", [GRPC, HTTP])
STOCK = {
    Signal.METRICS: ("metric_exporter", "OTLPMetricExporter"),
    Signal.TRACES: ("trace_exporter", "OTLPSpanExporter"),
    Signal.LOGS: ("_log_exporter", "OTLPLogExporter"),
}


def stock_exporter(protocol: str, signal: Signal) -> Any:
    """Return OpenTelemetry's own exporter, which reads the environment."""
    module, name = STOCK[signal]
    package = f"opentelemetry.exporter.otlp.proto.{protocol.partition('/')[0]}"
    return getattr(importlib.import_module(f"{package}.{module}"), name)()


def named(variables: dict[str, str], signal: Signal) -> dict[str, str]:
    return {f"OTEL_EXPORTER_OTLP_{name.format(SIGNAL=signal.upper())}": value for name, value in variables.items()}


def read(signal: Signal = Signal.METRICS, **variables: str) -> OtlpSettings:
    return read_otlp(named(variables, signal), signal)


@SIGNALS
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENDPOINT": "http://h:4318"}, (HTTP, "http://h:4318/v1/{signal}", False)),
        ({"ENDPOINT": "https://h:4318/base"}, (HTTP, "https://h:4318/base/v1/{signal}", True)),
        ({"ENDPOINT": "http://h:4317"}, (GRPC, "h:4317", False)),
        ({"ENDPOINT": "http://h"}, (GRPC, "h", False)),
        ({"ENDPOINT": "http://h:4318", "PROTOCOL": "grpc"}, (GRPC, "h:4318", False)),
        ({"ENDPOINT": "http://h:4317", "PROTOCOL": "HTTP/Protobuf"}, (HTTP, "http://h:4317/v1/{signal}", False)),
        (
            {"PROTOCOL": "grpc", "{SIGNAL}_PROTOCOL": "http/protobuf"},
            (HTTP, "http://localhost:4318/v1/{signal}", False),
        ),
        ({"PROTOCOL": "grpc"}, (GRPC, "localhost:4317", False)),
        ({}, (GRPC, "localhost:4317", False)),
        ({"ENDPOINT": "http://a:4317", "{SIGNAL}_ENDPOINT": "http://b:4318/x"}, (HTTP, "http://b:4318/x", False)),
        ({"ENDPOINT": "http://a:4317", "{SIGNAL}_ENDPOINT": "https://b"}, (GRPC, "b", True)),
        ({"ENDPOINT": "localhost:4317"}, (GRPC, "localhost:4317", True)),
        ({"ENDPOINT": "localhost:4317", "INSECURE": "true"}, (GRPC, "localhost:4317", False)),
        ({"ENDPOINT": "localhost:4317", "INSECURE": "false"}, (GRPC, "localhost:4317", True)),
        ({"ENDPOINT": "localhost:4317", "{SIGNAL}_INSECURE": "True"}, (GRPC, "localhost:4317", False)),
        ({"ENDPOINT": "https://h:4317", "INSECURE": "true"}, (GRPC, "h:4317", True)),
        ({"ENDPOINT": "http://h:4317", "INSECURE": "false"}, (GRPC, "h:4317", True)),
        ({"ENDPOINT": "unix:///run/otel.sock", "INSECURE": "true"}, (GRPC, "unix:///run/otel.sock", False)),
    ],
)
def test_protocol_target_and_tls_equal_those_of_opentelemetrys_exporter(
    variables: dict[str, str], expected: tuple[str, str, bool], signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, endpoint, secure = expected
    settings = read_otlp(named(variables, signal), signal)
    assert (settings.protocol, settings.endpoint, settings.secure) == (protocol, endpoint.format(signal=signal), secure)
    for name, value in named(variables, signal).items():
        monkeypatch.setenv(name, value)
    stock = stock_exporter(protocol, signal)
    assert stock._endpoint == settings.endpoint
    if protocol == GRPC:
        assert stock._insecure is not settings.secure
    stock.shutdown()


@PROTOCOLS
@pytest.mark.parametrize(
    ("text", "seconds", "warned"),
    [
        ("", 10.0, False),
        ("5000", 5.0, False),
        ("0", (2**31 - 1) / 1000, False),
        ("-1", 10.0, True),
        ("1.5", 10.0, True),
        ("soon", 10.0, True),
        ("10", 0.01, True),
    ],
)
def test_timeouts_are_milliseconds(protocol: str, text: str, seconds: float, warned: bool) -> None:
    settings = read(PROTOCOL=protocol, TIMEOUT=text)
    assert settings.timeout_s == seconds
    assert [warning.startswith(f"OTEL_EXPORTER_OTLP_TIMEOUT={text}") for warning in settings.warnings] == [
        True
    ] * warned


@PROTOCOLS
@SIGNALS
def test_a_warning_names_the_variable_to_correct(protocol: str, signal: Signal) -> None:
    for name in ("TIMEOUT", "{SIGNAL}_TIMEOUT", "{SIGNAL}_COMPRESSION"):
        [warning] = read(signal, PROTOCOL=protocol, **{name: "soon"}).warnings
        assert warning.startswith(f"OTEL_EXPORTER_OTLP_{name.format(SIGNAL=signal.upper())}=soon")
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}"
    with pytest.raises(ConfigError, match=f"^{own}_PROTOCOL=smoke"):
        read(signal, PROTOCOL=protocol, **{"{SIGNAL}_PROTOCOL": "smoke"})
    bad = "http://[::1" if protocol == GRPC else "localhost:4318"
    with pytest.raises(ConfigError, match=f"set {own}_ENDPOINT"):
        read(signal, PROTOCOL=protocol, **{"{SIGNAL}_ENDPOINT": bad})


def test_each_protocol_has_its_own_compressions() -> None:
    assert read(PROTOCOL=GRPC, COMPRESSION=" GZIP ").compression == "gzip"
    assert read(PROTOCOL=HTTP, COMPRESSION="deflate").compression == "deflate"
    settings = read(PROTOCOL=GRPC, COMPRESSION="deflate")
    assert settings.compression == "none"
    assert settings.warnings == (
        "OTEL_EXPORTER_OTLP_COMPRESSION=deflate is not known for grpc (none, gzip): none is used",
    )


# Pieces of valid and invalid headers.
pieces = st.sampled_from(["a", "X-Y", "=", ",", " ", "\t", "%20", "%2C", "%", ";", '"', "\\", "é", "Bearer x", "\n"])


@given(text=st.lists(pieces, max_size=12).map("".join))
@example("authorization=Bearer%20x,x-tenant=red team,note=100%,broken,=x,a=b=c")
def test_headers_equal_those_of_opentelemetrys_exporters(text: str) -> None:
    settings = read(HEADERS=text)
    assert settings.headers == parse_env_headers(text.strip(), liberal=True)


def test_a_warning_names_a_header_that_is_not_sent_without_its_value() -> None:
    settings = read(HEADERS="a=1,,secret;value", METRICS_CERTIFICATE="/c.pem")
    assert settings.warnings == ("OTEL_EXPORTER_OTLP_HEADERS: entry 2 is not of the form name=value and is not sent",)
    assert settings.certificate == "/c.pem"


@SIGNALS
def test_certificate_files_of_a_signal_win_over_general_ones(signal: Signal) -> None:
    settings = read(
        signal, CERTIFICATE="/a", CLIENT_KEY="/b", CLIENT_CERTIFICATE="/c", **{"{SIGNAL}_CERTIFICATE": "/own"}
    )
    assert (settings.certificate, settings.client_key, settings.client_certificate) == ("/own", "/b", "/c")
    settings = read(signal)
    assert (settings.certificate, settings.client_key, settings.client_certificate) == (None, None, None)


@SIGNALS
@PROTOCOLS
def test_a_credential_provider_serves_one_protocol_and_that_of_a_signal_wins(protocol: str, signal: Signal) -> None:
    here, other = ("GRPC", "HTTP") if protocol == GRPC else ("HTTP", "GRPC")
    variables = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        f"OTEL_PYTHON_EXPORTER_OTLP_{other}_CREDENTIAL_PROVIDER": "other",
    }
    assert read_otlp(variables, signal).credential_provider is None
    variables[f"OTEL_PYTHON_EXPORTER_OTLP_{here}_CREDENTIAL_PROVIDER"] = "general"
    assert read_otlp(variables, signal).credential_provider == "general"
    variables[f"OTEL_PYTHON_EXPORTER_OTLP_{here}_{signal.upper()}_CREDENTIAL_PROVIDER"] = "own"
    assert read_otlp(variables, signal).credential_provider == "own"


@pytest.mark.parametrize(
    ("preference", "temporality", "warned"),
    [
        ("", "cumulative", False),
        ("cumulative", "cumulative", False),
        ("Delta", "delta", False),
        ("LOWMEMORY", "delta", False),
        ("sideways", "cumulative", True),
    ],
)
def test_the_temporality_follows_the_preference(preference: str, temporality: str, warned: bool) -> None:
    settings = read(METRICS_TEMPORALITY_PREFERENCE=preference)
    assert settings.temporality == temporality
    assert ["TEMPORALITY_PREFERENCE=sideways is not known" in warning for warning in settings.warnings] == [
        True
    ] * warned


def test_a_warning_says_that_exponential_histograms_are_not_supported() -> None:
    assert read(METRICS_DEFAULT_HISTOGRAM_AGGREGATION="explicit_bucket_histogram").warnings == ()
    assert read(METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram").warnings == (
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION is ignored: series keep explicit buckets",
    )
