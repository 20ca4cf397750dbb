"""The command line application with all its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from claude_hooks_otel import __version__
from claude_hooks_otel.cli import (
    audit,
    budgets,
    daemon,
    demo,
    doctor,
    export,
    flush,
    follow,
    import_history,
    install,
    limits,
    mcp,
    report,
    sessions,
    stack,
    status,
    statusline,
    store,
    top,
    uninstall,
)
from claude_hooks_otel.cli.edge import Commands

app = typer.Typer(
    name="claude-hooks-otel",
    cls=Commands,
    help="Telemetry for Claude Code agents: every session becomes OpenTelemetry metrics, without slowing it down.",
    epilog="Example: claude-hooks-otel install --agent backend --endpoint http://localhost:4318",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: no boxes, also in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"claude-hooks-otel {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


for module in (
    install,
    uninstall,
    doctor,
    status,
    flush,
    report,
    sessions,
    top,
    limits,
    budgets,
    audit,
    statusline,
    import_history,
    export,
    store,
    stack,
    mcp,
    follow,
    daemon,
    demo,
):
    module.register(app)
