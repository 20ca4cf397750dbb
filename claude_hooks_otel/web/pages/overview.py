"""The overview: what a range cost, who did it and when, next to the range before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from claude_hooks_otel.formats import share
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.report.breakdown import COLUMNS, Breakdown, Column, Figures, break_down
from claude_hooks_otel.report.figures import figure_text
from claude_hooks_otel.web.charts import stacked
from claude_hooks_otel.web.pages import budgets
from claude_hooks_otel.web.question import Question
from claude_hooks_otel.web.tables import Table, breakdown_table
from claude_hooks_otel.web.view import Page, View

_BY_NAME: Final = {column.name: column for column in COLUMNS}
# All tokens, which are four columns of a report.
TOKENS: Final = Column("tokens", "tokens", ((catalog.TOKENS_INPUT, {}), (catalog.TOKENS_OUTPUT, {})), "tokens")
# What the chart can show, and by which groups.
MEASURES: Final = {
    "cost": ("Cost", _BY_NAME["cost_usd"]),
    "tokens": ("Tokens", TOKENS),
    "sessions": ("Sessions", _BY_NAME["sessions"]),
    "active": ("Active time", _BY_NAME["active_seconds"]),
}
STACKS: Final = ("model", "agent", "project")
SHOWN: Final = (
    "cost_usd", "output_tokens", "input_tokens", "cache_read_tokens", "cache_hit_share", "requests", "sessions", "active_seconds",
    "tool_calls",
)  # fmt: skip
# Two tables next to each other have less room.
FEW: Final = ("cost_usd", "output_tokens", "cache_hit_share", "sessions", "active_seconds")
DAYS_SHOWN: Final = (*SHOWN, "lines_added", "lines_deleted", "commits")


@dataclass(frozen=True, slots=True)
class Headline:
    """One large figure.

    Attributes:
        title: its name.
        text: its value.
        value: its exact value.
        change: how much it changed since the range before.
        before: its value in the range before; empty without one.
        href: the sessions behind it.
        trend: its values over time, from 0 to 1, for a small picture.
    """

    title: str
    text: str
    value: float | None
    change: str
    before: str
    href: str
    trend: tuple[float, ...] = ()


def build(view: View) -> Page:
    """Return the page."""
    question = view.question
    measure = view.parameters.get("measure", "cost")
    measure = measure if measure in MEASURES else "cost"
    column = MEASURES[measure][1]
    stacks = [name for name in STACKS if column.is_divided_by(name)]
    stack = view.parameters.get("stack", stacks[0])
    stack = stack if stack in stacks else stacks[0]
    by_time = view.by(question.step, columns=(*COLUMNS, TOKENS))
    tables = [_table(view, name) for name in STACKS]
    labels = {"hour": "hour", "day": "day"}
    times = breakdown_table("times", f"By {question.step}", by_time, question, shown=DAYS_SHOWN, labels=labels)
    chart = stacked(view.by(question.step, stack, columns=(column,)), column, question)
    shown_budgets, of_budgets = budgets.build(view)
    return Page(
        "overview",
        "Overview",
        {table.name: table for table in (*tables, times)} | of_budgets,
        {
            "budgets": shown_budgets,
            "headlines": headlines(view, by_time),
            "chart": chart,
            "measures": [
                (title, question.url("/", measure=name, stack=stack), name == measure)
                for name, (title, _) in MEASURES.items()
            ],
            "stacks": [(name, question.url("/", measure=measure, stack=name), name == stack) for name in stacks],
            "chart_title": f"{MEASURES[measure][0]} by {question.step}",
            "has_figures": bool(by_time.total.amounts),
        },
    )


def headlines(view: View, by_time: Breakdown) -> list[Headline]:
    """Return the large figures."""
    question = view.question
    columns = (*COLUMNS, TOKENS)
    before = None
    if question.before is not None:
        aggregates = view.of(question.before)
        before = break_down(aggregates, question.before, only=question.only, columns=columns).total
    found = [
        _headline(title, column, by_time, before, question)
        for title, column in (("Cost", _BY_NAME["cost_usd"]), ("Tokens", TOKENS), ("Sessions", _BY_NAME["sessions"]))
    ]
    found.append(_headline("Active time", _BY_NAME["active_seconds"], by_time, before, question))
    hits = by_time.total.cache_hit_share
    earlier = before.cache_hit_share if before else None
    points = "" if hits is None or earlier is None else _points(round(100 * hits) - round(100 * earlier))
    rows = [figures.cache_hit_share or 0 for _, figures in sorted(by_time.rows.items())]
    found.append(
        Headline(
            "Cache hits",
            share(hits),
            hits,
            points,
            share(earlier) if before else "",
            question.url("/technical"),
            tuple(rows),
        )
    )
    return found


def _headline(title: str, column: Column, by_time: Breakdown, before: Figures | None, question: Question) -> Headline:
    values = [figures.value(column) or 0 for _, figures in sorted(by_time.rows.items())]
    highest = max(values, default=0)
    earlier = None if before is None else before.value(column) or 0
    return Headline(
        title,
        figure_text(by_time.total, column),
        by_time.total.value(column),
        _change(by_time.total.value(column) or 0, earlier),
        "" if before is None else figure_text(before, column),
        question.url("/sessions"),
        tuple(value / highest for value in values) if highest else (),
    )


def _change(value: float, earlier: float | None) -> str:
    """Return how much a figure changed, in percent; empty if there is nothing to compare with."""
    if not earlier:
        return ""
    change = round(100 * (value - earlier) / earlier)
    return f"{change:+,d}%".replace("-", "−") if change else "unchanged"


def _points(change: int) -> str:
    """Return how much a percentage changed."""
    unit = "point" if abs(change) == 1 else "points"
    return f"{change:+d} {unit}".replace("-", "−") if change else "unchanged"


def _table(view: View, group: str) -> Table:
    plural = {"agent": "Agents", "project": "Projects", "model": "Models"}[group]
    return breakdown_table(f"{group}s", plural, view.by(group), view.question, shown=SHOWN if group == "model" else FEW)


def empty_values(view: View) -> dict[str, Any]:
    """Return what an empty range says: when something was last counted."""
    newest = view.connection.execute("SELECT MAX(bucket) FROM aggregate").fetchone()[0]
    return {"newest_bucket": newest}
