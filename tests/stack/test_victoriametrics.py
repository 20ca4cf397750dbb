"""A team whose gateway writes to VictoriaMetrics: the dashboards show for a time range what happened in it. Vmalert evaluates the rules.

tests/stack/test_panels.py compares every expression on VictoriaMetrics and Prometheus with the same samples.
"""

from __future__ import annotations

import math
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from claude_hooks_otel.metrics import catalog
from monitoring.expressions import BAR, CARRIED, RANGE, REMEMBERED, carry, change, fill
from monitoring.rig.local import HASTE
from monitoring.rig.stack import Server
from monitoring.rig.stores import Stores
from monitoring.rig.victoria import VictoriaMetrics
from tests.support.real_daemon import wait_until
from tests.support.stack.day import Day, exactly, growing_panels, wanted
from tests.support.stack.gateway import Gateway
from tests.support.stack.panels import panel_queries, rule_expressions
from tests.support.stack.team import Machine, final_totals

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]


# A sample has the time at which the daemon made it. A minute's outage takes a few seconds here, so samples arrive up to ten seconds late.
# They have to be younger than the range for raw samples then, and a night has to be longer than it.
PACE = replace(HASTE, recent="20s")
NIGHT = 21.0


# VictoriaMetrics's own values of two flags that docs/scale.md sets.
DEFAULTS = ("-search.latencyOffset=30s", "-search.minStalenessInterval=0s")


class Team(VictoriaMetrics):
    """The shipped gateway in front of a VictoriaMetrics, with the names that a day needs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PACE)
        self.gateway = Gateway(folder, self, Stores(folder))  # the stores do not run: their items wait in the queue
        self.collector: Server = self.gateway.server
        self.prometheus: Server = self.server  # it is in Prometheus's place

    @property
    def through_the_collector(self) -> dict[str, str]:
        return self.gateway.variables()


class TeamDay(Day):
    """A day of the team."""

    def play(self) -> None:
        laptop, tower = self.machines
        self.moments.append((time.time(), Counter()))
        laptop.installation.start()
        laptop.play("basic-edit")
        self.note()

        laptop.installation.kill(signal.SIGTERM)
        time.sleep(NIGHT)  # the samples become too old for a query: only carried totals are left
        self.moments.append((time.time(), self.moments[-1][1]))

        tower.installation.start()
        tower.play("subagents")
        laptop.installation.start()
        laptop.play("tasks")
        self.note()

        self.stack.collector.stop(kill=True)
        self.stack.collector.start()
        laptop.play("lines")
        self.note()

        self.stack.collector.stop()
        tower.play("files")
        final_totals(self.machines)
        self.stack.collector.start()
        self.note()

        self.stack.prometheus.stop()
        tower.play("skills")
        final_totals(self.machines)
        self.stack.prometheus.start()
        self.note()
        # For about ten seconds after its first sample, a series may be missing from the answer to a repeated query.
        wait_until(self.has_every_series, 60)

    def has_every_series(self) -> bool:
        """Return whether VictoriaMetrics finds the total of every metric by its name."""
        totals = self.moments[-1][1]
        return all(
            exactly(name, self.stack.instant(f"sum(last_over_time({name}[1h]))"), wanted(totals, name, ()))
            for name in {name for name, _ in totals}
            if name != "claude_hooks_export_failures_total"  # it grew while the day was noted
        )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Day]:
    """Play the day once. The gateway is killed in it, each of the servers is away for a while, and a night passes."""
    folder = tmp_path_factory.mktemp("day")
    with Team(folder / "team") as team:
        team.collector.start()
        played = TeamDay(team, folder)
        try:
            played.play()
            yield played
        finally:
            played.close()
            team.collector.stop()


def test_every_growing_panel_is_exact_between_any_two_moments_of_the_day(day: Day) -> None:
    compared = 0
    for metric, part, by, expression in growing_panels(RANGE):
        if "instance" in by:
            continue  # the totals have no instance label
        name = metric.prometheus_name + part
        for start, end, happened in day.ranges():
            found = day.stack.instant(fill(expression, end - start), end)
            exact = wanted(happened, name, by)
            assert exactly(name, found, exact), (name, by, start, end, found, exact)
            compared += sum(1 for value in exact.values() if value)
    assert compared > 500


def test_the_cost_of_every_range_is_the_cost_of_the_stores_to_the_cent(day: Day) -> None:
    (panel,) = [query for query in panel_queries() if str(query) == "claude-executive: Cost in range"]
    for start, end, happened in day.ranges():
        (found,) = day.stack.instant(panel.filled(end - start), end).values() or (0.0,)
        (exact,) = wanted(happened, "claude_api_cost_usd_total", ()).values() or (0,)
        assert abs(found - exact / catalog.COST.scale) < 0.005, (start, end)


def test_bars_add_up_to_what_happened(day: Day) -> None:
    """VictoriaMetrics moves the points of a graph to multiples of the step, so the bars begin and end at such a multiple."""
    first, last = day.moments[0][0], day.moments[-1][0]
    bar = math.ceil((last - first) / 40)
    end = math.ceil(last / bar) * bar
    wait_until(lambda: time.time() > end, bar + 5)
    for metric, part, by, expression in growing_panels(BAR):
        name = metric.prometheus_name + part
        graph = day.stack.over_time(fill(expression, 0, bar), end - 41 * bar, end, bar)
        found = {labels: sum(value for _, value in points) for labels, points in graph.items()}
        assert exactly(name, found, wanted(day.moments[-1][1], name, by)), (name, by)


def test_vmalert_evaluates_every_shipped_rule(day: Day) -> None:
    assert isinstance(day.stack, Team)
    rules = day.stack.rules()
    assert {rule["name"] for rule in rules} == {name for name, _ in rule_expressions()}
    assert {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok"} == {}
    name = "claude_sessions_total"
    totals = day.stack.instant(f"sum({carry(name)})")
    assert day.stack.instant(f"sum(last_over_time({name}{CARRIED}[{REMEMBERED}]))") == totals
    assert totals


@pytest.mark.parametrize(("flags", "newest", "tail"), [((), 5.0, 285), (DEFAULTS, None, 60)], ids=["flags", "defaults"])
def test_the_flags_show_the_newest_sample_and_five_minutes_of_a_silent_gauge(
    tmp_path: Path, servers: None, flags: tuple[str, ...], newest: float | None, tail: float
) -> None:
    """Prometheus shows both. VictoriaMetrics with its defaults shows neither."""
    with VictoriaMetrics(tmp_path, rules=False, flags=flags) as victoria:
        now = int(time.time()) // 60 * 60
        ended = now - 1200
        samples = [f"silent 1 {(ended - 60 * number) * 1000}" for number in range(30)] + [
            f"new 5 {time.time_ns() // 10**6 - 5000}"
        ]
        for path, body in (("/api/v1/import/prometheus", "\n".join(samples)), ("/internal/force_flush", "")):
            urllib.request.urlopen(victoria.url + path, body.encode()).close()
        (graph,) = victoria.over_time("silent", ended - 120, ended + 600, 15).values()
        assert graph[-1][0] - ended == tail
        assert victoria.instant("sum(new)").get(frozenset()) == newest


def test_increase_counts_other_numbers_on_both_servers(day: Day) -> None:
    """It does not extrapolate on VictoriaMetrics, but it starts a series at its first sample. So no expression uses it."""
    name = "claude_tokens_input_total"
    missing = 0
    for start, end, happened in day.ranges():
        answer = day.stack.instant(f"sum(increase({name}[{round((end - start) * 1000)}ms]))", end)
        exact = sum(wanted(happened, name, ()).values())
        missing += not math.isclose(answer.get(frozenset(), 0.0), exact)
    assert missing


def test_totals_arrive_at_the_otlp_endpoint_with_the_labels_of_the_catalog(day: Day, tmp_path: Path) -> None:
    """Without a Collector: the flag for names, and the shipped file for `job` and `instance`."""
    assert isinstance(day.stack, Team)
    machine = Machine(tmp_path / "straight", day.stack.through_otlp)
    try:
        machine.installation.start()
        machine.play("basic-edit")
        totals = final_totals([machine])
        question = f'last_over_time({{__name__=~"claude_.+", instance="{machine.instance}"}}[1h])'
        wait_until(lambda: len(day.stack.instant(question)) >= len(totals))
        at = time.time()
        label = f'instance="{machine.instance}"'
        for name in ("claude_sessions_total", "claude_tool_calls_total", "claude_turn_duration_seconds_count"):
            exact = sum(value for (each, _), value in totals.items() if each == name)
            assert day.stack.instant(f"sum({change(name, '10m', label)})", at) == {frozenset(): exact}
        found = day.stack.instant(question, at)
        assert {dict(labels)["job"] for labels in found} == {"claude-hooks-otel"}
        known = {label for metric in catalog.METRICS for label in metric.all_labels}
        assert {label for labels in found for label, _ in labels} <= known | {"__name__", "job", "instance", "le"}
    finally:
        machine.installation.close()
