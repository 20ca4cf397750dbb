"""``report``: what the sessions did, from the embedded store alone."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from claude_hooks_otel.cli.console import fail, out
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.totals import read_points
from claude_hooks_otel.store.connection import connect


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def report(
        agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
        project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Every series, machine-readable.")] = False,
    ) -> None:
        """Show what all sessions did: per agent and project, per model, per tool."""
        print_report(Home.from_environment(), agent=agent, project=project, as_json=as_json)


def print_report(home: Home, *, agent: str | None = None, project: str | None = None, as_json: bool = False) -> None:
    """Prints what a home's store holds; ends the program with a message where there is no store."""
    try:
        connection = connect(home.store, readonly=True)
    except sqlite3.OperationalError:
        fail(f"there is no store in {home.root} yet: run a session first, or `claude-hooks-otel demo`.")
    wanted = {"agent": normalize(agent) if agent else None, "project": normalize(project) if project else None}
    points = [point for point in read_points(connection, catalog.CATALOG) if _matches(point, wanted)]
    connection.close()
    if as_json:
        typer.echo(json.dumps([_plain(point) for point in points], indent=1))
        return
    if not any(point.metric.common for point in points):
        out.print("Nothing was captured yet.")
        return
    for table in (_agents(points), _work(points), _models(points), _tools(points)):
        if table.row_count:
            out.print(table)
            out.print()


def _matches(point: SeriesPoint, wanted: dict[str, str | None]) -> bool:
    labels = dict(point.labels)
    return all(value is None or labels.get(key) == value for key, value in wanted.items())


def _plain(point: SeriesPoint) -> dict[str, Any]:
    scale = point.metric.scale
    value = point.value if scale == 1 else point.value / scale
    plain: dict[str, Any] = {"name": point.metric.prometheus_name, "labels": dict(point.labels), "value": value}
    if point.metric.kind is Kind.HISTOGRAM:
        plain["count"] = point.count
    return plain


class _Sums:
    """Sums of metrics over groups of label values."""

    def __init__(self, points: Iterable[SeriesPoint], *by: str) -> None:
        self._sums: defaultdict[tuple[str, ...], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._scale = {metric.name: metric.scale for metric in catalog.METRICS}
        for point in points:
            labels = dict(point.labels)
            if not point.metric.common or any(name not in labels for name in by):
                continue
            group = self._sums[tuple(labels[name] for name in by)]
            group[point.metric.name] += point.value
            group[f"{point.metric.name}#"] += point.count
            for key, value in labels.items():
                group[f"{point.metric.name}|{key}={value}"] += point.value

    @property
    def groups(self) -> list[tuple[str, ...]]:
        return sorted(self._sums)

    def get(self, group: tuple[str, ...], metric: Metric, label: str = "") -> float:
        name = f"{metric.name}|{label}" if label else metric.name
        return self._sums[group][name] / self._scale[metric.name]

    def count(self, group: tuple[str, ...], metric: Metric) -> int:
        return self._sums[group][f"{metric.name}#"]


def _table(title: str, names: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """An empty table that fits 80 columns: names are cut rather than wrapped, numbers never."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in names:
        table.add_column(name, overflow="ellipsis", max_width=24)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(value: float) -> str:
    """1,234 · 45.7k · 12.3M; a dash for nothing."""
    if not value:
        return "–"
    if value < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1000:,.1f}k" if value < 999_950 else f"{value / 1_000_000:,.1f}M"


def _dollars(value: float) -> str:
    return f"${value:,.4f}" if 0 < value < 1 else f"${value:,.2f}"


def _agents(points: list[SeriesPoint]) -> Table:
    sums = _Sums(points, "agent", "project")
    table = _table("Agents", ("agent", "project"), ("sessions", "prompts", "tokens in", "tokens out", "cost"))
    for group in sums.groups:
        table.add_row(
            *group,
            *(
                _number(sums.get(group, metric))
                for metric in (catalog.SESSIONS, catalog.PROMPTS, catalog.TOKENS_INPUT, catalog.TOKENS_OUTPUT)
            ),
            _dollars(sums.get(group, catalog.COST)),
        )
    return table


# Column → what stands in it; the lines stand between the first two.
_WORK = {
    "calls": catalog.TOOL_CALLS, "commits": catalog.COMMITS, "tasks": catalog.TASKS_COMPLETED, "points": catalog.STORY_POINTS,
    "tests": catalog.TESTS, "sub-\nagents": catalog.SUBAGENTS,
}  # fmt: skip


def _work(points: list[SeriesPoint]) -> Table:
    sums = _Sums(points, "agent", "project")
    first, *others = _WORK
    table = _table("Work", ("agent", "project"), (first, "lines", *others))
    for group in sums.groups:
        calls, *rest = (_number(sums.get(group, metric)) for metric in _WORK.values())
        table.add_row(*group, calls, _lines(sums, group), *rest)
    return table


def _lines(sums: _Sums, group: tuple[str, ...]) -> str:
    added, deleted = sums.get(group, catalog.LINES_ADDED), sums.get(group, catalog.LINES_DELETED)
    signed = (f"{sign}{_number(value)}" for sign, value in (("+", added), ("−", deleted)) if value)
    return " ".join(signed) or "–"


def _models(points: list[SeriesPoint]) -> Table:
    sums = _Sums(points, "model", "agent_type")
    table = _table("Models", ("model", "used by"), ("requests", "input", "read", "written", "output", "cost"))
    for group in sums.groups:
        read, write_5m, write_1h, uncached = (
            sums.get(group, catalog.TOKENS_INPUT, f"cache={kind}") for kind in ("read", "write_5m", "write_1h", "none")
        )
        priced = sums.get(group, catalog.COST)
        name, used_by = group
        table.add_row(
            name.removeprefix("claude-"),  # as people call them
            used_by,
            _number(sums.get(group, catalog.API_REQUESTS)),
            *map(_number, (uncached, read, write_5m + write_1h, sums.get(group, catalog.TOKENS_OUTPUT))),
            _dollars(priced) if priced else "unknown",
        )
    return table


def _tools(points: list[SeriesPoint]) -> Table:
    sums = _Sums([point for point in points if point.metric in (catalog.TOOL_CALLS, catalog.TOOL_DURATION)], "tool")
    table = _table("Tools", ("tool",), ("calls", "ok", "failed", "refused", "other", "mean s"))
    for group in sums.groups:

        def outcome(*names: str, group: tuple[str, ...] = group) -> float:
            return sum(sums.get(group, catalog.TOOL_CALLS, f"outcome={name}") for name in names)

        timed = sums.count(group, catalog.TOOL_DURATION)
        table.add_row(
            *group,
            _number(sums.get(group, catalog.TOOL_CALLS)),
            _number(outcome("success")),
            _number(outcome("error")),
            _number(outcome("rejected", "denied")),
            _number(outcome("interrupted", "invalid")),
            f"{sums.get(group, catalog.TOOL_DURATION) / timed:.2f}" if timed else "–",
        )
    return table
