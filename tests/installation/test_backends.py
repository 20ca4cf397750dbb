"""``install --backend`` fills in what a backend needs. The key comes from a file, a variable, a helper or the keyring."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.home_files import network_variables
from claude_hooks_otel.settings import Config, OtelSettings, Signal, load

Cli = Callable[..., Result]
KEY = "k3y-0123456789"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")) or network_variables({name: "x"}):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path / ".local" / "state" / "claude-hooks-otel")


def install(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(make_app(), ["install", *arguments])
    assert result.exit_code == code, (result.output, result.stderr, result.exception)
    return result


def settings(home: Home) -> OtelSettings:
    return OtelSettings.from_config(load(home.config, {}), {})


def config(home: Home) -> Config:
    return load(home.config, {})


def test_a_backend_fills_endpoint_protocol_temporality_and_header_names(home: Home, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    install("--backend", "dynatrace", "--set", "environment=abc123", "--key-from", f"file:{tmp_path / 'key'}")
    otlp = settings(home).signals[Signal.METRICS].otlp
    assert otlp is not None
    assert otlp.endpoint == "https://abc123.live.dynatrace.com/api/v2/otlp/v1/metrics"
    assert (otlp.protocol, otlp.temporality) == ("http/protobuf", "delta")
    assert KEY not in home.config.read_text()
    credentials = settings(home).credentials
    assert credentials is not None
    assert credentials.headers(5) == {"authorization": f"Api-Token {KEY}"}
    assert config(home).monitoring.backend == "dynatrace"


def test_a_key_from_a_variable_is_a_header_in_the_configuration_and_not_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_KEY", f"12345:{KEY}")
    result = install(
        "--backend", "grafana-cloud", "--set", "region=prod-eu-west-2", "--key-from", "variable:GRAFANA_KEY"
    )
    otlp = settings(home).signals[Signal.TRACES].otlp
    assert otlp is not None
    assert otlp.endpoint == "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces"
    assert otlp.headers == {"authorization": f"Basic {base64.b64encode(f'12345:{KEY}'.encode()).decode()}"}
    assert KEY not in result.output
    assert not config(home).credentials.is_set


def test_a_header_for_metrics_only_comes_with_the_key_and_the_common_headers(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K", KEY)
    values = ("--set", "host=api.eu1.honeycomb.io", "--set", "dataset=claude")
    install("--backend", "honeycomb", *values, "--key-from", "variable:K")
    headers = {signal: of.otlp.headers for signal, of in settings(home).signals.items() if of.otlp}
    assert headers[Signal.METRICS] == {"x-honeycomb-team": KEY, "x-honeycomb-dataset": "claude"}
    assert headers[Signal.TRACES] == headers[Signal.LOGS] == {"x-honeycomb-team": KEY}


def test_signals_that_a_backend_does_not_take_are_turned_off(home: Home) -> None:
    install("--backend", "langfuse", "--set", "host=cloud.langfuse.com", "--key-from", "helper:/opt/headers --langfuse")
    assert [signal for signal, of in settings(home).signals.items() if of.otlp] == [Signal.TRACES]
    assert config(home).credentials.headers_helper == "/opt/headers --langfuse"


def test_the_keyring_can_hold_the_key(home: Home) -> None:
    install("--backend", "signoz", "--set", "region=eu", "--key-from", "keyring:signoz/ann")
    credentials = config(home).credentials
    assert (credentials.keyring, credentials.header, credentials.value) == (
        "signoz/ann", "signoz-ingestion-key", "{token}",
    )  # fmt: skip


def test_resource_attributes_of_a_backend_join_those_that_are_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=shop,cloud.region=old")
    values = ("--set", "project=p-1", "--set", "location=europe-west1")
    install("--backend", "google-cloud", *values, "--key-from", "helper:/opt/google-headers")
    assert dict(settings(home).resource_attributes) == {
        "team": "shop", "gcp.project_id": "p-1", "cloud.region": "europe-west1",
    }  # fmt: skip


def test_an_option_wins_over_the_backend(home: Home) -> None:
    install("--backend", "signoz", "--set", "region=eu", "--key-from", "keyring:a/b", "--protocol", "grpc")
    otlp = settings(home).signals[Signal.METRICS].otlp
    assert otlp is not None
    assert (otlp.protocol, otlp.endpoint, otlp.secure) == ("grpc", "ingest.eu.signoz.cloud:443", True)


def test_headers_of_the_shell_can_hold_the_key(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"Authorization=Bearer%20{KEY}")
    install("--backend", "dash0", "--set", "region=eu-west-1.aws", "--set", "dataset=default")
    otlp = settings(home).signals[Signal.LOGS].otlp
    assert otlp is not None
    assert otlp.headers == {"dash0-dataset": "default", "authorization": f"Bearer {KEY}"}


def test_a_key_source_works_for_an_endpoint_that_is_no_backend(home: Home) -> None:
    install("--endpoint", "https://collector.example.com", "--key-from", "file:~/token")
    credentials = config(home).credentials
    assert credentials.token_file == str(Path("~/token").expanduser())
    assert (credentials.header, credentials.value) == ("Authorization", "Bearer {token}")


def test_credentials_of_the_previous_endpoint_are_left_out(home: Home) -> None:
    install("--backend", "signoz", "--set", "region=eu", "--key-from", "keyring:a/b")
    result = install("--endpoint", "https://other.example.com")
    assert "[credentials] belongs to the previous endpoint" in result.output
    assert not config(home).credentials.is_set
    assert config(home).monitoring.backend is None


def test_another_backend_replaces_everything_of_the_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    install("--backend", "datadog", "--set", "site=datadoghq.eu", "--key-from", "keyring:a/b")
    monkeypatch.setenv("K", KEY)
    install("--backend", "new-relic", "--set", "host=otlp.nr-data.net", "--key-from", "variable:K")
    for of in settings(home).signals.values():
        assert of.otlp is not None
        assert dict(of.otlp.headers) == {"api-key": KEY}
    assert not config(home).credentials.is_set


@pytest.mark.parametrize("later", [False, True], ids=["with the key", "after the key"])
def test_the_token_of_the_plugin_does_not_join_another_key(home: Home, *, later: bool) -> None:
    home.create()
    key = ("--backend", "signoz", "--set", "region=eu", "--key-from", "keyring:a/b")
    if later:
        install("--plugin", *key)
    home.plugin_token.write_text("plugin-token")
    install("--plugin", *(() if later else key))
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in config(home).otel


def test_a_terminal_is_asked_for_what_is_missing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_hooks_otel.cli.install._is_terminal", lambda: True)
    result = CliRunner().invoke(
        make_app(), ["install", "--backend", "new-relic"], input=f"otlp.eu01.nr-data.net\n{KEY}\n"
    )
    assert result.exit_code == 0, result.output
    assert "FedRAMP" in result.output
    assert KEY not in result.output
    otlp = settings(home).signals[Signal.METRICS].otlp
    assert otlp is not None
    assert (otlp.endpoint, dict(otlp.headers)) == ("https://otlp.eu01.nr-data.net/v1/metrics", {"api-key": KEY})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--backend", "nowhere"], "known are grafana-cloud, datadog"),
        (["--backend", "signoz", "--key-from", "keyring:a/b"], "needs a value for region. Its parameters: region: us, eu or in"),
        (["--backend", "signoz", "--set", "region=eu"], "Say where it is: --key-from file:PATH"),
        (["--backend", "signoz", "--set", "site=eu", "--key-from", "keyring:a/b"], "has no parameter site"),
        (["--backend", "signoz", "--set", "region=a/../b", "--key-from", "keyring:a/b"], "cannot be a part of an address"),
        (["--backend", "signoz", "--set", "region", "--key-from", "keyring:a/b"], "not of the form NAME=VALUE"),
        (["--backend", "signoz", "--set", "region=eu", "--key-from", "variable:UNSET"], "the variable UNSET is not set"),
        (["--backend", "signoz", "--set", "region=eu", "--key-from", "literal:k3y"], "use file:PATH"),
        (["--set", "region=eu"], "Name one with --backend"),
        (["--key-from", "helper:relative/helper"], "absolute path"),
    ],
)  # fmt: skip
def test_a_missing_or_wrong_value_is_named_and_nothing_is_written(
    home: Home, arguments: list[str], reason: str
) -> None:
    result = install(*arguments, code=1)
    assert reason in " ".join(result.stderr.split())
    assert not home.root.exists()
