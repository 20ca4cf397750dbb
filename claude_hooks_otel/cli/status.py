"""``status``: whether the daemon runs, what waits, what was accepted when."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Annotated, Any

import typer
from rich.table import Table

from claude_hooks_otel.cli.console import out
from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.diagnosis.custom_exporter_state import custom_state, describe_custom
from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import SECOND


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def status(
        as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    ) -> None:
        """Show whether the daemon runs, what waits in the spool, and when each endpoint last accepted an export."""
        state = read_status(Home.from_environment())
        if as_json:
            typer.echo(json.dumps(state, indent=2))
            return
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_row("home", state["home"])
        table.add_row(
            "daemon",
            f"running (pid {state['daemon']['pid']})"
            if state["daemon"]["running"]
            else "not running; the next session starts it",
        )
        table.add_row("spool", f"{state['spool']['waiting']} waiting, {state['spool']['set_aside']} set aside")
        table.add_row(
            "store",
            f"{state['store']['events']} events, {state['store']['sessions']} sessions, {state['store']['series']} series",
        )
        if state["config_error"]:
            table.add_row("configuration", f"[red]{state['config_error']}[/]")
        for exporter in state["exporters"]:
            age = exporter["seconds_since_accepted"]
            when = "never accepted an export" if age is None else f"accepted an export {age:.0f} s ago"
            table.add_row(
                f"export {exporter['name']} {exporter['signal']}",
                f"{exporter['description']}\n{when}" + (f"\n[red]{exporter['error']}[/]" if exporter["error"] else ""),
            )
        if not state["exporters"]:
            table.add_row("export", "no endpoint is configured: the embedded store serves (`claude-hooks-otel report`)")
        for exporter in state["custom_exporters"]:
            table.add_row(f"exporter {exporter['name']}", describe_custom(exporter))
        for signal, count in state["waiting"].items():
            table.add_row("waiting", f"{count} records of {signal}")
        for reason, count in state["dropped"].items():
            table.add_row("dropped", f"{count} {reason}")
        out.print(table)


def read_status(home: Home) -> dict[str, Any]:
    """The state of one home, as ``status --json`` prints it."""
    spool = Spool(home.spool)
    running = is_running(home)
    state: dict[str, Any] = {
        "home": str(home.root),
        "daemon": {"running": running, "pid": int(home.pid.read_text()) if running and home.pid.exists() else None},
        "spool": {
            "waiting": spool.depth(),
            "set_aside": len(list(spool.broken.iterdir())) if spool.broken.is_dir() else 0,
        },
        "store": {"events": 0, "sessions": 0, "series": 0, "newest_event_ns": None},
        "config_error": None,
        "exporters": [],
        "custom_exporters": [],
        "waiting": {},
        "dropped": {},
        "drift": [],
    }
    try:
        connection = connect(home.store, readonly=True)
    except sqlite3.OperationalError:
        return state  # nothing was ever taken in
    try:
        _read_store(connection, state)
    finally:
        connection.close()
    return state


def _read_store(connection: sqlite3.Connection, state: dict[str, Any]) -> None:
    def one(query: str) -> Any:
        return connection.execute(query).fetchone()[0]

    meta = dict(connection.execute("SELECT name, value FROM meta"))
    state["store"] = {
        "events": one("SELECT COALESCE(SUM(value), 0) FROM series WHERE metric = 'claude.hooks.events'"),
        "sessions": one("SELECT COUNT(*) FROM session"),
        "series": one("SELECT COUNT(*) FROM series"),
        "newest_event_ns": one("SELECT MAX(received_ns) FROM event"),
    }
    errors = [meta.get("config_error", ""), *json.loads(meta.get("record_config_errors", "[]"))]
    state["config_error"] = "\n".join(filter(None, dict.fromkeys(errors))) or None
    exporters = [("metrics", name, text, f"export.{name}") for name, text in json.loads(meta.get("exporters", "[]"))]
    exporters += [
        (signal, name, text, f"export.{signal}.{name}")
        for signal, name, text in json.loads(meta.get("record_exporters", "[]"))
    ]
    for signal, name, description, key in exporters:
        ok_ns = int(meta.get(f"{key}.ok_ns", "0"))
        state["exporters"].append(
            {
                "signal": signal,
                "name": name,
                "description": description,
                "seconds_since_accepted": (time.time_ns() - ok_ns) / SECOND if ok_ns else None,
                "error": meta.get(f"{key}.error") or None,
            }
        )
    state["custom_exporters"] = custom_state(connection, meta)
    state["waiting"] = outbox.depth(connection) if "record_exporters" in meta else {}
    for labels, value in connection.execute(
        "SELECT labels, value FROM series WHERE metric IN ('claude.hooks.events.dropped', 'claude.hooks.records.dropped')"
    ):
        what = dict(json.loads(labels))
        state["dropped"][" ".join(filter(None, (what.get("signal"), what["reason"])))] = value
    state["drift"] = [
        {"kind": kind, "name": name, "seen": seen}
        for kind, name, seen in connection.execute("SELECT kind, name, seen FROM drift ORDER BY seen DESC LIMIT 50")
    ]
