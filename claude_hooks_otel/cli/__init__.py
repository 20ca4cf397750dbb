"""The command line, ``claude-hooks-otel``. Each command is a module: it parses arguments, calls a room below, and prints."""

from __future__ import annotations

import sys

from claude_hooks_otel.cli.interrupts import INTERRUPTED, is_interrupt


def main() -> None:
    """Run the console script. The status line runs many times a minute, so it starts without the libraries of the other commands."""
    if sys.argv[1:2] == ["statusline"] and not {"-h", "--help"} & set(sys.argv):
        from claude_hooks_otel.report.statusline.line import run  # noqa: PLC0415 — only then

        run(sys.argv[2:])
    try:
        from claude_hooks_otel.cli.app import make_app  # noqa: PLC0415 — `import claude_hooks_otel.cli` stays cheap

        make_app(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="claude-hooks-otel")
    except (KeyboardInterrupt, RuntimeError) as error:
        if not is_interrupt(error):
            raise
        sys.exit(INTERRUPTED)  # before or after the command runs: there is nothing to say
