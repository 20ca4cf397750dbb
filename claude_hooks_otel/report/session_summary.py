"""One session as a whole: what it cost and what it did, as figures and as Markdown for a pull request or the summary of a CI job."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import decode_labels
from claude_hooks_otel.report.breakdown import COLUMNS, Column, Figures, break_down
from claude_hooks_otel.report.figures import cell, figure_text
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.report.markdown import plain, table
from claude_hooks_otel.report.ranges import EVERYTHING
from claude_hooks_otel.report.sessions import SessionRow, read_some_sessions
from claude_hooks_otel.report.summary import by_model, by_tool
from claude_hooks_otel.report.tables import models, tools
from claude_hooks_otel.series.aggregates import Aggregate
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.units import SECOND, duration_text

# Figures that only a summary has.
MORE: Final = (
    Column("files_modified", "files changed", ((catalog.FILES_MODIFIED, {}),)),
    Column("pull_requests", "pull requests opened", ((catalog.PULL_REQUESTS, {"action": "created"}),)),
    Column("tests_passed", "tests passed", ((catalog.TESTS, {"outcome": "passed"}),)),
    Column("tests_failed", "tests failed", ((catalog.TESTS, {"outcome": "failed"}),)),
    Column("subagents", "sub-agents", ((catalog.SUBAGENTS, {}),)),
)
# What the table of the work shows.
_WORK: Final = (
    "files_modified", "lines_added", "lines_deleted", "commits", "pull_requests", "tests_passed", "tests_failed", "tasks", "subagents",
)  # fmt: skip
_TITLES: Final = {"lines_added": "lines added", "lines_deleted": "lines deleted", "tasks": "tasks done"}


@dataclass(frozen=True, slots=True)
class Summary:
    """One session.

    Attributes:
        session: its row of the list.
        figures: everything that it did.
        points: its part of each series.
    """

    session: SessionRow
    figures: Figures
    points: list[SeriesPoint]

    @property
    def seconds(self) -> float:
        """How long it was there, from its first sign to its last."""
        return (self.session.seen_ns - self.session.began_ns) / SECOND

    def values(self) -> dict[str, float | None]:
        """Return the name of each figure → its value in its unit; 0 for what did not happen."""
        found: dict[str, float | None] = {column.name: self.figures.value(column) or 0 for column in (*COLUMNS, *MORE)}
        is_unpriced = bool(found["unpriced_tokens"]) and not found["cost_usd"]
        return found | ({"cost_usd": None} if is_unpriced else {}) | {"duration_seconds": self.seconds}


def read_summary(connection: sqlite3.Connection, session_id: str) -> Summary:
    """Return one session of the store.

    Raises:
        LookupError: there is no such session.
        sqlite3.Error: the store cannot be read.
    """
    rows = read_some_sessions(connection, [session_id])
    if not rows:
        raise LookupError(session_id)
    sums = [
        Aggregate(bucket, metric, decode_labels(labels), value, count, session_id)
        for bucket, metric, labels, value, count in connection.execute(
            "SELECT MIN(bucket), metric, labels, SUM(value), SUM(count) FROM session_aggregate WHERE session_id = ?"
            " GROUP BY metric, labels",
            (session_id,),
        )
        if metric in catalog.CATALOG
    ]
    points = [SeriesPoint(catalog.CATALOG[each.metric], each.labels, 0, each.value, (each.count,)) for each in sums]
    figures = break_down(sums, EVERYTHING, columns=(*COLUMNS, *MORE)).total
    return Summary(rows[0], figures, points)


def as_markdown(summary: Summary) -> str:
    """Return a session as Markdown: its cost, its work, its models and its tools. Names from outside stay text."""
    return "\n".join(_lines(summary)) + "\n"


def _lines(summary: Summary) -> Iterator[str]:
    row, figures = summary.session, summary.figures
    yield f"### Claude Code: {cell(figures, 'cost_usd')}, {duration_text(summary.seconds)}"
    yield ""
    for name, value in (("Agent", row.agent), ("Project", row.project), ("Branch", row.branch)):
        if value:
            yield f"{name}: {plain(value)}<br>"
    yield f"Session: {plain(row.session_id)}, {row.turns} {'turn' if row.turns == 1 else 'turns'}, end: {plain(row.outcome)}"
    if figures.amounts.get("unpriced_tokens"):
        yield ""
        yield "The cost lacks tokens of models without a known price."
    yield ""
    yield from table(["work"], [""], _work(figures))
    for grid in (models(by_model(summary.points)), tools(by_tool(summary.points))):
        if grid.rows:
            yield ""
            yield from _table(grid)


def _work(figures: Figures) -> list[list[str]]:
    columns = {column.name: column for column in (*COLUMNS, *MORE)}
    shown = [columns[name] for name in _WORK if figures.amounts.get(name)]
    rows = [[_TITLES.get(column.name, column.title), figure_text(figures, column)] for column in shown]
    counts = ("requests", "tool_calls", "errors")
    titles = {"tool_calls": "tool calls", "errors": "failed tool calls and requests"}
    rows += [[titles.get(name, name), figure_text(figures, columns[name])] for name in counts]
    return [*rows, ["input from the cache", cell(figures, "cache_hit_share")]]


def _table(grid: Grid) -> Iterator[str]:
    yield from table(grid.names, grid.numbers, grid.rows)
