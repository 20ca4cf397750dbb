"""A user's account in which the commands run, as in a terminal or a pipe."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from claude_hooks_otel import __version__
from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.home_files import network_variables
from claude_hooks_otel.sources.spool import Spool


class Account:
    """An account with a home folder, in which commands run in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = Home(root / ".local" / "state" / "claude-hooks-otel")
        self.settings = root / ".claude" / "settings.json"
        self.charset = "utf-8"

    def run(self, *arguments: str, answer: str | None = None) -> Result:
        """Run a command. ``answer`` is what a person types."""
        return CliRunner(charset=self.charset).invoke(make_app(), arguments, input=answer)

    def ok(self, *arguments: str) -> str:
        """Run a command that has to succeed. Return what it prints."""
        result = self.run(*arguments)
        assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
        return result.stdout

    def capture(self, event: str = "SessionStart", **payload: object) -> None:
        """Put a hook event into the spool."""
        base = {"session_id": "s", "transcript_path": "/none.jsonl", "cwd": "/", "hook_event_name": event}
        Spool(self.home.spool).write(
            event, {"agent": "backend"}, json.dumps({**base, "source": "startup", **payload}).encode()
        )

    def use(self) -> None:
        """Install, capture the start of a session, and read it into the store."""
        self.ok("install")
        python = self.root / "python"  # doctor starts it, and a real one takes seconds to import everything
        python.write_text(f"#!/bin/sh\necho {__version__}\n")
        python.chmod(0o755)
        self.home.interpreter.write_text(f"{python}\n")
        self.capture()
        assert flush_now(self.home, 10, {}).ok

    def export_to(self, endpoint: str, **variables: str) -> None:
        """Export to an endpoint over HTTP, with short timeouts."""
        given = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "300",
            **variables,
        }
        lines = "\n".join(f'{name} = "{value}"' for name, value in given.items())
        self.home.config.write_text(f"[otel]\n{lines}\n")

    def turn(self) -> None:
        """Capture a whole turn, which makes spans and log events."""
        now = time.time_ns()
        self.capture("UserPromptSubmit", prompt="hello", prompt_id=f"p{now}")
        self.capture("Stop")
        self.capture("SessionEnd", reason="other")


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")) or network_variables({name: "x"}):
            monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return Account(tmp_path)
