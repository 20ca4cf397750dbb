"""Two real gateways behind a real balancer. All metrics of an installation pass one of them, and a kill of a gateway changes no total."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from monitoring import tokens
from monitoring.rig import local
from monitoring.rig.build import binary
from monitoring.rig.local import HASTE, LOOPBACK
from monitoring.rig.stack import Server, Stack
from monitoring.rig.stores import Stores
from tests.support.corpus import Scenario
from tests.support.exported_replay import ExportedReplay
from tests.support.log_events import all_events
from tests.support.real_daemon import wait_until
from tests.support.stack.gateway import TOKEN, addresses, write_certificate
from tests.support.stack.stored_items import sent_event, sent_spans, spans_in_jaeger, stored_event
from tests.support.stack.team import Machine, arrived, final_totals

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]
MACHINES = 4
# So many that all of them at the same gateway would be a fault.
PROBES = 60


class Team:
    """A balancer and two gateways with the shipped files. Each gateway puts its name on its series."""

    def __init__(self, folder: Path, stack: Stack, stores: Stores) -> None:
        self.authority = write_certificate(folder)
        tokens.write(folder / "tokens", [tokens.Token(TOKEN, "tests", datetime.max.replace(tzinfo=UTC))])
        (folder / "token").write_text(TOKEN)
        self._folder = folder
        ports = [local.Ports.free() for _ in range(3)]
        self.ports = ports[0]
        targets = [f"localhost:{each.grpc}" for each in ports[1:]]
        self._environ = {
            "TLS_CERTIFICATE": str(folder / "cert.pem"),
            "TLS_KEY": str(folder / "key.pem"),
            "GATEWAY_TOKEN_FILE": str(folder / "tokens"),
            "BALANCER_TOKEN_FILE": str(folder / "token"),
            "GATEWAY_CA": str(self.authority),
            "GATEWAY_NAME": "localhost",
            "GATEWAY_RESOLVER": yaml.safe_dump({"static": {"hostnames": targets}}, default_flow_style=True).strip(),
            "GATEWAY_TARGET": f"dns:///{targets[0]}",
            **addresses(stack, stores),
        }
        self.gateways = [self._server("gateway", each, f"gateway-{n}") for n, each in enumerate(ports[1:])]
        self.balancer = self._server("balancer", ports[0], "balancer")

    def _server(self, kind: str, ports: local.Ports, name: str) -> Server:
        config = yaml.safe_load(local.collector(local.shipped(f"team/{kind}.yml"), ports, self._folder))
        if kind == "gateway":
            config["exporters"]["prometheus_remote_write"]["external_labels"] = {"gateway": name}
        path = self._folder / f"{name}.yml"
        path.write_text(yaml.safe_dump(config))
        return Server(
            [str(binary("otelcol")), "--config", str(path)],
            f"http://{LOOPBACK}:{ports.health}", self._folder / f"{name}.log", self._environ,
        )  # fmt: skip

    def send_probe(self, instance: str) -> None:
        """Send one total of an installation."""
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        resource.resource.attributes.add(key="service.instance.id").value.string_value = instance
        metric = resource.scope_metrics.add().metrics.add(name="probe")
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.data_points.add(time_unix_nano=time.time_ns(), as_int=1)
        answer = requests.post(
            f"https://localhost:{self.ports.http}/v1/metrics", data=request.SerializeToString(), timeout=10,
            verify=str(self.authority), headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-protobuf"},
        )  # fmt: skip
        answer.raise_for_status()

    def variables(self) -> dict[str, str]:
        """Return the variables that make a daemon send to the balancer."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://localhost:{self.ports.http}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(self.authority),
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{TOKEN}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[tuple[Stack, Stores, Team]]:
    folder = tmp_path_factory.mktemp("balancer")
    stack = Stack(folder / "stack", HASTE, ("--web.enable-remote-write-receiver",))
    stores = Stores(folder)
    team = Team(folder, stack, stores)
    running = (stores.jaeger, stores.victorialogs, stack.prometheus, *team.gateways, team.balancer)
    for server in running:
        server.start()
    yield stack, stores, team
    for server in reversed(running):
        server.stop()


def gateways_of_installations(stack: Stack, names: str = "claude_.+_total") -> dict[str, set[str]]:
    """Return installation → the gateways that its series have passed."""
    found = defaultdict(set)
    for labels in stack.instant(f'count by (instance, gateway) (last_over_time({{__name__=~"{names}"}}[1h]))'):
        told = dict(labels)
        found[told["instance"]].add(told["gateway"])
    return dict(found)


def test_the_file_of_the_balancer_differs_only_in_addresses(tmp_path: Path) -> None:
    text = local.shipped("team/balancer.yml")
    adapted = yaml.safe_load(local.collector(text, local.Ports.free(), tmp_path))
    places = local.differences(yaml.safe_load(text), adapted)
    assert all(place.endswith(("endpoint", "host", "port")) for place in places), places


def test_installations_are_spread_over_the_gateways(served: tuple[Stack, Stores, Team]) -> None:
    stack, _, team = served
    for number in range(PROBES):
        team.send_probe(f"probe-{number}")
    wait_until(lambda: len(gateways_of_installations(stack, "probe_total")) == PROBES)
    found = gateways_of_installations(stack, "probe_total").values()
    assert Counter(map(len, found)) == {1: PROBES}
    assert min(Counter(name for names in found for name in names).values()) > PROBES / 10
    assert set.union(*found) == {"gateway-0", "gateway-1"}


def test_totals_are_exact_while_a_gateway_is_killed_and_comes_back(
    served: tuple[Stack, Stores, Team], tmp_path: Path
) -> None:
    stack, _, team = served
    machines = [Machine(tmp_path / str(number), team.variables()) for number in range(MACHINES)]
    try:
        for machine in machines:
            machine.installation.start()
            machine.play("basic-edit")
        arrived(stack, final_totals(machines))
        before = gateways_of_installations(stack)
        assert {machine.instance for machine in machines} == before.keys()
        assert Counter(map(len, before.values())) == {1: MACHINES}

        killed = team.gateways[0 if {"gateway-0"} in before.values() else 1]
        killed.stop(kill=True)
        for machine in machines:
            machine.play("tasks")
        killed.start()
        arrived(stack, final_totals(machines), 90)
        assert gateways_of_installations(stack) == before
        for series in stack.ask("query", query='{__name__=~"claude_.+_(total|sum|count)"}[1h]')["result"]:
            values = [float(value) for _, value in series["values"]]
            assert values == sorted(values), series["metric"]
    finally:
        for machine in machines:
            machine.installation.close()


def test_spans_and_log_events_pass_once_while_their_gateway_is_killed(
    served: tuple[Stack, Stores, Team], tmp_path: Path
) -> None:
    _, stores, team = served
    replays = [ExportedReplay(Scenario(name), tmp_path / name, team.variables()) for name in ("subagents", "mcp")]
    try:
        assert replays[0].play().ok
        team.gateways[0].stop(kill=True)
        assert not replays[1].play().ok
        team.gateways[0].start()
        replays[1].clock.advance(3600)
        wait_until(lambda: replays[1].daemon.deliveries.flush().ok, 60)
        spans = [span for replay in replays for span in sent_spans(replay)]
        traces = {span.trace_id for span in spans}
        wait_until(lambda: len(spans_in_jaeger(stores, traces)) >= len(spans), 60)
        assert Counter(span.span_id for span in spans_in_jaeger(stores, traces)) == {span.span_id: 1 for span in spans}
        events = Counter(sent_event(event) for replay in replays for event in all_events(replay))
        uids = {dict(fields)["log.record.uid"] for _, _, fields in events}

        def kept() -> Counter[object]:
            return Counter(stored_event(each) for each in stores.log_events() if each["log.record.uid"] in uids)

        wait_until(lambda: kept().total() >= events.total(), 60)
        assert kept() == events
    finally:
        for replay in replays:
            replay.daemon.close()
