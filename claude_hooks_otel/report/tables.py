"""The rows of a summary as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from claude_hooks_otel.report.summary import AgentRow, ModelRow, ToolRow, by_agent, by_model, by_tool
from claude_hooks_otel.series.points import SeriesPoint


def tables(points: Sequence[SeriesPoint]) -> Iterator[Table]:
    """Return the tables of a report. A table without rows is left out."""
    agents = by_agent(points)
    for table in (_agents(agents), _work(agents), _models(by_model(points)), _tools(by_tool(points))):
        if table.row_count:
            yield table


def _agents(rows: list[AgentRow]) -> Table:
    table = _table("Agents", ("agent", "project"), ("sessions", "prompts", "tokens in", "tokens out", "cost"))
    for row in rows:
        numbers = (row.sessions, row.prompts, row.tokens_in, row.tokens_out)
        table.add_row(row.agent, row.project, *map(_number, numbers), _dollars(row.cost))
    return table


def _work(rows: list[AgentRow]) -> Table:
    numbers = ("calls", "lines", "commits", "tasks", "points", "tests", "sub-\nagents")
    table = _table("Work", ("agent", "project"), numbers)
    for row in rows:
        others = (row.commits, row.tasks, row.story_points, row.tests, row.subagents)
        table.add_row(row.agent, row.project, _number(row.tool_calls), _lines(row), *map(_number, others))
    return table


def _models(rows: list[ModelRow]) -> Table:
    table = _table("Models", ("model", "used by"), ("requests", "input", "read", "written", "output", "cost"))
    for row in rows:
        table.add_row(
            row.model.removeprefix("claude-"),  # as people call it
            row.agent_type,
            *map(_number, (row.requests, row.uncached, row.read, row.written, row.output)),
            _dollars(row.cost) if row.cost else "unknown",
        )
    return table


def _tools(rows: list[ToolRow]) -> Table:
    table = _table("Tools", ("tool",), ("calls", "ok", "failed", "refused", "other", "mean s"))
    for row in rows:
        table.add_row(
            row.tool,
            *map(_number, (row.calls, row.ok, row.failed, row.refused, row.other)),
            "–" if row.mean_seconds is None else f"{row.mean_seconds:.2f}",
        )
    return table


def _table(title: str, names: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """Return an empty table that fits 80 columns. Long names are cut, numbers never are."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in names:
        table.add_column(name, overflow="ellipsis", max_width=24)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(value: float) -> str:
    """Return 1,234, 45.7k or 12.3M; a dash for zero."""
    if not value:
        return "–"
    if value < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1000:,.1f}k" if value < 999_950 else f"{value / 1_000_000:,.1f}M"


def _dollars(value: float) -> str:
    return f"${value:,.4f}" if 0 < value < 1 else f"${value:,.2f}"


def _lines(row: AgentRow) -> str:
    signed = (f"{sign}{_number(value)}" for sign, value in (("+", row.lines_added), ("−", row.lines_deleted)) if value)
    return " ".join(signed) or "–"
