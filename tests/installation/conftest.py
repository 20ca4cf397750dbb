"""The command line in a new user account."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.installation.home_files import network_variables

Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command in a new user account in which only HOME and PATH are set."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")) or network_variables({name: "x"}):
            monkeypatch.delenv(name)
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "project")

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(make_app(), arguments)
        assert result.exit_code == code, (result.output, result.stderr, result.exception)
        return result

    return run
