"""The budgets for people: what is used, what the forecast is, and both as a sentence."""

from __future__ import annotations

import sqlite3
from typing import Any

from claude_hooks_otel.series.budgets import BudgetState, read_budgets
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import DOLLAR

__all__ = ["BudgetState", "as_json", "budgets", "title"]

_PERIODS = {"day": "today", "week": "this week", "month": "this month"}


def budgets(connection: sqlite3.Connection, config: Config, now_ns: int) -> list[BudgetState]:
    """Return the state of every budget, in the order of the configuration; empty if none is set.

    Args:
        connection: a connection to the store; reading is enough.
        config: what the owner has set.
        now_ns: the time, Unix nanoseconds.

    Raises:
        sqlite3.Error: the store cannot be read, or is none.
    """
    return read_budgets(connection, config.budgets, now_ns)


def title(state: BudgetState) -> str:
    """Return the name of a budget for people, for example ``today, agent backend``."""
    return _PERIODS[state.period] if state.scope == "all" else f"{_PERIODS[state.period]}, {state.scope} {state.name}"


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
