"""The budgets for people: what is used, what the forecast is, and both as a sentence."""

from __future__ import annotations

import sqlite3

from claude_hooks_otel.series.budget_texts import announcement, as_json, money, title
from claude_hooks_otel.series.budgets import BudgetState, read_budgets
from claude_hooks_otel.settings import Config

__all__ = ["BudgetState", "announcement", "as_json", "budgets", "money", "title"]


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
