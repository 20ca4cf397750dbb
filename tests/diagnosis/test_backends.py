"""``doctor`` explains the typical errors of backends. Servers on loopback answer as the backends' documentation says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.delivery.exporter_state import ExporterState, configure
from claude_hooks_otel.diagnosis import export
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config, Signal, save
from claude_hooks_otel.settings.backends import TEMPORALITY, backends
from tests.support.otlp_receiver import OtlpReceiver

# backend, status of HTTP or gRPC, body, a part of the remedy. The bodies are those that the documentation shows; other answers have none.
ANSWERS: list[tuple[str, Any, str, str]] = [
    ("grafana-cloud", 401, '{"status":"error","error":"authentication error: invalid token"}', "INSTANCE_ID:TOKEN"),
    ("grafana-cloud", 403, "", "a write scope for this signal"),
    ("grafana-cloud", 404, "", "the endpoint ends with /otlp"),
    ("grafana-cloud", 400, 'invalid temporality and type combination for metric "x"', "PREFERENCE to cumulative"),
    ("datadog", 403, "", "another Datadog site"),
    ("datadog", 413, "", "COMPRESSION to gzip"),
    ("honeycomb", 401, '{ "error": "unknown API key - check your credentials" }', "the other region"),
    ("honeycomb", 403, "", "permission to send events"),
    ("honeycomb", grpc.StatusCode.UNAUTHENTICATED, "missing header", "api.eu1.honeycomb.io is EU"),
    ("new-relic", 403, "", "the endpoint of the account's region"),
    ("new-relic", grpc.StatusCode.PERMISSION_DENIED, "", "license key"),
    ("new-relic", 404, "", "has no path"),
    ("dynatrace", 401, "", "Authorization: Api-Token TOKEN"),
    ("dynatrace", 403, '{"error":{"code":403,"message":"Token is missing required scope."}}', "metrics.ingest"),
    (
        "dynatrace",
        400,
        "Unsupported metric: 'my.cumulative.counter' - Reason: UNSUPPORTED_METRIC_TYPE_MONOTONIC_CUMULATIVE_SUM",
        "PREFERENCE to delta",
    ),
    ("signoz", 401, "", "belongs to another region"),
    ("signoz", grpc.StatusCode.UNAUTHENTICATED, "", "ingestion key"),
    ("dash0", 403, "", "needs the header Dash0-Dataset"),
    ("langfuse", 401, "", "PUBLIC_KEY:SECRET_KEY"),
    ("langfuse", 404, "", "OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER to none"),
    ("elastic", grpc.StatusCode.UNAUTHENTICATED, "ApiKey prefix not found", "Authorization: ApiKey KEY"),
    ("elastic", 401, "", "does not accept the API key"),
    ("azure-monitor", 401, "", "Entra token"),
    ("azure-monitor", 403, "", "Monitoring Metrics Publisher"),
    ("google-cloud", 401, '{"error": {"code": 401, "status": "UNAUTHENTICATED"}}', "headers helper"),
    ("google-cloud", grpc.StatusCode.PERMISSION_DENIED, "", "serviceUsageConsumer"),
]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as running:
        yield running


Look = Callable[..., list[Finding]]


@pytest.fixture
def look(tmp_path: Path, receiver: OtlpReceiver) -> Look:
    """Write a configuration for a backend whose endpoint is the receiver, and return what the check of the endpoints finds."""
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    home = Home.from_environment(environ)

    def run(backend: str | None, *, protocol: str = "http/protobuf", home: Home = home, **tables: Any) -> list[Finding]:
        home.create()
        url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        otel |= {TEMPORALITY: backends()[backend].temporality} if backend else {}
        otel |= tables.pop("otel", {})
        monitoring = {"backend": backend} if backend else {}
        save(home.config, Config(**tables).with_changes({"otel": otel, "monitoring": monitoring}))
        return list(export.endpoints(Surroundings(environ | {"CLAUDE_HOOKS_OTEL_HOME": str(home.root)}, tmp_path)))

    return run


def of(findings: list[Finding], signal: Signal) -> list[Finding]:
    return [finding for finding in findings if finding.step == f"export otlp {signal}"]


@pytest.mark.parametrize(("backend", "status", "body", "remedy"), ANSWERS)
def test_an_error_of_a_backend_is_explained(
    look: Look, receiver: OtlpReceiver, backend: str, status: Any, body: str, remedy: str
) -> None:
    protocol = "http/protobuf" if isinstance(status, int) else "grpc"
    (receiver.http if isinstance(status, int) else receiver.grpc).fail_with(status, body)
    signal = Signal.METRICS if Signal.METRICS in backends()[backend].signals else Signal.TRACES
    found = of(look(backend, protocol=protocol, otel={f"OTEL_{signal.upper()}_EXPORTER": "otlp"}), signal)[0]
    assert found.level is Level.FAIL
    assert remedy in found.remedy
    assert (str(status) if isinstance(status, int) else status.name) in found.observed


def test_every_backend_has_an_answer_here() -> None:
    assert {backend for backend, *_ in ANSWERS} == set(backends())


@pytest.mark.parametrize("backend", [name for name, backend in backends().items() if backend.needs_temporality])
def test_a_temporality_that_a_backend_does_not_take_is_found_without_an_error(look: Look, backend: str) -> None:
    accepted, mismatch = of(look(backend, otel={TEMPORALITY: "cumulative"}), Signal.METRICS)
    assert (accepted.level, mismatch.level) == (Level.OK, Level.FAIL)
    assert "takes only delta temporality" in mismatch.observed
    assert f'{TEMPORALITY} = "delta"' in mismatch.remedy


def test_a_signal_that_a_backend_does_not_take_is_found(look: Look) -> None:
    findings = look("langfuse")
    assert "takes no metrics" in of(findings, Signal.METRICS)[1].observed
    assert len(of(findings, Signal.TRACES)) == 1


def test_an_error_of_the_daemons_last_export_is_explained(look: Look, tmp_path: Path) -> None:
    home = Home.from_environment({"HOME": str(tmp_path)})
    home.create()
    core = assemble_core(home, Config())
    refused = "2 items rejected: UNSUPPORTED_METRIC_TYPE_MONOTONIC_CUMULATIVE_SUM"
    with core.store.transaction():
        configure(core.store.connection, [ExporterState(Signal.METRICS, "otlp", "OTLP", error=refused)])
    core.store.close()
    [found] = of(look("dynatrace"), Signal.METRICS)
    assert found.level is Level.WARN
    assert "PREFERENCE to delta" in found.remedy


def test_an_unknown_receiver_gets_the_usual_remedy(look: Look, receiver: OtlpReceiver) -> None:
    receiver.http.fail_with(401)
    assert "Is the receiver running" in of(look(None), Signal.METRICS)[0].remedy


def script(folder: Path, text: str) -> str:
    path = folder / "helper"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_a_helper_that_fails_is_named_with_the_table_to_correct(look: Look, tmp_path: Path) -> None:
    helper = script(tmp_path, "echo 3cr3t; exit 7")
    found = of(look("google-cloud", credentials={"headers_helper": helper}), Signal.LOGS)[0]
    assert found.level is Level.FAIL
    assert f"{helper}: exit code 7" in found.observed
    assert "under [credentials]" in found.remedy
    assert "3cr3t" not in f"{found}"


def test_a_helper_that_works_is_named_without_its_headers(look: Look, tmp_path: Path, receiver: OtlpReceiver) -> None:
    receiver.bearer = "3cr3t-token"
    helper = script(tmp_path, 'echo \'{"Authorization": "Bearer 3cr3t-token"}\'')
    [found] = of(look("google-cloud", credentials={"headers_helper": helper}), Signal.METRICS)
    assert found.level is Level.OK
    assert f"headers from the helper {helper}" in found.observed
    assert "3cr3t" not in f"{found}"


def test_a_home_that_no_install_recorded_runs_no_helper(look: Look, tmp_path: Path) -> None:
    """A cloned repository can bring a home, and name it in the settings of its sessions."""
    helper = script(tmp_path, f"echo > {tmp_path / 'marker'}; echo '{{}}'")
    planted = Home(tmp_path / "repository" / "home")
    findings = look(None, home=planted, credentials={"headers_helper": helper})
    assert not (tmp_path / "marker").exists()
    assert "[credentials] is left out" in findings[-1].observed
