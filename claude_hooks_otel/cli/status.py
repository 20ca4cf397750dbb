"""``status``: shows whether the daemon runs, what waits, and when each endpoint last accepted an export."""

from __future__ import annotations

import os

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, complain, print_json, print_rows
from claude_hooks_otel.cli.edge import store_explanation
from claude_hooks_otel.diagnosis.status import problems, read_status
from claude_hooks_otel.diagnosis.status_rows import status_rows


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel status --json")
    def status(as_json: JsonOption = False) -> None:
        """Show whether the daemon runs, what waits in the spool, and when each endpoint last accepted an export.

        The exit code is 1 if the configuration or the store cannot be used, or if an endpoint did not accept the last export.
        """
        home = command_home()
        state = read_status(home)
        found = list(problems(state))
        if state["store_error"]:
            found.append(store_explanation(state["store_error"]))
        if as_json:
            print_json("status", ok=not found, error="\n".join(found) or None, **state)
        else:
            print_rows(status_rows(state, home, os.environ), {})
            for problem in found:
                complain(problem)
        if found:
            raise typer.Exit(1)
