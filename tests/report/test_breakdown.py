"""Every breakdown of a range adds up to the range, and the whole range to the totals."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.report.breakdown import COLUMNS, GROUPS, NONE, TIMES, Breakdown, break_down, read_breakdown
from claude_hooks_otel.report.ranges import Range, parse_range
from claude_hooks_otel.series.aggregates import Aggregate, read_aggregates
from claude_hooks_otel.units import DAY, DOLLAR, END_OF_TIME, HOUR, SECOND
from tests.support.corpus import Scenario
from tests.support.replay import play

NOW = 1_800_000_000 * SECOND
EVERYTHING = parse_range(None, since=None, until=None, last=None, zone="Asia/Kolkata", now_ns=NOW)


def read(replay_folder: Path, name: str) -> tuple[list[Aggregate], dict[str, int]]:
    """Return the sums of a recorded scenario, and metric → total."""
    replay = play(Scenario(name), replay_folder)
    totals: dict[str, int] = {}
    for point in replay.core.totals.points():
        totals[point.metric.name] = totals.get(point.metric.name, 0) + point.value
    found = list(read_aggregates(replay.core.store.connection, EVERYTHING.since_ns, EVERYTHING.until_ns))
    replay.core.store.close()
    return found, totals


@pytest.mark.parametrize("name", ["git-work", "subagents", "tasks", "models"])
def test_every_breakdown_adds_up_to_the_totals(name: str, tmp_path: Path) -> None:
    aggregates, totals = read(tmp_path, name)
    choices: list[tuple[str, ...]] = [(), *((group,) for group in GROUPS), *combinations(GROUPS, 2)]
    for by in choices:
        found = break_down(aggregates, EVERYTHING, by=by)
        assert found.differences() == {}, by
        for column, metric in (
            ("cost_usd", catalog.COST),
            ("output_tokens", catalog.TOKENS_OUTPUT),
            ("commits", catalog.COMMITS),
        ):
            assert found.total.amounts.get(column, 0) == totals.get(metric.name, 0)
        if by and all(group in (*TIMES, "agent", "project", "model", "agent-type") for group in by):
            assert sum(row.amounts.get("cost_usd", 0) for row in found.rows.values()) == totals.get(
                catalog.COST.name, 0
            )


def test_sessions_and_branches_add_up_also_when_sessions_were_deleted(tmp_path: Path) -> None:
    """What belongs to no session, or to a deleted one, is in a row of its own."""
    replay = play(Scenario("forks"), tmp_path)
    connection = replay.core.store.connection
    sessions = {session.session_id for session in replay.core.facts.select(model.Session)}
    cost = {
        session_id: sum(
            each.cost or 0 for each in replay.core.facts.select(model.ApiRequest, "session_id = ?", session_id)
        )
        for session_id in sessions
    }
    found = read_breakdown(connection, EVERYTHING, by=("session", "model"))
    assert found.differences() == {}
    assert {session_id for session_id, _ in found.rows} <= sessions | {NONE}
    alone = read_breakdown(connection, EVERYTHING, by=("session",)).rows
    assert {each: alone[(each,)].amounts["cost_usd"] >= cost[each] for each in cost if cost[each]} == {
        each: True for each in cost if cost[each]
    }  # side requests come on top
    branches = read_breakdown(connection, EVERYTHING, by=("branch",))
    assert branches.differences() == {}
    replay.core.intake.forget(replay.clock.now_ns + DAY)
    after = read_breakdown(connection, EVERYTHING, by=("session",))
    assert (after.differences(), set(after.rows)) == ({}, {(NONE,)})
    assert after.total.amounts == found.total.amounts
    replay.core.store.close()


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_a_long_range_has_the_same_figures_day_by_day_and_half_hour_by_half_hour(zone: str, tmp_path: Path) -> None:
    replay = play(Scenario("models"), tmp_path)
    connection = replay.core.store.connection
    everything = parse_range(None, since=None, until=None, last=None, zone=zone, now_ns=NOW)
    for by in ((), ("day",), ("week", "model"), ("tool",), ("project", "month")):
        exact = break_down(read_aggregates(connection, 0, END_OF_TIME), everything, by=by)
        found = read_breakdown(connection, everything, by=by)
        assert found.total.amounts == exact.total.amounts
        assert {group: row.amounts for group, row in found.rows.items()} == {
            group: row.amounts for group, row in exact.rows.items()
        }
    replay.core.store.close()


def aggregate(hour: int, metric: Metric, value: int, **labels: str) -> Aggregate:
    common = {"agent": "a", "project": "p"} | labels
    return Aggregate(hour * HOUR, metric.name, tuple(sorted(common.items())), value, 1)


SUMS = [
    aggregate(18, catalog.COST, 3 * DOLLAR, model="opus", agent_type="main"),
    aggregate(19, catalog.COST, 1 * DOLLAR, model="haiku", agent_type="main", agent="b"),
    aggregate(19, catalog.SESSIONS, 2, source="startup"),
    aggregate(19, catalog.TOKENS_INPUT, 30, model="opus", agent_type="main", cache="read"),
    aggregate(19, catalog.TOKENS_INPUT, 10, model="opus", agent_type="main", cache="none"),
    aggregate(19, catalog.TOOL_CALLS, 4, tool="bash", outcome="error", team="core"),
    aggregate(19, catalog.TOOL_CALLS, 5, tool="bash", outcome="success"),
]


def figures(found: Breakdown, column: str) -> dict[tuple[str, ...], float | None]:
    (wanted,) = [each for each in COLUMNS if each.name == column]
    return {group: row.value(wanted) for group, row in found.rows.items() if row.value(wanted) is not None}


def test_a_day_begins_at_midnight_in_the_zone() -> None:
    """In India, 18:30 UTC is midnight."""
    assert figures(break_down(SUMS, EVERYTHING, by=["day"]), "cost_usd") == {("1970-01-01",): 3, ("1970-01-02",): 1}


def test_a_figure_that_a_group_does_not_divide_is_only_in_the_total() -> None:
    found = break_down(SUMS, EVERYTHING, by=["model"])
    assert figures(found, "cost_usd") == {("opus",): 3, ("haiku",): 1}
    assert figures(found, "sessions") == {}
    assert found.total.amounts["sessions"] == 2
    assert figures(found, "errors") == {}  # the errors of tools have no model


def test_a_sum_without_a_label_is_a_row_of_its_own() -> None:
    assert figures(break_down(SUMS, EVERYTHING, by=["team"]), "tool_calls") == {("core",): 4, ("none",): 5}


def test_two_groups_divide_each_other() -> None:
    found = break_down(SUMS, EVERYTHING, by=["agent", "model"])
    assert figures(found, "cost_usd") == {("a", "opus"): 3, ("b", "haiku"): 1}


def test_a_filter_leaves_out_what_it_does_not_divide() -> None:
    found = break_down(SUMS, EVERYTHING, by=["agent"], only={"model": ["Opus"]})
    assert figures(found, "cost_usd") == {("a",): 3}
    assert "sessions" not in found.total.amounts


def test_the_cache_hit_share_is_that_of_all_input() -> None:
    assert break_down(SUMS, EVERYTHING).total.cache_hit_share == 0.75
    assert break_down([], EVERYTHING).total.cache_hit_share is None


def test_the_steps_of_a_row_add_up_to_its_cost() -> None:
    found = break_down(SUMS, EVERYTHING, by=["model"])
    assert [sum(row.steps) for row in found.rows.values()] == [3 * DOLLAR, 1 * DOLLAR]
    assert sum(found.total.steps) == 4 * DOLLAR
    assert found.rows["opus",].steps[0] == 3 * DOLLAR
    assert found.rows["haiku",].steps[-1] == DOLLAR


def test_a_difference_is_named() -> None:
    found = break_down(SUMS, EVERYTHING, by=["model"])
    found.total.amounts["cost_usd"] += 5
    assert found.differences() == {"cost_usd": 5}


def test_a_narrow_range_has_only_its_own_half_hours() -> None:
    within = Range(19 * HOUR, 20 * HOUR, EVERYTHING.zone)
    assert (
        break_down([each for each in SUMS if each.begin_ns >= within.since_ns], within).total.amounts["cost_usd"]
        == DOLLAR
    )
