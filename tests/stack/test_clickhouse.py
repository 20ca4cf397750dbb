"""Years in ClickHouse: what the gateway's second file writes there, and what the shipped queries answer, equals the facts of the stores."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import MetricsData
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.export.metrics import metrics_data
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.home.paths import HOME_VARIABLE
from claude_hooks_otel.metrics.catalog import CATALOG, COST, METRICS, STORY_POINTS
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.totals import read_points
from claude_hooks_otel.settings import OtelSettings
from claude_hooks_otel.store.connection import connect
from monitoring.generate import SETUP
from monitoring.rig.stack import Labels, Server
from monitoring.rig.stores import Stores
from monitoring.rig.victoria import VictoriaMetrics
from tests.support.real_daemon import wait_until
from tests.support.stack.clickhouse import ClickHouse, unavailable
from tests.support.stack.gateway import TOKEN, Gateway, bearer
from tests.support.stack.team import Machine, Totals, final_totals, scale

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]
CENT = 0.005


class Analytics(Gateway):
    """The shipped gateway with the shipped second file."""

    def __init__(self, folder: Path, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        nobody = VictoriaMetrics(folder, rules=False)  # it and the stores do not run
        super().__init__(folder, nobody, Stores(folder))

    def _server(self, name: str, ports: Any, folder: Path, environ: Mapping[str, str]) -> Server:
        more = {"CLICKHOUSE_ENDPOINT": self._clickhouse.url, "CLICKHOUSE_COMPRESS": "none"}
        server = super()._server(name, ports, folder, {**environ, **more})
        if name == "team/gateway.yml":
            server.arguments += ["--config", str(SETUP / "team" / "analytics.yml")]
        return server


class Company:
    """Two machines of two teams. ClickHouse is away while one of them works."""

    def __init__(self, folder: Path, clickhouse: ClickHouse, gateway: Analytics) -> None:
        self.clickhouse, self.gateway = clickhouse, gateway
        self.machines = [Machine(folder / name, gateway.variables()) for name in ("laptop", "tower")]
        self.totals: Totals = Counter()

    def play(self) -> None:
        laptop, tower = self.machines
        for machine, team, user in ((laptop, "core", "Ann"), (tower, "web", "Cem")):
            machine.installation.home.config.write_text('[labels]\nmetrics = ["user"]\nuser = "variable"\n')
            machine.installation.session = {"CLAUDE_AGENT_TEAM": team, "CLAUDE_AGENT_USER": user}
            machine.installation.start()
        laptop.play("basic-edit", "tasks", "models")
        self.clickhouse.server.stop()
        tower.play("subagents", "git-work", "skills")
        final_totals(self.machines)
        self.clickhouse.server.start()
        self.totals = final_totals(self.machines)
        wait_until(lambda: self.growths() == self.growing(), 60)
        wanted = work(self.sessions().values())
        wait_until(lambda: work(self.asked_sessions()) == wanted, 60)

    def growing(self) -> dict[tuple[str, Labels], float]:
        """Return the totals of the stores, rounded to nine digits."""
        return {key: round(value / scale(key[0]), 9) for key, value in self.totals.items() if value}

    def growths(self) -> dict[tuple[str, Labels], float]:
        """Return what ClickHouse says that each series grew by, over all instances, with Prometheus's names."""
        names = {metric.name: metric for metric in METRICS}
        found: Counter[tuple[str, Labels]] = Counter()
        for row in self.clickhouse.ask(
            "SELECT metric, labels, growth FROM claude.growth_monthly WHERE instance != 'archive'"
        ):
            metric = names.get(row["metric"])
            part = ""
            if metric is None:
                name, _, part = row["metric"].rpartition(".")
                metric, part = names[name], f"_{part}"
            found[f"{metric.prometheus_name}{part}", frozenset(row["labels"].items())] += row["growth"]
        return {key: round(value, 9) for key, value in found.items() if value}

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return what `report` says about each session of both machines."""
        rows: dict[str, dict[str, Any]] = {}
        nothing = {"requests": 0, "tool_calls": 0, "cost_usd": 0.0}
        for machine in self.machines:
            home = {HOME_VARIABLE: str(machine.installation.home.root)}
            result = CliRunner().invoke(make_app(), ["report", "--by", "session", "--json"], env=home)
            assert result.exit_code == 0, result.output
            rows |= {row["session"]: nothing | row for row in json.loads(result.stdout)["rows"]}
        return rows

    def asked_sessions(self) -> list[dict[str, Any]]:
        return self.clickhouse.ask_shipped("sessions", **this_week())

    def grouped(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the stores' totals of a series in exported units, by some labels."""
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for (series, pairs), value in self.totals.items():
            if series == name and value:
                sums[tuple(dict(pairs).get(label, "") for label in labels)] += value / scale(name)
        return dict(sums)


def work(rows: Iterable[Mapping[str, Any]]) -> float:
    """Return the number of requests and tool calls of these sessions."""
    return sum(row["requests"] + row["tool_calls"] for row in rows)


def this_week() -> dict[str, str]:
    now = datetime.now(UTC)
    return {name: f"{now + timedelta(days=days):%Y-%m-%d %H:%M:%S}" for name, days in (("since", -7), ("until", 1))}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    clickhouse = ClickHouse(folder)
    gateway = Analytics(folder, clickhouse)
    clickhouse.server.start()
    gateway.server.start()  # the exporter makes its tables
    clickhouse.make_schema()
    played = Company(folder, clickhouse, gateway)
    try:
        played.play()
        yield played
    finally:
        for machine in played.machines:
            machine.installation.close()
        gateway.server.stop(kill=True)  # it still tries to reach the servers that do not run
        clickhouse.server.stop()


def test_every_total_is_the_total_of_the_stores_after_an_outage_of_clickhouse(company: Company) -> None:
    assert company.growths() == company.growing()
    assert len(company.growths()) > 100


def test_the_cost_of_a_team_a_user_and_a_model_is_that_of_the_stores_to_the_cent(company: Company) -> None:
    rows = company.clickhouse.ask_shipped("cost-by-month")
    found = {(row["team"], row["user"], row["model"]): row["usd"] for row in rows}
    exact = company.grouped("claude_api_cost_usd_total", "team", "user", "model")
    assert found.keys() == exact.keys()
    assert all(abs(found[key] - exact[key]) < CENT / 1000 for key in exact)
    assert len(exact) >= 4


def test_the_cost_of_a_story_point_is_cost_divided_by_points(company: Company) -> None:
    dollars = company.grouped("claude_api_cost_usd_total", "team")
    points = company.grouped("claude_story_points_delivered_total", "team")
    found = {
        (row["team"],): row["usd_per_story_point"] for row in company.clickhouse.ask_shipped("cost-per-story-point")
    }
    assert found == pytest.approx({team: dollars[team] / points[team] if team in points else None for team in dollars})


def test_the_cache_share_is_read_tokens_divided_by_input_tokens(company: Company) -> None:
    tokens = company.grouped("claude_tokens_input_total", "model")
    read = company.grouped("claude_tokens_input_total", "model", "cache")
    found = {row["model"]: row["share"] for row in company.clickhouse.ask_shipped("cache-share")}
    assert found == pytest.approx({model: read.get((model, "read"), 0) / total for (model,), total in tokens.items()})
    assert max(found.values()) > 0


def test_the_error_rate_of_a_tool_is_that_of_its_calls(company: Company) -> None:
    calls = company.grouped("claude_tool_calls_total", "tool")
    good = company.grouped("claude_tool_calls_total", "tool", "outcome")
    rows = company.clickhouse.ask_shipped("error-rates")
    found = {row["tool"]: (row["calls"], row["failed"]) for row in rows}
    assert found == {tool: (total, total - good.get((tool, "success"), 0)) for (tool,), total in calls.items()}
    assert any(failed for _, failed in found.values())


def test_the_slowest_tools_have_the_calls_of_the_stores_and_the_seconds_of_their_spans(company: Company) -> None:
    rows = company.clickhouse.ask_shipped("slowest-tools", **this_week())
    assert rows == sorted(rows, key=lambda row: -row["p95"])
    calls: Counter[str] = Counter()
    for row in rows:
        calls[row["tool"].lower()] += row["calls"]
        assert (row["median"], row["longest"], row["total"]) == pytest.approx(spans_of(company, row["tool"]))
    assert calls == {tool: total for (tool,), total in company.grouped("claude_tool_calls_total", "tool").items()}


def spans_of(company: Company, tool: str) -> tuple[float, float, float]:
    """Return the median, the maximum and the sum of the seconds of a tool's spans."""
    lengths = {
        row["SpanId"]: int(row["Duration"]) / 1e9
        for row in company.clickhouse.ask("SELECT SpanId, Duration, SpanName FROM claude.otel_traces")
        if row["SpanName"] == f"execute_tool {tool}"
    }
    return statistics.median_high(lengths.values()), max(lengths.values()), sum(lengths.values())


def test_a_session_costs_in_its_spans_what_the_report_says_to_the_cent(company: Company) -> None:
    found = {row["session"]: row for row in company.asked_sessions()}
    exact = {session: row for session, row in company.sessions().items() if work([row])}
    assert len(exact) > 20
    for session, row in exact.items():
        assert abs(found[session]["usd"] - row["cost_usd"]) < CENT
        assert (found[session]["requests"], found[session]["tool_calls"]) == (row["requests"], row["tool_calls"])


def test_a_trace_is_found_whole_by_its_id(company: Company) -> None:
    everything = company.clickhouse.ask(
        "SELECT TraceId AS trace, count(DISTINCT SpanId) AS spans FROM claude.otel_traces GROUP BY trace"
    )
    assert len(everything) > 5
    for each in everything:
        spans = company.clickhouse.ask_shipped("trace", trace=each["trace"])
        identifiers = {span["id"] for span in spans}
        assert len(spans) == len(identifiers) == each["spans"]
        assert [span["parent"] for span in spans if span["parent"] not in identifiers] == [""]  # one tree with one root


def send(gateway: Gateway, data: MetricsData) -> None:
    answer = requests.post(
        f"https://localhost:{gateway.ports.http}/v1/metrics",
        data=encode_metrics(data).SerializeToString(),
        headers=bearer(TOKEN) | {"Content-Type": "application/x-protobuf"},
        verify=str(gateway.authority),
        timeout=30,
    )
    assert answer.status_code == 200


def test_a_month_shows_what_grew_in_it_when_a_row_is_repeated_and_months_are_silent(company: Company) -> None:
    """An installation sends its totals in March, April and July, twice each time."""
    with closing(connect(company.machines[0].installation.home.store, readonly=True)) as connection:
        points = [
            point
            for point in read_points(connection, CATALOG)
            if point.metric.kind is Kind.COUNTER and point.metric.common
        ]
    resource = service_resource(OtelSettings.from_variables({}), "archive")
    months = {"2026-03-01": 1, "2026-04-01": 3, "2026-07-01": 4}  # the totals are so many times those of the machine
    for month, factor in months.items():
        at = datetime.fromisoformat(month).replace(tzinfo=UTC) + timedelta(days=20)
        grown = [replace(point, value=point.value * factor, start_time_ns=0) for point in points]
        for seconds in (0, 0, 60):
            send(company.gateway, metrics_data(grown, resource, round(at.timestamp() + seconds) * 10**9))
    growth = "SELECT month, metric, sum(growth) AS growth FROM claude.growth_monthly WHERE instance = 'archive' GROUP BY month, metric"
    wait_until(lambda: {row["month"] for row in company.clickhouse.ask(growth)} == set(months), 60)
    found = {(row["month"], row["metric"]): row["growth"] for row in company.clickhouse.ask(growth)}
    for metric in (COST, STORY_POINTS):
        total = sum(point.value for point in points if point.metric == metric) / metric.scale
        shares = zip(months, (1, 2, 1), strict=True)
        assert {month: found[month, metric.name] for month in months} == pytest.approx(
            {month: total * share for month, share in shares}
        )
        spring = company.clickhouse.ask(
            "SELECT sum(growth) AS growth FROM claude.growth(since = '2026-04-01 00:00:00', until = '2026-07-01 00:00:00') "
            f"WHERE instance = 'archive' AND metric = '{metric.name}'"
        )
        assert spring[0]["growth"] == pytest.approx(2 * total)
