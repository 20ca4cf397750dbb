"""What a person types: ``claude-hooks-otel``. Each command is a module; they read the store or ask the daemon, never both ways."""

from __future__ import annotations


def main() -> None:
    """The console script."""
    from claude_hooks_otel.cli.app import app  # noqa: PLC0415 — `import claude_hooks_otel.cli` stays cheap

    app()
