"""The links between the data sources of Grafana lead somewhere: real servers answer what each link asks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml

from monitoring.dashboards.drilldown import STORES
from monitoring.expressions import fill
from monitoring.generate import SETUP
from monitoring.rig.local import HASTE, LOOPBACK
from monitoring.rig.stack import Stack
from monitoring.rig.stores import Stores
from tests.support.corpus import Scenario
from tests.support.exported_replay import ExportedReplay
from tests.support.log_events import all_events
from tests.support.real_daemon import wait_until
from tests.support.stack.panels import boards
from tests.support.stack.stored_items import sent_spans, spans_in_jaeger

DAY = 86_400


def sources() -> dict[str, dict[str, Any]]:
    """Return the provisioned data sources, by uid, with variables as Grafana reads them."""
    paths = (SETUP / "grafana" / "provisioning" / "datasources").glob("*.yml")
    texts = [path.read_text(encoding="utf-8").replace("$$", "$") for path in paths]
    return {each["uid"]: each for text in texts for each in yaml.safe_load(text)["datasources"]}


SOURCES = sources()
TRACES, LOGS, METRICS = (SOURCES[f"claude-{name}"]["jsonData"] for name in ("traces", "logs", "prometheus"))


def test_the_data_sources_are_those_that_the_dashboards_link_to() -> None:
    types = {each["type"] for each in SOURCES.values()}
    assert types == {"prometheus", *STORES.values()}
    grafana = yaml.safe_load((SETUP / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["grafana"]
    plugin, _, version = grafana["environment"]["GF_PLUGINS_PREINSTALL"].partition("@")
    assert plugin == STORES["logs"]
    assert version


def test_every_link_leads_to_a_data_source_that_is_there() -> None:
    targets = {
        "traces to logs": TRACES["tracesToLogsV2"],
        "traces to metrics": TRACES["tracesToMetrics"],
        **{f"logs to {each['name']}": each for each in LOGS["derivedFields"]},
        **{f"exemplars to {each['name']}": each for each in METRICS["exemplarTraceIdDestinations"]},
    }
    assert {link: each["datasourceUid"] for link, each in targets.items()} == {
        "traces to logs": "claude-logs",
        "traces to metrics": "claude-prometheus",
        "logs to Trace": "claude-traces",
        "exemplars to trace_id": "claude-traces",
    }
    assert set(SOURCES) == {"claude-logs", "claude-prometheus", "claude-traces"}


@dataclass(frozen=True, slots=True)
class Sent:
    """Servers that have the same recorded session from two installations, as if each export had been sent twice."""

    stack: Stack
    stores: Stores
    replay: ExportedReplay

    def exemplars(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of the exemplars that Prometheus finds for an expression."""
        now = time.time()  # the session was recorded earlier
        found = self.stack.ask("query_exemplars", query=expression, start=now - 3650 * DAY, end=now + 3650 * DAY)
        return [exemplar["labels"] for series in found for exemplar in series["exemplars"]]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Sent]:
    folder = tmp_path_factory.mktemp("data-sources")
    with (
        Stores(folder) as stores,
        Stack(folder / "stack", replace(HASTE, expiration="5m"), stores=stores.ports) as stack,
    ):
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{stack.ports.http}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        replays = [ExportedReplay(Scenario("subagents"), folder / name, variables) for name in ("one", "other")]
        try:
            assert all(replay.play().ok for replay in replays)
            sent = Sent(stack, stores, replays[0])
            expected = 2 * len(all_events(replays[0]))
            wait_until(lambda: len(list(stores.log_events())) >= expected, 60)
            wait_until(lambda: spans_in_jaeger(stores, {sent_spans(replays[0])[0].trace_id}), 60)
            yield sent
        finally:
            for replay in replays:
                replay.daemon.close()


@pytest.mark.stack
@pytest.mark.slow
def test_a_point_of_a_panel_leads_to_its_trace_in_jaeger(sent: Sent) -> None:
    targets = (target for board in boards() for panel in board["panels"] for target in panel.get("targets", ()))
    [panel] = [fill(target["expr"], 3600, 300) for target in targets if target.get("exemplar")]
    wait_until(lambda: sent.exemplars(panel), 60)
    [destination] = METRICS["exemplarTraceIdDestinations"]
    for labels in sent.exemplars(panel):
        spans = spans_in_jaeger(sent.stores, {int(labels[destination["name"]], 16)})
        assert int(labels["span_id"], 16) in {span.span_id for span in spans}


@pytest.mark.stack
@pytest.mark.slow
def test_a_span_leads_to_the_totals_of_its_agent(sent: Sent) -> None:
    span = sent_spans(sent.replay)[0]
    link = TRACES["tracesToMetrics"]
    tags = ",".join(f'{tag["value"]}="{span.attributes[tag["key"]]}"' for tag in link["tags"])
    for query in link["queries"]:
        expression = query["query"].replace("$__tags", tags)
        wait_until(lambda expression=expression: sent.stack.instant(expression), 60)
        assert all(value > 0 for value in sent.stack.instant(expression).values()), query["name"]


@pytest.mark.stack
@pytest.mark.slow
def test_a_span_leads_to_the_log_events_of_its_trace_and_each_of_them_back(sent: Sent) -> None:
    for trace_id in {span.trace_id for span in sent_spans(sent.replay)}:
        query = TRACES["tracesToLogsV2"]["query"].replace("${__trace.traceId}", f"{trace_id:032x}")
        found = list(sent.stores.log_events(query))
        [back] = LOGS["derivedFields"]
        assert {int(event[back["matcherRegex"]], 16) for event in found} <= {trace_id}
        assert len(found) == 2 * sum(event.trace_id == trace_id for event in all_events(sent.replay))


@pytest.mark.stack
@pytest.mark.slow
def test_of_two_copies_jaeger_keeps_one_and_a_query_shows_one_of_those_in_victorialogs(sent: Sent) -> None:
    """A copy arrives if a program dies between the answer of the next one and its own note of it (docs/monitoring.md)."""
    spans = sent_spans(sent.replay)
    found = spans_in_jaeger(sent.stores, {span.trace_id for span in spans})
    assert Counter(span.span_id for span in found) == Counter(span.span_id for span in spans)
    uids = Counter(f"{event.uid:016x}" for event in all_events(sent.replay))
    copies = Counter(event["log.record.uid"] for event in sent.stores.log_events())
    assert copies == Counter({uid: 2 * times for uid, times in uids.items()})
    documented = "* | sort by (_time) limit 1 partition by (log.record.uid)"
    assert documented.partition("* ")[2] in (SETUP.parents[1] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert Counter(event["log.record.uid"] for event in sent.stores.log_events(documented)) == uids
