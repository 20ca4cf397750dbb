"""``mcp``: a Model Context Protocol server on standard input and output, so that an agent can look at its own bill."""

from __future__ import annotations

import typer

from claude_hooks_otel.cli.console import command_home, fail


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog="Example: claude-hooks-otel mcp (a client starts it: claude mcp add telemetry -- claude-hooks-otel mcp)"
    )
    def mcp() -> None:
        """Answer an agent's questions about cost, usage, sessions, tools and budgets, over MCP on standard input and output.

        It only reads the store. It needs the extra `mcp`.
        """
        try:
            from claude_hooks_otel.report.mcp_server import make_server  # noqa: PLC0415 — an extra
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("mcp"):
                raise
            fail(
                "The package mcp is missing. Install the extra: `pipx install '.[mcp]'` instead of `.`, or `pip install 'mcp>=2.3,<3'`."
            )
        make_server(command_home()).run("stdio")
