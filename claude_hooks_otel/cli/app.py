"""The command line application with all its commands."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Final

import typer

from claude_hooks_otel import __version__
from claude_hooks_otel.cli.edge import Commands

# Each command and its module, in the order in which the help lists them. Only the module of the command that is called is imported.
COMMANDS: Final = {
    "install": "install",
    "uninstall": "uninstall",
    "managed-settings": "managed_settings",
    "doctor": "doctor",
    "status": "status",
    "flush": "flush",
    "report": "report",
    "sessions": "sessions",
    "serve": "serve",
    "top": "top",
    "limits": "limits",
    "budgets": "budgets",
    "audit": "audit",
    "statusline": "statusline",
    "import": "import_history",
    "export": "export",
    "store": "store",
    "stack": "stack",
    "mcp": "mcp",
    "console": "follow",
    "daemon": "daemon",
    "demo": "demo",
}


def make_app(command: str | None = None) -> typer.Typer:
    """Return the application.

    Args:
        command: the only command that is needed; all of them if there is none of that name, for the help or an error.
    """
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
    app.callback()(_options)
    needed = [COMMANDS[command]] if command in COMMANDS else COMMANDS.values()
    for name in needed:
        import_module(f"claude_hooks_otel.cli.{name}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"claude-hooks-otel {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...
