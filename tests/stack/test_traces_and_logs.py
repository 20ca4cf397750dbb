"""Every span and log event of the recorded sessions is once in a real Jaeger and a real VictoriaLogs, whatever was down meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.traces.model import Span
from monitoring.rig import local
from monitoring.rig.build import binary
from monitoring.rig.local import LOOPBACK
from monitoring.rig.stack import Server
from monitoring.rig.stores import Stores
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.exported_replay import ExportedReplay
from tests.support.log_events import all_events
from tests.support.real_daemon import wait_until
from tests.support.span_trees import FOLDER, KEPT, trees
from tests.support.stack.queues import waiting_exports
from tests.support.stack.stored_items import sent_event, sent_spans, spans_in_jaeger, stored_event

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]
HOUR = 3600


@dataclass
class Way:
    """Daemons that play recorded sessions, a Collector with the shipped file, and the stores.

    Attributes:
        replays: scenario → what was played.
        unsent: the scenarios whose daemon could not send.
    """

    folder: Path
    stores: Stores
    replays: dict[str, ExportedReplay] = field(default_factory=dict)
    unsent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ports = ports = local.Ports.free()
        config = self.folder / "collector.yml"
        text = local.shipped("otel-collector-config.yml")
        config.write_text(local.collector(text, ports, self.folder, stores=self.stores.ports), encoding="utf-8")
        self.endpoint = f"http://{LOOPBACK}:{ports.http}"
        health = f"http://{LOOPBACK}:{ports.health}"
        self.collector = Server(
            [str(binary("otelcol")), "--config", str(config)], health, self.folder / "collector.log"
        )

    def play(self, name: str) -> None:
        """Play a scenario with a daemon of its own, and send everything."""
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        replay = self.replays[name] = ExportedReplay(Scenario(name), self.folder / name, variables)
        if not replay.play().ok:
            self.unsent.append(name)

    def kill_the_collector(self) -> None:
        """Kill the Collector between two exports, and start it. A kill during an export can make a copy (docs/monitoring.md)."""
        wait_until(lambda: not waiting_exports(self.ports), 30)
        _again(self.collector, kill=True)

    def send_again(self) -> None:
        """Let the daemons that could not send try again, an hour later."""
        for name in self.unsent:
            self.replays[name].clock.advance(HOUR)
            self.replays[name].daemon.deliveries.work()
            assert self.replays[name].daemon.deliveries.flush().ok


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Way]:
    """Play all scenarios. Meanwhile each server is killed or stopped, and the stores and the Collector are away for a while."""
    folder = tmp_path_factory.mktemp("traces-and-logs")
    with Stores(folder) as stores:
        way = Way(folder, stores)
        way.collector.start()
        steps: dict[int, Callable[[], None]] = {
            3: way.kill_the_collector,
            5: lambda: _again(stores.jaeger, kill=True),
            7: lambda: _again(stores.victorialogs, kill=False),
            9: lambda: _stop(stores.jaeger, stores.victorialogs),
            11: lambda: _again(way.collector, kill=True),  # while it holds what the stores do not take
            13: lambda: _start(stores.jaeger, stores.victorialogs),
            15: lambda: _stop(way.collector),
            17: lambda: _start(way.collector),
        }
        for number, name in enumerate(SCENARIOS):
            steps.get(number, lambda: None)()
            way.play(name)
        way.send_again()
        yield way
        for replay in way.replays.values():
            replay.daemon.close()
        way.collector.stop()


def _again(server: Server, *, kill: bool) -> None:
    server.stop(kill=kill)
    server.start()


def _stop(*servers: Server) -> None:
    for server in servers:
        server.stop()


def _start(*servers: Server) -> None:
    for server in servers:
        server.start()


def _in_jaeger(way: Way, sent: list[Span]) -> list[Span]:
    found = spans_in_jaeger(way.stores, {span.trace_id for span in sent})
    return found if len(found) >= len(sent) else []


def test_the_servers_were_away(way: Way) -> None:
    assert len(SCENARIOS) > 18
    assert len(way.unsent) == 2


def test_every_span_is_once_in_jaeger_as_it_was_sent(way: Way) -> None:
    for name, replay in way.replays.items():
        sent = sent_spans(replay)
        wait_until(lambda sent=sent: not sent or _in_jaeger(way, sent), 60)
        found = _in_jaeger(way, sent)
        assert Counter(span.span_id for span in found) == Counter(span.span_id for span in sent), name
        by_id = {span.span_id: span for span in found}
        for span in sent:
            assert asdict(by_id[span.span_id]) == asdict(span), name


@pytest.mark.parametrize("name", KEPT)
def test_the_trees_in_jaeger_equal_the_reviewed_ones(way: Way, name: str) -> None:
    order = {span.span_id: number for number, span in enumerate(sent_spans(way.replays[name]))}
    found = _in_jaeger(way, sent_spans(way.replays[name]))
    shown = json.loads(json.dumps(trees(sorted(found, key=lambda span: order[span.span_id]))))
    reviewed = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"), object_hook=_without_link_attributes)
    assert shown == reviewed


def _without_link_attributes(told: dict[str, Any]) -> dict[str, Any]:
    return {"trace": told["trace"], "span": told["span"]} if "claude.link" in told else told


def test_every_log_event_is_once_in_victorialogs_as_it_was_sent(way: Way) -> None:
    sent = [sent_event(event) for replay in way.replays.values() for event in all_events(replay)]
    wait_until(lambda: len(list(way.stores.log_events())) >= len(sent), 60)
    assert Counter(map(stored_event, way.stores.log_events())) == Counter(sent)


def test_a_log_event_leads_to_its_trace_and_back(way: Way) -> None:
    """What the links of the data sources in Grafana ask for."""
    sent = sent_spans(way.replays["subagents"])
    trace = f"{sent[0].trace_id:032x}"
    events = list(way.stores.log_events(f'trace_id:="{trace}"'))
    assert events
    assert {event["trace_id"] for event in events} == {trace}
    spans = {span.span_id for span in spans_in_jaeger(way.stores, [sent[0].trace_id])}
    assert {int(event["span_id"], 16) for event in events if event.get("span_id")} <= spans
