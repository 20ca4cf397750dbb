"""``demo``: plays recorded sessions through the real hooks into a temporary home, and reports what they did."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from claude_hooks_otel.cli import recorded_sessions
from claude_hooks_otel.cli.console import JsonOption, fail, say
from claude_hooks_otel.cli.flush import print_answer
from claude_hooks_otel.cli.report import print_report
from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation.home_files import emit_path


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel demo --keep /tmp/demo-home")
    def demo(
        keep: Annotated[
            Path | None,
            typer.Option(
                metavar="HOME", help="Keep everything in this new folder, to explore it with the other commands."
            ),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Play recorded sessions through the hooks, the spool and the daemon's intake, and report what they did.

        Everything happens in a temporary folder, unless --keep names one. With OTEL_EXPORTER_OTLP_ENDPOINT set, the metrics also go there.
        """
        if keep is None:
            with tempfile.TemporaryDirectory(prefix="claude-hooks-otel-demo-") as folder:
                _play(Home.from_environment({"HOME": folder}), Path(folder, "projects"), as_json=as_json)
            return
        root = keep.absolute()
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_used = any(root.iterdir())
        except OSError as error:
            fail(f"{root} cannot be used: {error.strerror}. Name another folder.")
        if is_used:
            fail(f"{root} is not empty. Name a new folder.")
        _play(Home(root), root / "projects", as_json=as_json)
        if not as_json:
            say(
                f"The home is {root}. Explore it with any command: export {HOME_VARIABLE}={shlex.quote(str(root))}, "
                "then for example `claude-hooks-otel status`. To end: delete the folder, and unset the variable."
            )


def _play(home: Home, transcripts: Path, *, as_json: bool) -> None:
    events = recorded_sessions.play(home, transcripts, emit_path())
    if not as_json:
        say(f"{events} hook events of recorded sessions went through hooks/emit into the spool.\n")
    answer = flush_now(home, timeout=60, environ=dict(os.environ))
    print_report(home, as_json=as_json)
    if answer.exporters and not as_json:
        print_answer(answer)
