"""The rows of a summary as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from claude_hooks_otel.formats import dollars, number
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.report.summary import AgentRow, ModelRow, ToolRow, by_agent, by_model, by_tool
from claude_hooks_otel.report.tool_names import tool_name
from claude_hooks_otel.series.points import SeriesPoint


def tables(points: Sequence[SeriesPoint]) -> Iterator[Grid]:
    """Return the tables of a report. A table without rows is left out."""
    agents = by_agent(points)
    for grid in (_agents(agents), _work(agents), models(by_model(points)), tools(by_tool(points))):
        if grid.rows:
            yield grid


def _agents(rows: list[AgentRow]) -> Grid:
    grid = Grid("Agents", ("agent", "project"), ("sessions", "prompts", "tokens in", "tokens out", "cost"))
    for row in rows:
        numbers = (row.sessions, row.prompts, row.tokens_in, row.tokens_out)
        grid.rows.append([row.agent, row.project, *map(_number, numbers), _dollars(row.cost, row.unpriced)])
    if any(row.cost and row.unpriced for row in rows):
        grid.note = "> The cost lacks tokens of models without a price. `claude-hooks-otel doctor` names the models."
    return grid


def _work(rows: list[AgentRow]) -> Grid:
    numbers = ("calls", "lines", "commits", "tasks", "points", "tests", "subagents")
    grid = Grid("Work", ("agent", "project"), numbers)
    for row in rows:
        others = (row.commits, row.tasks, row.story_points, row.tests, row.subagents)
        grid.rows.append([row.agent, row.project, _number(row.tool_calls), _lines(row), *map(_number, others)])
    return grid


def models(rows: list[ModelRow]) -> Grid:
    """Return the table of the models."""
    grid = Grid("Models", ("model", "used by"), ("requests", "input", "read", "written", "output", "cost"))
    for row in rows:
        numbers = (row.requests, row.uncached, row.read, row.written, row.output)
        name = row.model.removeprefix("claude-")  # as people call it
        grid.rows.append([name, row.agent_type, *map(_number, numbers), _dollars(row.cost)])
    return grid


def tools(rows: list[ToolRow]) -> Grid:
    """Return the table of the tools."""
    grid = Grid("Tools", ("tool",), ("calls", "ok", "failed", "refused", "other", "mean s"))
    for row in rows:
        numbers = map(_number, (row.calls, row.ok, row.failed, row.refused, row.other))
        mean = "–" if row.mean_seconds is None else f"{row.mean_seconds:.2f}"
        grid.rows.append([tool_name(row.tool), *numbers, mean])
    return grid


def _number(value: float) -> str:
    """Return a count; a dash for zero."""
    return number(value) if value else "–"


def _dollars(value: float | None, unpriced: float = 0) -> str:
    """Return a cost: ``unknown`` without a price, with ``>`` if some tokens have none."""
    if value is None:
        return "unknown"
    return f"{'>' if unpriced else ''}{dollars(value)}"


def _lines(row: AgentRow) -> str:
    signed = (f"{sign}{_number(value)}" for sign, value in (("+", row.lines_added), ("−", row.lines_deleted)) if value)
    return " ".join(signed) or "–"
