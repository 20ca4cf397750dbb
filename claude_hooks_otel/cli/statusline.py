"""``statusline``: a line about the session for Claude Code's setting ``statusLine``. ``report.statusline`` prints it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from claude_hooks_otel.report.statusline.line import main


def register(app: typer.Typer) -> None:
    """Add the command. ``cli.main`` runs it without this module; this is for its help, and for the list of commands."""

    @app.command(
        epilog="Example: claude-hooks-otel statusline --format '{model} {context}[ 5h {five_hour}]' <status.json"
    )
    def statusline(
        text: Annotated[
            str, typer.Option("--format", metavar="FORMAT", help="The fields to show (docs/statusline.md).")
        ] = "",
        wrap: Annotated[
            str, typer.Option("--wrap", metavar="COMMAND", help="Another status line, whose output comes first.")
        ] = "",
        wrap_after: Annotated[
            bool, typer.Option("--wrap-after", help="The output of the other one comes last.")
        ] = False,
    ) -> None:
        """Print a line about the session that Claude Code describes on standard input. `install` registers it (docs/statusline.md)."""
        raise typer.Exit(
            main(["--format", text, "--wrap", wrap, *(["--wrap-after"] if wrap_after else [])], os.environ)
        )
