"""The budgets in sentences, for notifications, blocks and commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.formats import share
from claude_hooks_otel.series.budgets import BudgetState
from claude_hooks_otel.series.periods import find_zone, moment
from claude_hooks_otel.settings import BudgetsConfig
from claude_hooks_otel.units import DOLLAR

_PERIODS: Final = {"day": "today", "week": "this week", "month": "this month"}
_ENDS: Final = {"day": "today", "week": "the week", "month": "the month"}


def title(state: BudgetState) -> str:
    """Return the name of a budget for people, for example ``today, agent backend``."""
    return _PERIODS[state.period] if state.scope == "all" else f"{_PERIODS[state.period]}, {state.scope} {state.name}"


def headline(state: BudgetState, percent: int) -> str:
    """Return a threshold in a few words, for example ``Budget for today: 80% used``."""
    return f"Budget for {title(state)}: {percent}% used"


def announcement(state: BudgetState) -> str:
    """Return how much is used and what is expected, in a sentence."""
    known = f"{money(state.used)} of {money(state.limit)} ({share(state.used_share)})"
    unpriced = " Tokens of models without a price are missing in it." if state.unpriced_tokens else ""
    return f"{known}. Forecast for the end of {_ENDS[state.period]}: {money(state.forecast)} ({share(state.forecast_share)}).{unpriced}"


def block_reason(state: BudgetState, config: BudgetsConfig, file: Path) -> str:
    """Return why prompts are blocked, until when, and what lifts the block."""
    until = moment(state.end_ns, find_zone(config.time_zone))
    return (
        f"The budget for {title(state)} is used up: {money(state.used)} of {money(state.limit)}. Its owner has set [budgets] block, so "
        f"prompts are refused until {until:%Y-%m-%d %H:%M}. To go on before, run `claude-hooks-otel budgets --lift` in a terminal, or raise "
        f"the limit in {file}."
    )


def details(state: BudgetState, percent: int) -> dict[str, Any]:
    """Return the fields of a webhook with the format ``json``."""
    return {"threshold_percent": percent, **as_json(state)}


def as_json(state: BudgetState) -> dict[str, Any]:
    """Return a budget as an object for JSON, with amounts in US dollars and times in Unix nanoseconds."""
    return {
        "scope": state.scope,
        "name": state.name,
        "period": state.period,
        "begin_ns": state.begin_ns,
        "end_ns": state.end_ns,
        "limit_usd": state.limit / DOLLAR,
        "used_usd": state.used / DOLLAR,
        "forecast_usd": state.forecast / DOLLAR,
        "used_share": state.used_share,
        "forecast_share": state.forecast_share,
        "unpriced_tokens": state.unpriced_tokens,
        "reached_percent": state.reached,
    }


def money(picodollars: int) -> str:
    """Return an amount in US dollars. Less than a cent is shown with four digits."""
    dollars = picodollars / DOLLAR
    return f"${dollars:,.4f}" if 0 < dollars < 0.01 else f"${dollars:,.2f}"
