"""A scripted day on a real Collector and a real Prometheus: the dashboards show for a time range what happened in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitoring.expressions import BAR, RANGE, fill
from monitoring.rig.local import HASTE
from monitoring.rig.stack import Stack
from tests.support.corpus import Scenario
from tests.support.real_daemon import _complete_sessions
from tests.support.stack.day import Day, exactly, growing_panels, wanted
from tests.support.stack.panels import panel_queries

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Day]:
    """Play the day once."""
    folder = tmp_path_factory.mktemp("day")
    with Stack(folder, HASTE) as stack:
        played = Day(stack, folder)
        try:
            played.play()
            yield played
        finally:
            played.close()


def test_every_growing_panel_is_exact_between_any_two_moments_of_the_day(day: Day) -> None:
    checked = compared = 0
    for metric, part, by, expression in growing_panels(RANGE):
        if "instance" in by:
            continue  # the totals have no instance label
        name = metric.prometheus_name + part
        for start, end, happened in day.ranges():
            found = day.stack.instant(fill(expression, end - start), end)
            exact = wanted(happened, name, by)
            assert exactly(name, found, exact), (name, by, start, end, found, exact)
            compared += sum(1 for value in exact.values() if value)
        checked += 1
    assert checked > 40
    assert compared > 500


def test_the_bars_of_a_range_add_up_to_what_happened_in_it(day: Day) -> None:
    (start, _), *_, (end, totals) = day.moments
    bar = round((end - start) / 40, 3)
    first = end - 40 * bar
    for metric, part, by, expression in growing_panels(BAR):
        name = metric.prometheus_name + part
        found = {
            labels: sum(value for _, value in values)
            for labels, values in day.stack.over_time(fill(expression, 0, bar), first + bar, end, bar).items()
        }
        exact = wanted(totals, name, by)
        assert exactly(name, found, exact), (name, by, found, exact)


def test_increase_misses_what_happened_in_some_range(day: Day) -> None:
    """This is why no expression uses it."""
    name = "claude_sessions_total"
    found: list[float] = []
    for start, end, happened in day.ranges():
        if exact := sum(wanted(happened, name, ()).values()):
            answer = day.stack.instant(f"sum(increase({name}[{round((end - start) * 1000)}ms]))", end)
            found.append(answer.get(frozenset(), 0.0) / exact)
    assert min(found) < 0.9  # how much is missing depends on the times of the samples: in the whole day 57 to 72 of 74


def test_the_dashboards_agree_with_the_clients_own_telemetry(day: Day) -> None:
    dollars = calls = 0.0
    for name in ("basic-edit", "subagents", "tasks", "lines", "files", "skills"):
        scenario = Scenario(name)
        complete = {hook.fields["session_id"] for hook in _complete_sessions(scenario)}
        for session, told in scenario.truth["sessions"].items():
            if session in complete:
                dollars += sum(point["value"] for point in told["metrics"].get("cost.usage", ()))
                calls += sum(
                    point["value"] for point in told["metrics"].get("token.usage", ()) if point["type"] == "output"
                )
    (start, _), *_, (end, _) = day.moments
    queries = {str(query): query for query in panel_queries()}
    cost = day.stack.instant(queries["claude-executive: Cost in range"].filled(end - start), end)
    tokens = day.stack.instant(queries["claude-technical: Tokens out"].filled(end - start), end)
    assert cost[frozenset()] == pytest.approx(dollars, abs=0.005)
    assert tokens[frozenset()] == calls
