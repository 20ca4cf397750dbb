"""`serve` says what is wrong in a sentence, and ends cleanly."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.web import server


def test_a_port_in_use_is_named(account: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = CliRunner().invoke(make_app(), ["serve", "--port", str(port)])
    assert result.exit_code == 1
    assert f"Port {port} cannot be used" in result.stderr


def test_a_missing_extra_is_named(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("claude_hooks_otel.web", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(make_app(), ["serve"])
    assert result.exit_code == 1
    assert "needs the extra `web`" in result.stderr


def test_without_a_home_the_variable_to_set_is_named(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    result = CliRunner().invoke(make_app(), ["serve", "--port", "0"])
    assert (result.exit_code, "Set CLAUDE_HOOKS_OTEL_HOME" in result.stderr) == (1, True)


def test_the_command_opens_the_link_that_it_prints(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(server.PageServer, "run", lambda self: self._socket.close())
    result = CliRunner().invoke(make_app(), ["serve", "--open", "--port", "0"])
    assert result.exit_code == 0
    (link,) = opened
    assert link.startswith("http://127.0.0.1:")
    assert link in "".join(result.stdout.split())
