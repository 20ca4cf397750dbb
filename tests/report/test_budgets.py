"""A budget's used amount equals the report of the same range, and its forecast goes on like the last seven days."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.breakdown import break_down
from claude_hooks_otel.report.budgets import BudgetState, budgets, title
from claude_hooks_otel.report.ranges import parse_range
from claude_hooks_otel.series.aggregates import read_aggregates
from claude_hooks_otel.settings import BudgetsConfig, Config
from claude_hooks_otel.units import DAY, DOLLAR, HOUR, SECOND
from tests.support.replay import Clock

ZONE = "Asia/Kolkata"  # its days begin at half past
# A Wednesday.
NOW = round(datetime(2026, 11, 25, 12, tzinfo=ZoneInfo(ZONE)).timestamp()) * SECOND
MIDNIGHT = NOW - 12 * HOUR
_numbers = itertools.count()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = assemble_core(Home(tmp_path), Config(), Clock(NOW))
    yield core
    core.store.close()


def spend(core: Core, dollars: float, at_ns: int, agent: str = "backend", team: str | None = None) -> None:
    request = model.ApiRequest(
        message_id=str(next(_numbers)), answer_id="", model="m", agent_type="main", at_ns=at_ns, input_tokens=1, output_tokens=0,
        cost=round(dollars * DOLLAR), agent=agent, project="shop", team=team,
    )  # fmt: skip
    with core.store.transaction():
        core.facts.upsert(request)


def states(core: Core, now_ns: int = NOW, **given: object) -> dict[str, BudgetState]:
    config = Config.model_validate({"budgets": {"time_zone": ZONE, **given}})
    return {title(state): state for state in budgets(core.store.connection, config, now_ns)}


def reported(core: Core, word: str, **only: str) -> float | None:
    within = parse_range(word, since=None, until=None, last=None, zone=ZONE, now_ns=NOW)
    aggregates = read_aggregates(core.store.connection, within.since_ns, within.until_ns)
    found = break_down(aggregates, within, only={name: [value] for name, value in only.items()})
    return found.total.amounts.get("cost_usd")


def test_the_used_amount_equals_the_report_of_the_period(core: Core) -> None:
    for hours in (0, 11, 12, 13, 36, 60, 61, 300, 600, 613, 614):
        spend(core, 0.1 + hours / 7, NOW - hours * HOUR, agent=("backend", "frontend")[hours % 2], team="core")
    found = states(
        core,
        day=1,
        week=2,
        month=3,
        agent={"Back End": {"day": 1}, "backend": {"month": 9}},
        team={"core": {"week": 1}},
    )
    for word, name in (("today", "today"), ("week", "this week"), ("month", "this month")):
        assert found[name].used == reported(core, word)
    assert found["this month, agent backend"].used == reported(core, "month", agent="backend")
    assert found["this week, team core"].used == reported(core, "week", team="core")
    assert found["today, agent back-end"].used == 0
    assert 0 < found["today"].used < found["this week"].used < found["this month"].used


def test_the_forecast_adds_the_mean_of_the_last_seven_days(core: Core) -> None:
    spend(core, 100, NOW - 30 * DAY)  # the store is older than the mean
    spend(core, 14, NOW - 2 * DAY)
    spend(core, 7, MIDNIGHT)
    found = states(core, day=10, month=100)
    assert found["today"].used == 7 * DOLLAR
    assert found["today"].forecast == pytest.approx((7 + 3 * 0.5) * DOLLAR)
    days_left = (found["this month"].end_ns - NOW) / DAY
    assert found["this month"].forecast == pytest.approx((21 + 3 * days_left) * DOLLAR)
    assert found["today"].forecast_share == pytest.approx(0.85)


def test_a_young_store_is_taken_as_a_day_old(core: Core) -> None:
    spend(core, 4, NOW - HOUR)
    found = states(core, day=10)["today"]
    assert found.forecast == pytest.approx((4 + 4 * 0.5) * DOLLAR)


def test_a_period_ends_and_the_next_one_is_empty(core: Core) -> None:
    spend(core, 4, NOW)
    before, after = (states(core, MIDNIGHT + DAY + offset, day=4)["today"] for offset in (-SECOND, 0))
    assert (before.used, before.is_used_up, before.reached) == (4 * DOLLAR, True, 100)
    assert (after.used, after.is_used_up, after.reached) == (0, False, None)
    assert before.end_ns == after.begin_ns
    assert before.key != after.key


@pytest.mark.parametrize(("dollars", "reached"), [(7.99, None), (8, 80), (9.99, 80), (10, 100), (99, 100)])
def test_a_threshold_is_reached_exactly(core: Core, dollars: float, reached: int | None) -> None:
    spend(core, dollars, NOW)
    assert states(core, day=10)["today"].reached == reached


def test_no_budgets_need_no_store() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert budgets(connection, Config(), NOW) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"day": 0}, "greater than 0"),
        ({"day": "nan"}, "finite"),
        ({"time_zone": "Mars/Olympus"}, "time zone is expected"),
        ({"notify": ["webhook"]}, "url is expected"),
        ({"notify": ["pigeon"]}, "message"),
        ({"thresholds": [0]}, "greater than or equal to 1"),
        ({"agent": {str(number): {"day": 1} for number in range(201)}}, "at most 200 budgets"),
        ({"webhook": {"url": "ftp://x"}}, "pattern"),
        ({"webhook": {"url": "http://x", "headers": {"a b": "c"}}}, "pattern"),
    ],
)
def test_an_invalid_budget_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BudgetsConfig.model_validate(given)


def test_the_webhook_is_not_shown() -> None:
    config = BudgetsConfig.model_validate({"webhook": {"url": "http://x/secret", "headers": {"a": "secret"}}})
    assert "secret" not in repr(config)
