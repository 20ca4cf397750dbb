"""``report``: shows what the sessions did, from the embedded store alone."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, fail, note, say, width
from claude_hooks_otel.cli.questions import (
    LastOption,
    SinceOption,
    UntilOption,
    ZoneOption,
    asked_range,
    opened_store,
)
from claude_hooks_otel.cli.report_range import print_range
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report import summary
from claude_hooks_otel.report.breakdown import COLUMNS, GROUPS
from claude_hooks_otel.report.budgets import DISPENSABLE, budgets, grid, of_group
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.report.ranges import EVERYTHING, WORDS, Range
from claude_hooks_otel.report.tables import tables
from claude_hooks_otel.settings import load_usable
from claude_hooks_otel.store.damage import explain

MOST_GROUPS: Final = 2

Text = str | None


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel report week --by day --by model --csv > week.csv")
    def report(
        range_: Annotated[Text, typer.Argument(metavar="RANGE", help=f"One of {', '.join(WORDS)}.")] = None,
        since: SinceOption = None,
        until: UntilOption = None,
        last: LastOption = None,
        tz: ZoneOption = None,
        by: Annotated[
            list[str] | None, typer.Option(help=f"A row for each of these, once or twice: {', '.join(GROUPS)}.")
        ] = None,
        agent: Annotated[Text, typer.Option(help="Only this agent.")] = None,
        project: Annotated[Text, typer.Option(help="Only this project.")] = None,
        only: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME=VALUE", help="Only this value of a name of --by, several times."),
        ] = None,
        sort: Annotated[Text, typer.Option(help="Sort by this column of the CSV, the largest first.")] = None,
        top: Annotated[int | None, typer.Option(min=1, help="Only so many rows. The total counts all.")] = None,
        as_json: JsonOption = False,
        csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with exact values.")] = False,
        markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    ) -> None:
        """Show what all sessions did: per agent and project, per model, per tool. Events that wait are taken in first.

        With a range or a group, show its figures, also those of imported sessions.
        """
        form = _form(as_json=as_json, csv=csv, markdown=markdown)
        is_range = bool(range_ or since or until or last or tz or by or only or sort or top or csv or markdown)
        question = None
        if is_range:
            question = _question(range_, since=since, until=until, last=last, tz=tz, by=by, only=only, sort=sort)
            for name, value in (("agent", agent), ("project", project)):
                question.only.setdefault(name, []).extend([value] if value else [])
        home = command_home()
        take_in_waiting(home)
        if question is None:
            print_report(home, agent=agent, project=project, as_json=as_json)
        else:
            print_range(home, question.within, by=question.by, only=question.only, sort=sort, top=top, form=form)


@dataclass(frozen=True, slots=True)
class _Question:
    """A range, its groups and its filters, checked."""

    within: Range
    by: Sequence[str]
    only: dict[str, list[str]]


def _form(*, as_json: bool, csv: bool, markdown: bool) -> str:
    wanted = [name for name, is_wanted in (("json", as_json), ("csv", csv), ("markdown", markdown)) if is_wanted]
    if len(wanted) > 1:
        fail("One of --json, --csv and --markdown is expected.")
    return wanted[0] if wanted else "table"


def _question(
    word: Text,
    *,
    since: Text,
    until: Text,
    last: Text,
    tz: Text,
    by: Sequence[str] | None,
    only: Sequence[str] | None,
    sort: Text,
) -> _Question:
    """Return what the options ask for. End the command with a sentence if they make no sense."""
    within = asked_range(word, since=since, until=until, last=last, zone=tz)
    groups = [part.strip() for text in by or () for part in text.split(",")]
    filters: dict[str, list[str]] = {}
    for text in only or ():
        name, sign, value = text.partition("=")
        if not sign or not value:
            fail(f"--only {text}: NAME=VALUE is expected, such as model=claude-opus-4-8.")
        filters.setdefault(name.strip(), []).append(value)
    for name in (*groups, *filters):
        if name not in GROUPS:
            fail(f"There is no group {name!r}. These are known: {', '.join(GROUPS)}.")
    if len(set(groups)) != len(groups) or len(groups) > MOST_GROUPS:
        fail("--by takes one group, or two different ones.")
    columns = [column.name for column in COLUMNS]
    if sort is not None and sort not in columns:
        fail(f"There is no column {sort!r}. These are known: {', '.join(columns)}.")
    return _Question(within, groups or ("agent", "project"), filters)


def print_report(
    home: Home,
    *,
    agent: str | None = None,
    project: str | None = None,
    as_json: bool = False,
) -> None:
    """Print what a home's store holds, or what to do next if nothing was captured."""
    try:
        points = summary.read_series(home.store, agent=agent, project=project) if home.store.exists() else []
        has_history = home.store.exists() and summary.has_history(home.store)
    except sqlite3.Error as error:
        fail(explain(home.store, error))
    if as_json:
        typer.echo(json.dumps([summary.as_json(point) for point in points], indent=1))
    elif any(point.metric.common for point in points):
        _print_tables(tables(points))
        _print_budgets(home, agent=agent, project=project)
        if has_history:
            note("Imported sessions are not in these tables. Run `claude-hooks-otel report all`.")
    elif text := _other_names(home, agent, project):
        say(text)
    elif has_history:
        note("Only imported sessions are known.")
        print_range(home, EVERYTHING, by=("agent", "project"))
        _print_budgets(home, agent=agent, project=project)
    else:
        print_next_step(home)


def _print_tables(grids: Iterable[Grid]) -> None:
    for each in grids:
        typer.echo(f"{each.title}\n")
        for line in each.lines(width()):
            typer.echo(line)
        typer.echo(f"\n{each.note}\n" if each.note else "")


def _print_budgets(home: Home, *, agent: str | None, project: str | None) -> None:
    """Print the budgets in which the agent and the project count, if there are any."""
    config = load_usable(home.config, home.last_config, {})[0]
    if not any(config.budgets.limits()):
        return
    with opened_store(home) as connection:
        states = of_group(budgets(connection, config, time.time_ns()), {"agent": agent, "project": project})
    if states:
        _print_tables([grid(states, config.budgets).narrowed(width(), DISPENSABLE)])


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
