"""``flush``: reads everything captured so far and delivers it now. The exit code is 0 only if every endpoint accepted everything."""

from __future__ import annotations

import sqlite3
from typing import Annotated

import typer
from rich.markup import escape

from claude_hooks_otel.cli.console import command_home, fail, out
from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.home.flush_requests import FlushAnswer
from claude_hooks_otel.store.damage import explain
from claude_hooks_otel.store.schema import NewerStoreError


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def flush(
        timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a running daemon's answer.")] = 40.0,
    ) -> None:
        """Read everything captured so far and deliver it now."""
        home = command_home()
        try:
            answer = flush_now(home, timeout, {})
        except (TimeoutError, NewerStoreError) as error:
            fail(escape(str(error)))
        except sqlite3.Error as error:
            fail(escape(explain(home.store, error)))
        except OSError as error:
            fail(escape(f"{error.filename or home.root}: {error.strerror}. Events wait in the spool."))
        print_answer(answer)
        if answer.is_behind:
            fail(
                "A transcript is not read to its end yet: it is large, or its file system does not answer. "
                "Run `claude-hooks-otel flush` again."
            )
        if not answer.ok:
            fail(
                "Not everything was accepted. It stays in the store and is tried again. Run `claude-hooks-otel doctor`."
            )


def print_answer(answer: FlushAnswer) -> None:
    """Print what each exporter's endpoint said."""
    for title, error in answer.exporters.items():
        out.print(f"{title}: accepted" if error is None else f"[red]{escape(title)}: not accepted:[/] {escape(error)}")
    for title, reason in answer.not_sent.items():
        out.print(f"{title}: not sent: {escape(reason)}")
    if not (answer.exporters or answer.not_sent):
        out.print("Everything is in the embedded store. No endpoint is configured.")
