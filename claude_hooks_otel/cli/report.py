"""``report``: shows what the sessions did, from the embedded store alone."""

from __future__ import annotations

import json
import sqlite3
from typing import Annotated

import typer
from rich.markup import escape

from claude_hooks_otel.cli.console import command_home, fail, out
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report import summary
from claude_hooks_otel.report.tables import tables
from claude_hooks_otel.store.damage import explain


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def report(
        agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
        project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print every series as JSON.")] = False,
    ) -> None:
        """Show what all sessions did: per agent and project, per model, per tool. Events that wait are taken in first."""
        home = command_home()
        take_in_waiting(home)
        print_report(home, agent=agent, project=project, as_json=as_json)


def print_report(home: Home, *, agent: str | None = None, project: str | None = None, as_json: bool = False) -> None:
    """Print what a home's store holds, or what to do next if nothing was captured."""
    try:
        points = summary.read_series(home.store, agent=agent, project=project) if home.store.exists() else []
    except sqlite3.Error as error:
        fail(escape(explain(home.store, error)))
    if as_json:
        typer.echo(json.dumps([summary.as_json(point) for point in points], indent=1))
        return
    if not any(point.metric.common for point in points):
        if agent is None and project is None:
            print_next_step(home)
        else:
            out.print("Nothing was captured yet.")
        return
    for table in tables(points):
        out.print(table)
        out.print()
