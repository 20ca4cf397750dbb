"""``demo``: plays recorded sessions through the real hooks into a temporary home, and reports what they did."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import typer

from claude_hooks_otel.cli import recorded_sessions
from claude_hooks_otel.cli.console import JsonOption, say
from claude_hooks_otel.cli.flush import print_answer
from claude_hooks_otel.cli.report import print_report
from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.home_files import emit_path


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel demo --json")
    def demo(as_json: JsonOption = False) -> None:
        """Play recorded sessions through the hooks, the spool and the daemon's intake, and report what they did.

        Everything happens in a temporary folder. With OTEL_EXPORTER_OTLP_ENDPOINT set, the metrics also go there.
        """
        with tempfile.TemporaryDirectory(prefix="claude-hooks-otel-demo-") as folder:
            home = Home.from_environment({"HOME": folder})
            events = recorded_sessions.play(home, Path(folder, "projects"), emit_path())
            if not as_json:
                say(f"{events} hook events of recorded sessions went through hooks/emit into the spool.\n")
            answer = flush_now(home, timeout=60, environ=dict(os.environ))
            print_report(home, as_json=as_json)
            if answer.exporters and not as_json:
                print_answer(answer)
