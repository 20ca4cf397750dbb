"""A user account with recorded transcripts, in which commands run in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.home.paths import Home
from tests.support.corpus import Scenario

Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command in a user account with recorded transcripts, without any installation."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    Scenario("subagents").write_transcripts(tmp_path / ".claude" / "projects")

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(make_app(), arguments)
        assert result.exit_code == code, (result.output, result.stderr, result.exception)
        return result

    return run


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.from_environment({"HOME": str(tmp_path)})
