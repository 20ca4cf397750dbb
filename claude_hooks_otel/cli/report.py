"""``report``: shows what the sessions did, from the embedded store alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, fail, say, width
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report import summary
from claude_hooks_otel.report.tables import csv_of, tables
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.store.damage import explain


class CsvTable(StrEnum):
    """The tables of ``--csv``, the keys of ``CSV_ROWS``."""

    AGENTS = "agents"
    MODELS = "models"
    TOOLS = "tools"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel report --project book-cataloger --csv models > models.csv")
    def report(
        agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
        project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
        as_json: JsonOption = False,
        csv: Annotated[
            CsvTable | None, typer.Option("--csv", help="Print one table as CSV, with exact values.")
        ] = None,
    ) -> None:
        """Show what all sessions did: per agent and project, per model, per tool. Events that wait are taken in first."""
        home = command_home()
        take_in_waiting(home)
        print_report(home, agent=agent, project=project, as_json=as_json, csv=csv)


def print_report(
    home: Home,
    *,
    agent: str | None = None,
    project: str | None = None,
    as_json: bool = False,
    csv: CsvTable | None = None,
) -> None:
    """Print what a home's store holds, or what to do next if nothing was captured."""
    try:
        points = summary.read_series(home.store, agent=agent, project=project) if home.store.exists() else []
    except sqlite3.Error as error:
        fail(explain(home.store, error))
    if as_json:
        typer.echo(json.dumps([summary.as_json(point) for point in points], indent=1))
    elif csv is not None:
        typer.echo(csv_of(csv.value, points), nl=False)
    elif any(point.metric.common for point in points):
        _print_tables(points)
    elif text := _other_names(home, agent, project):
        say(text)
    else:
        print_next_step(home)


def _print_tables(points: Sequence[SeriesPoint]) -> None:
    for grid in tables(points):
        typer.echo(f"{grid.title}\n")
        for line in grid.lines(width()):
            typer.echo(line)
        typer.echo(f"\n{grid.note}\n" if grid.note else "")


def _other_names(home: Home, agent: str | None, project: str | None) -> str:
    """Return what there is instead of what was asked for; empty if there is nothing at all."""
    everything = {name: set[str]() for name in ("agent", "project")}
    for point in summary.read_series(home.store) if (agent or project) and home.store.exists() else ():
        if point.metric.common:
            for name, found in everything.items():
                found.add(dict(point.labels)[name])
    if not everything["agent"]:
        return ""
    asked = " and ".join(f"the {name} {value}" for name, value in (("agent", agent), ("project", project)) if value)
    known = "; ".join(f"{name}s: {', '.join(sorted(found))}" for name, found in everything.items())
    return f"There is nothing of {asked}. The store has {known}."
