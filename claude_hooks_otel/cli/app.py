"""The command line application with all its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from claude_hooks_otel import __version__
from claude_hooks_otel.cli import daemon, demo, doctor, flush, import_history, install, report, stack, status, store

app = typer.Typer(
    name="claude-hooks-otel",
    help="Telemetry for Claude Code agents: every session becomes OpenTelemetry metrics, without slowing it down.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"claude-hooks-otel {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


for module in (install, doctor, status, flush, report, import_history, store, stack, daemon, demo):
    module.register(app)
