"""The gateway of a team on a real Collector: TLS, a token, deltas of short-lived runners, remote write to a real Prometheus."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import requests
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub

from claude_hooks_otel.delivery.exporter_state import read_state
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.store.connection import connect
from monitoring import tokens
from monitoring.expressions import Series
from monitoring.rig import local
from monitoring.rig.local import HASTE, LOOPBACK
from monitoring.rig.stack import Stack
from monitoring.rig.stores import Stores
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.exported_replay import ExportedReplay
from tests.support.log_events import all_events
from tests.support.real_daemon import wait_until
from tests.support.stack.gateway import TOKEN, Gateway, bearer
from tests.support.stack.queues import waiting_exports
from tests.support.stack.stored_items import sent_event, sent_spans, spans_in_jaeger, stored_event
from tests.support.stack.team import Machine, arrived, final_totals

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[tuple[Stack, Gateway]]:
    folder = tmp_path_factory.mktemp("gateway")
    stack = Stack(folder / "stack", HASTE, ("--web.enable-remote-write-receiver",))
    stores = Stores(folder)
    gateway = Gateway(folder, stack, stores)
    servers_ = (stores.jaeger, stores.victorialogs, stack.prometheus, gateway.server, gateway.agent)
    for server in servers_:
        server.start()
    yield stack, gateway
    for server in reversed(servers_):
        server.stop()


def test_the_files_of_the_team_differ_only_in_addresses_and_a_folder(tmp_path: Path) -> None:
    for name in ("team/gateway.yml", "team/agent.yml"):
        text = local.shipped(name)
        places = local.differences(
            yaml.safe_load(text), yaml.safe_load(local.collector(text, local.Ports.free(), tmp_path))
        )
        assert all(place.endswith(("endpoint", "directory", "host", "port")) for place in places), places


def test_totals_arrive_through_tls_with_the_token(served: tuple[Stack, Gateway], tmp_path: Path) -> None:
    stack, gateway = served
    through_an_agent = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{gateway.agent_ports.grpc}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
    machines = [Machine(tmp_path / "direct", gateway.variables()), Machine(tmp_path / "agent", through_an_agent)]
    try:
        for machine in machines:
            machine.installation.start()
            machine.play("basic-edit", "tasks")
        totals = final_totals(machines)
        at = arrived(stack, totals)
        sessions = sum(value for (name, _), value in totals.items() if name == "claude_sessions_total")
        assert stack.instant(Series(catalog.SESSIONS).grown("10m"), at) == {frozenset(): sessions}
    finally:
        for machine in machines:
            machine.installation.close()


def test_the_gateway_refuses_a_wrong_token(served: tuple[Stack, Gateway], tmp_path: Path) -> None:
    stack, gateway = served
    variables = gateway.variables("another", OTEL_RESOURCE_ATTRIBUTES="service.instance.id=stranger")
    machine = Machine(tmp_path / "stranger", variables)
    try:
        machine.installation.start()
        machine.play("basic-edit")

        def error() -> str:
            with closing(connect(machine.installation.home.store, readonly=True)) as connection:
                return read_state(connection, "metrics", "otlp").error

        wait_until(error)
        assert "401" in error()
        assert stack.instant('count({instance="stranger"})') == {}
    finally:
        machine.installation.close()


def answers(gateway: Gateway, headers: dict[str, str], *, tls: bool = True) -> tuple[int | str, str]:
    """Return how the gateway answers an empty export over HTTP and over gRPC."""
    scheme, ports = ("https" if tls else "http"), gateway.ports
    try:
        over_http: int | str = requests.post(
            f"{scheme}://localhost:{ports.http}/v1/metrics", data=b"", verify=str(gateway.authority), timeout=10,
            headers=headers | {"Content-Type": "application/x-protobuf"},
        ).status_code  # fmt: skip
    except requests.RequestException as error:
        over_http = type(error).__name__
    credentials = grpc.ssl_channel_credentials(gateway.authority.read_bytes())
    target = f"localhost:{ports.grpc}"
    with grpc.secure_channel(target, credentials) if tls else grpc.insecure_channel(target) as channel:
        metadata = [(name.lower(), value) for name, value in headers.items()]
        try:
            MetricsServiceStub(channel).Export(ExportMetricsServiceRequest(), timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            return over_http, error.code().name
    return over_http, "OK"


def test_the_gateway_accepts_only_its_tokens_over_tls(served: tuple[Stack, Gateway]) -> None:
    _, gateway = served
    refused = (401, "UNAUTHENTICATED")
    assert answers(gateway, bearer(TOKEN)) == (200, "OK")
    assert answers(gateway, {}) == refused
    assert answers(gateway, {"Authorization": ""}) == refused
    assert answers(gateway, {"Authorization": TOKEN}) == refused
    assert answers(gateway, {"Authorization": f"Basic {TOKEN}"}) == refused
    for wrong in ("another", "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f"{TOKEN} tests", "tests", "#", "nobody"):
        assert answers(gateway, bearer(wrong)) == refused, wrong
    assert answers(gateway, bearer(TOKEN), tls=False) == (400, "UNAVAILABLE")


def test_a_token_is_refused_once_it_has_expired_or_is_revoked(served: tuple[Stack, Gateway]) -> None:
    _, gateway = served
    kept, now = gateway.tokens.read_text(), datetime.now(UTC)
    try:
        laptop = tokens.add(gateway.tokens, "laptop", 90, now)
        tower = tokens.add(gateway.tokens, "tower", 1, now)
        for token in (laptop, tower):
            wait_until(lambda t=token: answers(gateway, bearer(t.secret)) == (200, "OK"))
        assert tokens.expire(gateway.tokens, now + timedelta(hours=23)) == []
        assert tokens.expire(gateway.tokens, now + timedelta(days=1)) == [tower]
        wait_until(lambda: answers(gateway, bearer(tower.secret)) == (401, "UNAUTHENTICATED"))
        assert answers(gateway, bearer(laptop.secret)) == (200, "OK")
        assert tokens.main([str(gateway.tokens), "revoke", "laptop"]) == 0
        wait_until(lambda: answers(gateway, bearer(laptop.secret)) == (401, "UNAUTHENTICATED"))
        # The last token expires, too. An empty file would leave it in force.
        assert tokens.main([str(gateway.tokens), "revoke", "tests"]) == 0
        wait_until(lambda: answers(gateway, bearer(TOKEN)) == (401, "UNAUTHENTICATED"))
    finally:
        gateway.tokens.write_text(kept)
    wait_until(lambda: answers(gateway, bearer(TOKEN)) == (200, "OK"))


def test_deltas_of_short_lived_runners_add_up(served: tuple[Stack, Gateway], tmp_path: Path) -> None:
    """Each runner has an empty home that lasts for one session. All of them are one instance."""
    stack, gateway = served
    variables = gateway.variables(
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta",
        OTEL_RESOURCE_ATTRIBUTES="service.instance.id=ci",
    )
    total: Counter[str] = Counter()
    for number in range(3):
        runner = Machine(tmp_path / f"runner-{number}", variables)
        try:
            runner.installation.start()
            runner.play("basic-edit")
            for (name, _), value in final_totals([runner]).items():
                total[name] += value
            runner.installation.kill(signal.SIGTERM)
        finally:
            runner.installation.close()
    for name in ("claude_sessions_total", "claude_tool_calls_total", "claude_tokens_input_total"):
        question = f'sum(last_over_time({name}{{instance="ci"}}[10m]))'
        wait_until(lambda q=question, n=name: stack.instant(q) == {frozenset(): float(total[n])})


def test_every_span_and_log_event_passes_an_agent_and_the_gateway_once(
    served: tuple[Stack, Gateway], tmp_path: Path
) -> None:
    """Both are killed while the stores are away, and while they hold what the stores have not taken yet.

    The scenarios that other tests here play are left out: a copy of a session with other times has the same ids.
    """
    _, gateway = served
    through_the_agent = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{gateway.agent_ports.http}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    replays = []
    try:
        for number, name in enumerate(name for name in SCENARIOS if name not in {"basic-edit", "tasks"}):
            match number:
                case 4:
                    gateway.stores.jaeger.stop()
                    gateway.stores.victorialogs.stop()
                case 8:  # between two exports of the agent: a kill during one can make a copy (docs/monitoring.md)
                    wait_until(lambda: not waiting_exports(gateway.agent_ports), 30)
                    assert waiting_exports(gateway.ports)
                    gateway.server.stop(kill=True)
                case 12:
                    gateway.agent.stop(kill=True)
                    gateway.agent.start()
                case 16:
                    gateway.server.start()
                    gateway.stores.jaeger.start()
                    gateway.stores.victorialogs.start()
            replay = ExportedReplay(Scenario(name), tmp_path / name, through_the_agent)
            replays.append(replay)
            assert replay.play().ok
        spans = [span for replay in replays for span in sent_spans(replay)]
        traces = {span.trace_id for span in spans}
        wait_until(lambda: len(spans_in_jaeger(gateway.stores, traces)) >= len(spans), 90)
        found = spans_in_jaeger(gateway.stores, traces)
        assert Counter(span.span_id for span in found) == Counter(span.span_id for span in spans)
        assert {span.span_id: asdict(span) for span in found} == {span.span_id: asdict(span) for span in spans}
        events = [sent_event(event) for replay in replays for event in all_events(replay)]
        ours = {dict(fields)["log.record.uid"] for _, _, fields in events}

        def kept() -> list[dict[str, str]]:
            return [each for each in gateway.stores.log_events() if each["log.record.uid"] in ours]

        wait_until(lambda: len(kept()) >= len(events), 60)
        assert Counter(map(stored_event, kept())) == Counter(events)
    finally:
        for replay in replays:
            replay.daemon.close()
