"""The command line, ``claude-hooks-otel``. Each command is a module: it parses arguments, calls a room below, and prints."""

from __future__ import annotations


def main() -> None:
    """Run the console script."""
    from claude_hooks_otel.cli.app import app  # noqa: PLC0415 — `import claude_hooks_otel.cli` stays cheap

    app(prog_name="claude-hooks-otel")
