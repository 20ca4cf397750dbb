"""The budgets for people: what is used, what the forecast is, and both as a sentence or a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from claude_hooks_otel.formats import share
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.home.prompt_files import read_lifted
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.series.budget_texts import announcement, as_json, money, title
from claude_hooks_otel.series.budgets import BudgetState, read_budgets
from claude_hooks_otel.series.periods import find_zone, moment
from claude_hooks_otel.settings import BudgetsConfig, Config

__all__ = [
    "BudgetState",
    "announcement",
    "as_json",
    "blocking",
    "budgets",
    "ends",
    "grid",
    "money",
    "of_group",
    "title",
    "used",
]

# The columns that a narrow terminal does without.
DISPENSABLE: Final = ("ends", "of limit")


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


def blocking(home: Home, states: Sequence[BudgetState], config: BudgetsConfig) -> list[BudgetState]:
    """Return the budgets that block prompts."""
    lifted = read_lifted(home) if config.block else ()
    return [state for state in states if config.block and state.is_used_up and state.key not in lifted]


def of_group(states: Sequence[BudgetState], only: Mapping[str, str | None]) -> list[BudgetState]:
    """Return the budgets that can count a group's cost: all but those of another agent or project.

    Args:
        states: the budgets.
        only: ``agent`` and ``project`` → the name that is asked for; None for every name.
    """
    wanted = {scope: normalize(name) for scope, name in only.items() if name}
    return [state for state in states if wanted.get(state.scope, state.name) == state.name]


def used(state: BudgetState) -> str:
    """Return what is used, in US dollars. A ``>`` says that tokens without a price are missing in it."""
    return f"{'>' if state.unpriced_tokens else ''}{money(state.used)}"


def ends(state: BudgetState, config: BudgetsConfig) -> str:
    """Return when the period is over, in the time zone of the budgets."""
    return f"{moment(state.end_ns, find_zone(config.time_zone)):%Y-%m-%d %H:%M}"


def grid(states: Sequence[BudgetState], config: BudgetsConfig) -> Grid:
    """Return the budgets as a table, one line each. DISPENSABLE names the columns that may be left out."""
    found = Grid("Budgets", ["budget"], ["limit", "used", "share", "forecast", "of limit", "ends"], longest_name=40)
    for state in states:
        found.rows.append(
            [
                title(state), money(state.limit), used(state), share(state.used_share), money(state.forecast),
                share(state.forecast_share), ends(state, config),
            ]
        )  # fmt: skip
    if any(state.unpriced_tokens for state in states):
        found.note = "> The cost lacks tokens of models without a price. `claude-hooks-otel doctor` names the models."
    return found
