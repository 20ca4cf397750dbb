"""Both ways to Prometheus give the catalog's names. Every panel and every alert parses, runs and finds data."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import promql_parser
import pytest

from claude_hooks_otel.diagnosis.status import read_status
from claude_hooks_otel.metrics.catalog import METRICS
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.timeline import TRIM_EVERY
from monitoring.alerts import ALERTS, Alert
from monitoring.expressions import CARRIED, FILTERS
from monitoring.rig.local import HASTE, LOOPBACK
from monitoring.rig.stack import Stack
from monitoring.rig.victoria import VictoriaMetrics, forward
from tests.support.corpus import SCENARIOS
from tests.support.real_daemon import wait_until
from tests.support.stack.panels import PanelQuery, annotation_queries, boards, panel_queries, rule_expressions
from tests.support.stack.same import differences, graph_differences, samples
from tests.support.stack.team import Machine, arrived, final_totals

# All recorded scenarios, except the one with two copies of every hook and the one without some of its hooks.
PLAYED = tuple(name for name in SCENARIOS if name not in {"plugin", "basic-edit"})
RANGE_SECONDS = 1200.0  # longer than the whole test takes

KNOWN = {
    name + suffix
    for metric in METRICS
    for name in (
        [metric.prometheus_name]
        if metric.kind is not Kind.HISTOGRAM
        else [f"{metric.prometheus_name}{part}" for part in ("_sum", "_count", "_bucket")]
    )
    for suffix in ("", CARRIED)
} | {"up", "claude:budget_usd:30d"}
# The Collector's own metrics in the alerts. A test below asks Prometheus for them.
KNOWN |= {f"otelcol_exporter_{name}" for name in ("queue_size", "queue_capacity")}
KNOWN |= {
    f"otelcol_exporter_{name}_{items}"
    for name in ("sent", "send_failed")
    for items in ("spans", "log_records", "metric_points")
}
LABELS = {label for metric in METRICS for label in metric.all_labels} | {
    "instance",
    "job",
    "le",
    "alertname",
    "alertstate",
    "data_type",
}


def expressions() -> list[tuple[str, str]]:
    shown = [*panel_queries(), *annotation_queries().values()]
    return [(str(query), query.filled(3600, 60)) for query in shown] + [(a.name, a.expr) for a in ALERTS]


@pytest.mark.parametrize(("title", "expression"), expressions(), ids=[title for title, _ in expressions()])
def test_every_expression_parses_and_uses_only_names_of_the_catalog(title: str, expression: str) -> None:
    promql_parser.parse(expression)
    names = set(re.findall(r"\b((?:claude|otelcol|up)[a-z0-9_:]*)\b", re.sub(r'"[^"]*"', "", expression)))
    assert names or "ALERTS" in expression
    assert names <= KNOWN, title
    matchers = {
        label for inside in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)\s*[!=]", inside)
    }
    grouped = {label.strip() for inside in re.findall(r"by \(([^)]*)\)", expression) for label in inside.split(",")}
    assert matchers | grouped <= LABELS, title


# Two teams, three users and two machines.
LABELS_TABLE = '[labels]\nmetrics = ["user", "machine"]\nuser = "variable"\n[identity]\nmachine = "{}"\n'
CHOICES = {"team": {"core", "web"}, "sprint": {"1", "2"}, "user": {"ann", "bea", "cem"}, "machine": {"m1", "m2"}}


class Recorded:
    """A stack with the sessions of one machine that sends through the Collector and one that sends directly.

    Prometheus sends all its samples on to a VictoriaMetrics.
    """

    def __init__(self, stack: Stack, victoria: VictoriaMetrics, folder: Path) -> None:
        self.stack, self.victoria = stack, victoria
        # Nothing receives its traces, and the outbox is so small that all of them are dropped.
        small = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{LOOPBACK}:9/v1/traces",
            "CLAUDE_HOOKS_OTEL_OUTBOX__MAX_MEGABYTES": "0.0001",
        }
        self.scraped = Machine(folder / "scraped", stack.through_the_collector | small)
        self.pushed = Machine(folder / "pushed", stack.straight_to_prometheus)

    def play(self) -> None:
        for machine in (self.scraped, self.pushed):
            name = "m1" if machine is self.scraped else "m2"
            machine.installation.home.config.write_text("[budgets]\nmonth = 1000\n" + LABELS_TABLE.format(name))
        self.scraped.installation.session = _session("core", "Ann", "1")
        self.pushed.installation.session = _session("web", "Cem", "2")
        self.stack.collector.stop()  # some exports fail
        self.scraped.installation.start()
        self.scraped.lose_an_event()
        self.scraped.damage_a_transcript()
        self.scraped.test_and_write()
        self.scraped.show_status()
        wait_until(lambda: any(name == "claude_hooks_export_failures_total" for name, _ in self.scraped.totals()))
        self.stack.collector.start()
        self.scraped.installation.session = _session("core", "Bea", "1")
        self.scraped.play("basic-edit", without="PostToolUse")  # only the transcript reports these tool calls
        self.scraped.play(*PLAYED)
        self.pushed.installation.start()
        self.pushed.play("basic-edit", "subagents", "tasks", "git-work")
        final_totals([self.scraped, self.pushed])
        wait_until(lambda: not _waiting(self.scraped), 2 * TRIM_EVERY)
        arrived(self.stack, final_totals([self.scraped, self.pushed]), timeout=60)

    def close(self) -> None:
        self.scraped.installation.close()
        self.pushed.installation.close()


def _session(team: str, user: str, sprint: str) -> dict[str, str]:
    return {"CLAUDE_AGENT_TEAM": team, "CLAUDE_AGENT_USER": user, "CLAUDE_AGENT_SPRINT": sprint}


def _waiting(machine: Machine) -> int:
    """Return how many spans and log events wait for an endpoint."""
    return sum(read_status(machine.installation.home)["waiting"].values())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("recorded")
    victoria, stack = VictoriaMetrics(folder / "victoria", HASTE, rules=False), Stack(folder, HASTE)
    forward(folder / "prometheus.yml", victoria)
    config = folder / "collector.yml"  # Prometheus, which is no store of log events, refuses them for good
    refusing = config.read_text(encoding="utf-8").replace(":9/insert", f":{stack.ports.prometheus}/insert")
    config.write_text(refusing, encoding="utf-8")
    with victoria, stack:
        played = Recorded(stack, victoria, folder)
        try:
            played.play()
            yield played
        finally:
            played.close()


pytestmark = pytest.mark.timeout(1200)


def at_prometheus(recorded: Recorded, machine: Machine) -> dict[str, set[frozenset[str]]]:
    """Return, for each name, the sets of label names of its series."""
    span = round(RANGE_SECONDS)
    found: dict[str, set[frozenset[str]]] = {}
    query = f'last_over_time({{__name__=~"claude_.+", __name__!~".+:carried", instance="{machine.instance}"}}[{span}s])'
    for labels in recorded.stack.instant(query):
        pairs = dict(labels)
        found.setdefault(pairs.pop("__name__"), set()).add(frozenset(pairs) - {"job", "instance", "le"})
    return found


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("way", ["scraped", "pushed"])
def test_prometheus_has_the_names_and_labels_of_the_catalog(recorded: Recorded, way: str) -> None:
    found = at_prometheus(recorded, getattr(recorded, way))
    declared = {name: metric for metric in METRICS for name in (metric.prometheus_name,)}
    for name, keys in found.items():
        metric = declared.get(re.sub(r"_(sum|count|bucket)$", "", name)) or declared[name]
        for key_set in keys:
            assert key_set <= {*metric.all_labels, "otel_metric_overflow"}, name
            assert key_set >= ({"agent", "project"} if metric.common else set()), name
    missing = {metric.name for metric in METRICS} - {
        metric.name
        for metric in METRICS
        if metric.prometheus_name in found or f"{metric.prometheus_name}_count" in found
    }
    if way == "scraped":
        assert missing == set()


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("query", list(panel_queries()), ids=[f"{q}-{i}" for i, q in enumerate(panel_queries())])
def test_every_panel_finds_data(recorded: Recorded, query: PanelQuery) -> None:
    if query.instant:
        wait_until(lambda: bool(recorded.stack.instant(query.filled(RANGE_SECONDS))))
    else:
        now = time.time()
        assert recorded.stack.over_time(query.filled(RANGE_SECONDS, 5), now - 300, now, 5)


def variables() -> dict[str, str]:
    """Return the variables that filter, and the question that each one asks Prometheus. All dashboards have the same."""
    found = [
        {each["name"]: each["query"] for each in board["templating"]["list"] if each["type"] == "query"}
        for board in boards()
    ]
    assert all(each == found[0] for each in found)
    return found[0]


def values_of(stack: Stack, question: str) -> set[str]:
    """Return the values that Grafana finds for a variable."""
    match = re.fullmatch(r"label_values\((\{.+\}), (\w+)\)", question)
    assert match
    return set(stack.ask(f"label/{match[2]}/values?{urlencode({'match[]': match[1]})}"))


@pytest.mark.stack
@pytest.mark.slow
def test_every_variable_has_the_values_that_the_sessions_had(recorded: Recorded) -> None:
    found = {name: values_of(recorded.stack, question) for name, question in variables().items()}
    assert tuple(found) == FILTERS
    assert {name: found[name] for name in CHOICES} == CHOICES
    assert all(found.values())


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("name", FILTERS)
def test_the_values_of_a_filter_add_up_to_the_whole(recorded: Recorded, name: str) -> None:
    """The expressions are those of the panels whose number is a sum."""
    values, at, compared = values_of(recorded.stack, variables()[name]), time.time(), 0
    for query in panel_queries():
        if not (query.instant and query.expr.startswith("sum((") and f"${name}" in query.expr):
            continue
        whole = sum(recorded.stack.instant(query.filled(RANGE_SECONDS), at).values())
        parts = [
            sum(recorded.stack.instant(query.filled(RANGE_SECONDS, **{name: value}), at).values()) for value in values
        ]
        assert sum(parts) == pytest.approx(whole, rel=1e-9), query
        compared += bool(whole)
    assert compared > 2


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Alerts", "Compactions", "Releases of the client"])
def test_every_annotation_finds_what_it_marks(recorded: Recorded, name: str) -> None:
    query = annotation_queries()[name].filled(RANGE_SECONDS, 5)
    wait_until(lambda: bool(recorded.stack.over_time(query, time.time() - RANGE_SECONDS, time.time(), 5)))


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("alert", ALERTS, ids=[alert.name for alert in ALERTS])
def test_every_alert_is_evaluated_by_prometheus(recorded: Recorded, alert: Alert) -> None:
    groups = recorded.stack.ask("rules")["groups"]
    rule = {rule["name"]: rule for group in groups for rule in group["rules"]}[alert.name]
    assert rule["health"] == "ok", rule.get("lastError")
    assert rule["evaluationTime"] > 0
    # Without its threshold, the alert finds data: it does not fire because all is well, not because it has no input. The test waits
    # for the data, because the Collector drops a series after three seconds here, and a slow machine may show none for a moment.
    selector = re.split(r" (?:unless|and) ", alert.expr, maxsplit=1)[0]
    selector = re.sub(r" (?:>|<|>=|==) (?:[\d.]+|on\(\).*)$", "", selector)
    wait_until(lambda: bool(recorded.stack.instant(selector)))


@pytest.fixture(scope="module")
def known_to_both(recorded: Recorded) -> float:
    """Wait until VictoriaMetrics has every sample of Prometheus, and return the time of the newest ones, in Unix seconds."""
    at = time.time() - 2
    wait_until(lambda: not graph_differences(samples(recorded.stack, at), samples(recorded.victoria, at)), 60)
    assert len(samples(recorded.stack, at)) > 2000
    return at


@pytest.mark.stack
@pytest.mark.slow
def test_victoriametrics_answers_every_expression_as_prometheus_does(recorded: Recorded, known_to_both: float) -> None:
    rules = (PanelQuery("rules", name, text, instant=True) for name, text in rule_expressions())
    asked = [*panel_queries(), *annotation_queries().values(), *rules]
    compared = 0
    for query in asked:
        for at, span in itertools.product((known_to_both, known_to_both - 20), (5, 30, 90, RANGE_SECONDS)):
            both = [server.instant(query.filled(span, 5), at) for server in (recorded.stack, recorded.victoria)]
            assert differences(*both) == {}, (query, at, span)
            compared += len(both[1])
        if not query.instant:
            end = known_to_both // 5 * 5  # VictoriaMetrics moves the points of a graph to multiples of its step
            # One machine, because the bounds of the other one's buckets are spelled 1 and not 1.0: see docs/scale.md.
            text = query.filled(100, 5, machine="m1")
            graphs = [server.over_time(text, end - 100, end, 5) for server in (recorded.stack, recorded.victoria)]
            assert graph_differences(*graphs) == {}, query
    assert len(asked) > 200
    assert compared > 10_000
