"""What ``report`` does before it answers: it takes in the events that wait, and says the next step if there is nothing to show."""

from __future__ import annotations

import sqlite3
from typing import Final

from rich.markup import escape

from claude_hooks_otel.cli.console import err, out
from claude_hooks_otel.daemon.take_in import take_in
from claude_hooks_otel.home.paths import Home

# Seconds to wait for a running daemon, and to read on in large transcripts.
TIMEOUT: Final = 10.0


def take_in_waiting(home: Home) -> None:
    """Take in the events that wait in the spool. If that fails, say so, and go on with what the store has."""
    try:
        left = take_in(home, TIMEOUT)
    except (OSError, sqlite3.Error) as error:
        err.print(
            f"[yellow]note[/]: the events that wait in {escape(str(home.spool))} cannot be read: {escape(str(error))}. "
            "They are not in this report. Run `claude-hooks-otel doctor`.",
            soft_wrap=True,
        )
        return
    if left:
        err.print(
            f"[yellow]note[/]: the daemon has not read {left} waiting events yet. They are not in this report. "
            "Run it again, or `claude-hooks-otel status`.",
            soft_wrap=True,
        )


def print_next_step(home: Home) -> None:
    """Say that nothing was captured yet, and what to do next."""
    from claude_hooks_otel.daemon.recovery import damaged_stores  # noqa: PLC0415 — rarely needed, and it imports much

    if aside := damaged_stores(home):
        out.print(
            f"The store was damaged, and was set aside in {escape(str(aside[-1]))}. There is nothing since then. "
            "Run `claude-hooks-otel doctor`.",
            soft_wrap=True,
        )
        return
    out.print(f"Nothing was captured yet in {escape(str(home.root))}.", soft_wrap=True)
    if home.interpreter.exists():
        out.print(
            "Start a new Claude Code session (`claude`), then run `claude-hooks-otel report` again. Sessions that ran before the "
            "installation have no hooks. If a new session shows nothing, run `claude-hooks-otel doctor`.",
            soft_wrap=True,
        )
        return
    out.print(
        "Run `claude-hooks-otel install` (with the plugin: `claude-hooks-otel install --plugin`), start a new Claude Code session "
        "(`claude`), then run `claude-hooks-otel report` again. `claude-hooks-otel demo` shows an example.",
        soft_wrap=True,
    )
