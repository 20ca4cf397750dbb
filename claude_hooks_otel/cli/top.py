"""``top``: what runs now, in the terminal."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any, Final

import typer
from rich.live import Live
from rich.text import Text

from claude_hooks_otel.cli.console import JsonOption, command_home, out, print_json, say, width
from claude_hooks_otel.cli.keyboard import keyboard
from claude_hooks_otel.cli.questions import asked_range, opened_store
from claude_hooks_otel.cli.sessions import TIMELINE_DISPENSABLE, timeline
from claude_hooks_otel.cli.top_view import DISPENSABLE, View, list_screen, table, timeline_screen
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report import live
from claude_hooks_otel.report.live import LiveSession
from claude_hooks_otel.report.sessions import read_timeline
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain
from claude_hooks_otel.units import DOLLAR

# Seconds between two looks at the store.
LOOK_EVERY: Final = 0.5


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel top")
    def top(as_json: JsonOption = False) -> None:
        """Show what runs now: each session, its tool, its context and its cost. In a pipe, print it once."""
        home = command_home()
        is_live = not as_json and sys.stdin.isatty() and out.is_terminal and not out.is_dumb_terminal
        if not (is_live and is_running(home)):
            take_in_waiting(home)
        if is_live:
            _watch(home)
        elif as_json:
            print_json("top", sessions=[_as_json(each) for each in _read(home)] if home.store.exists() else [])
        elif sessions := _read(home) if home.store.exists() else []:
            _print(sessions)
        elif home.store.exists() and _has_sessions(home):
            say("No session runs. Start one with `claude`.")
        else:
            print_next_step(home)


def _read(home: Home) -> list[LiveSession]:
    with opened_store(home) as connection:
        return live.now(connection, time.time_ns())


def _has_sessions(home: Home) -> bool:
    with opened_store(home) as connection:
        return connection.execute("SELECT 1 FROM session LIMIT 1").fetchone() is not None


def _as_json(session: LiveSession) -> dict[str, Any]:
    values = asdict(session)
    cost = values.pop("cost")
    return {**values, "cost_usd": None if cost is None else cost / DOLLAR}


def _print(sessions: Sequence[LiveSession]) -> None:
    for line in table(View().shown(sessions), time.time_ns()).narrowed(width(), DISPENSABLE).lines(width()):
        typer.echo(line)


def _watch(home: Home) -> None:
    """Show the live view until a key ends it."""
    view, sessions = View(), list[LiveSession]()
    try:
        with keyboard() as keys, Live(console=out, screen=True, auto_refresh=False) as screen:
            while not view.is_over:
                lines, sessions = _lines(home, view, sessions)
                screen.update(Text("\n", no_wrap=True, overflow="crop").join(lines), refresh=True)
                for key in keys.wait(LOOK_EVERY):
                    view.press(key, sessions, page=max(1, out.height - 4))
    except KeyboardInterrupt:
        return


def _lines(home: Home, view: View, known: list[LiveSession]) -> tuple[Iterable[Text], list[LiveSession]]:
    """Return what the screen shows, and the sessions that run."""
    size, notes = (
        (out.width, out.height),
        [] if is_running(home) else ["No daemon runs, so nothing new is read. The next prompt starts one."],
    )
    if not home.store.exists():
        return list_screen(view, [], 0, size, [*notes, "Nothing was captured yet. Start a session with `claude`."]), []
    try:
        with closing(connect(home.store, readonly=True)) as connection:
            now_ns = time.time_ns()
            sessions = live.now(connection, now_ns)
            if view.opened:
                steps = read_timeline(connection, view.opened)
                lines = list(timeline(steps, asked_range()).narrowed(size[0], TIMELINE_DISPENSABLE).lines(size[0]))
                return timeline_screen(f"Session {view.opened}", lines, view, size), sessions
    except sqlite3.Error as error:
        return list_screen(view, known, time.time_ns(), size, [explain(home.store, error)]), known
    return list_screen(view, sessions, now_ns, size, notes), sessions
