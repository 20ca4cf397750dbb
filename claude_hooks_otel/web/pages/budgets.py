"""The budgets on the overview. They are those of now, whatever the range and the filters of the page are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.formats import share
from claude_hooks_otel.report.budgets import BudgetState, as_json, blocking, budgets, ends, money, title, used
from claude_hooks_otel.settings import load_usable
from claude_hooks_otel.units import SECOND
from claude_hooks_otel.web.tables import Table
from claude_hooks_otel.web.view import View

# While nothing in the store and in the configuration changes, only the forecast moves: so often it is computed again, nanoseconds.
KEPT_UNCHANGED: Final = 10 * SECOND


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget, for people.

    Attributes:
        title: its name.
        used: what is used, in US dollars.
        limit: how much that may be.
        share: the used share.
        forecast: what the period will have cost at its end.
        forecast_share: the same as a share of the limit.
        ends: when the period is over.
        bar: the used share, at most 1.
        forecast_bar: the share of the forecast, at most 1.
        tone: ``bad`` if it is used up, ``warn`` if it will be or has reached a threshold; otherwise empty.
        blocks: whether prompts are refused because of it.
        is_incomplete: whether tokens without a price are missing in it.
    """

    title: str
    used: str
    limit: str
    share: str
    forecast: str
    forecast_share: str
    ends: str
    bar: float
    forecast_bar: float
    tone: str
    blocks: bool
    is_incomplete: bool


def build(view: View) -> tuple[list[Budget], dict[str, Table]]:
    """Return the budgets, and their table for CSV and JSON, which equals ``budgets --json``; nothing at all without budgets."""
    config = load_usable(view.home.config, view.home.last_config, {})[0]
    if not any(config.budgets.limits()):
        return [], {}
    now_ns = view.question.now_ns
    version = (view.version, now_ns // KEPT_UNCHANGED, config.budgets.model_dump_json())
    states = view.memory.keep("budgets", version, lambda: budgets(view.connection, config, now_ns))
    blocked = blocking(view.home, states, config.budgets)
    table = Table("budgets", "Budgets", ())
    table.records = [{**as_json(state), "blocks_prompts": state in blocked} for state in states]
    found = [
        Budget(
            title=title(state),
            used=used(state),
            limit=money(state.limit),
            share=share(state.used_share),
            forecast=money(state.forecast),
            forecast_share=share(state.forecast_share),
            ends=ends(state, config.budgets),
            bar=min(1.0, state.used_share),
            forecast_bar=min(1.0, state.forecast_share),
            tone=_tone(state),
            blocks=state in blocked,
            is_incomplete=bool(state.unpriced_tokens),
        )
        for state in states
    ]
    return found, {table.name: table}


def _tone(state: BudgetState) -> str:
    if state.is_used_up:
        return "bad"
    return "warn" if state.reached is not None or state.forecast >= state.limit else ""
