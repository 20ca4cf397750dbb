"""``status``: shows whether the daemon runs, what waits, and when each endpoint last accepted an export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from claude_hooks_otel.cli.console import command_home, out
from claude_hooks_otel.diagnosis.status import read_status


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(
        as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON.")] = False,
    ) -> None:
        """Show whether the daemon runs, what waits in the spool, and when each endpoint last accepted an export."""
        state = read_status(command_home())
        if as_json:
            typer.echo(json.dumps(state, indent=2))
        else:
            out.print(_table(state))


def _table(state: Mapping[str, Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    daemon, spool, store = state["daemon"], state["spool"], state["store"]
    table.add_row("home", state["home"])
    table.add_row(
        "daemon", f"running (pid {daemon['pid']})" if daemon["running"] else "not running; the next session starts it"
    )
    table.add_row("spool", f"{spool['waiting']} waiting, {spool['set_aside']} set aside")
    counts = f"{store['events']} events, {store['sessions']} sessions, {store['series']} series"
    table.add_row("store", f"[red]{escape(store['error'])}[/]" if store["error"] else counts)
    if state["config_error"]:
        table.add_row("configuration", f"[red]{escape(state['config_error'])}[/]")
    for exporter in state["exporters"]:
        title = f"export {exporter['name']} {exporter['signal']}"
        table.add_row(title, f"{escape(exporter['description'])}\n{_accepted(exporter)}")
    if not state["exporters"]:
        table.add_row("export", "no endpoint is configured: see `claude-hooks-otel report`")
    for exporter in state["custom_exporters"]:
        lines = [f"{exporter['waiting']} waiting"] if exporter["waiting"] else []
        if exporter["dropped"]:
            lines.append(
                f"[red]{exporter['dropped']} measurements were dropped: the endpoint was unavailable for too long[/]"
            )
        table.add_row(f"exporter {exporter['name']}", "\n".join([*lines, _accepted(exporter)]))
    for signal, count in state["waiting"].items():
        table.add_row("waiting", f"{count} {'spans' if signal == 'traces' else 'log events'}")
    for reason, count in state["dropped"].items():
        table.add_row("dropped", f"{count} {reason}")
    for reason, count in state["transcript_damage"].items():
        table.add_row("damaged transcript lines", f"{count} {reason}")
    return table


def _accepted(exporter: Mapping[str, Any]) -> str:
    """Return when the endpoint last accepted an export, and the error since then."""
    age = exporter["seconds_since_accepted"]
    when = "accepted nothing yet" if age is None else f"last accepted {age:.0f} s ago"
    return f"{when}\n[red]{escape(exporter['error'])}[/]" if exporter["error"] else when
