"""The first minutes of a new user: ``report`` shows what was captured, and each screen says the next step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli import recorded_sessions
from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.daemon.take_in import take_in
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation.home_files import emit_path
from claude_hooks_otel.sources.spool import Spool


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a user account in which nothing is installed."""
    for name in [name for name in os.environ if name != "PATH"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path)}


@pytest.fixture
def home(user: dict[str, str]) -> Home:
    return Home.from_environment(user)


def run(environ: Mapping[str, str], *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(make_app(), arguments, env=environ)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def sessions(environ: Mapping[str, str]) -> dict[tuple[str, ...], float]:
    """Return agent, project, team and sprint → sessions, as ``report`` shows them."""
    points: list[dict[str, Any]] = json.loads(run(environ, "report", "--json"))
    return {
        tuple(point["labels"].get(key, "") for key in ("agent", "project", "team", "sprint")): point["value"]
        for point in points
        if point["name"] == "claude_sessions_total"
    }


def test_report_takes_in_what_the_plugin_captured_without_the_package(
    user: dict[str, str], home: Home, tmp_path: Path
) -> None:
    recorded_sessions.play(home, tmp_path / "projects", emit_path())
    assert Spool(home.spool).depth()
    found = sessions(user)
    assert {key[:2]: value for key, value in found.items()} == {
        ("backend", "book-cataloger"): 3,
        ("frontend", "storefront"): 3,
        ("reviewer", "book-cataloger"): 2,
    }
    assert Spool(home.spool).depth() == 0
    assert "sonnet-4-5" in run(user, "report")


def test_events_that_the_daemon_does_not_read_in_time_still_count_as_waiting(home: Home) -> None:
    """Somebody holds its lock but answers no request."""
    home.create()
    Spool(home.spool).write("SessionStart", {}, b"{}")
    lock = DaemonLock.acquire(home)
    assert take_in(home, 0.05) == 1
    lock.release()
    assert take_in(home, 0.05) == 0


def test_an_empty_report_before_the_installation_says_to_install(user: dict[str, str], home: Home) -> None:
    text = run(user, "report")
    assert "Nothing was captured yet" in text
    assert "claude-hooks-otel install" in text
    assert "claude-hooks-otel install --plugin" in text
    assert json.loads(run(user, "report", "--json")) == []
    assert not home.root.exists()


def test_an_empty_report_after_the_installation_says_to_start_a_session(user: dict[str, str]) -> None:
    run(user, "install")
    text = run(user, "report")
    assert "Start a new Claude Code session" in text
    assert "claude-hooks-otel install" not in text


def test_a_report_says_that_a_store_cannot_be_used(user: dict[str, str], home: Home) -> None:
    """A newer version wrote it."""
    home.create()
    store = open_store(home.store, lambda: 0)
    store.set_meta("schema_version", "99")
    store.close()
    Spool(home.spool).write("SessionStart", {}, b"{}")
    assert "a newer claude-hooks-otel" in run(user, "report", code=1)
    assert Spool(home.spool).depth() == 1


def test_the_demo_leaves_a_home_for_every_other_command(user: dict[str, str], tmp_path: Path) -> None:
    kept = tmp_path / "kept home"
    text = run(user, "demo", "--keep", str(kept))
    assert f"{HOME_VARIABLE}='{kept}'" in text
    explored = user | {HOME_VARIABLE: str(kept)}
    state = json.loads(run(explored, "status", "--json"))
    assert (state["store"]["sessions"], state["spool"]["waiting"]) == (8, 0)
    assert sum(sessions(explored).values()) == 8
    run(explored, "flush")
    assert "8 sessions" in run(explored, "doctor", code=1)  # no hooks are registered in this account
    run(explored, "install", "--dry-run")
    run(explored, "uninstall", "--dry-run")
    assert "is not empty" in run(user, "demo", "--keep", str(kept), code=1)


def test_resource_attributes_of_the_shell_label_all_sessions_after_install(user: dict[str, str], home: Home) -> None:
    """The setup guide separates projects this way. The client hides the variable from hooks, so ``install`` takes it over."""
    attributes = {"OTEL_RESOURCE_ATTRIBUTES": "project.name=book-cataloger,team=backend,sprint=6B"}
    text = run(user | attributes, "install", "--agent", "api")
    assert "labels all your sessions with project=book-cataloger, sprint=6B, team=backend" in text
    payload = {"session_id": "s", "cwd": "/work/shop", "hook_event_name": "SessionStart", "source": "startup"}
    Spool(home.spool).write("SessionStart", {"agent": "api"}, json.dumps(payload).encode())
    assert sessions(user) == {("api", "book-cataloger", "backend", "6b"): 1}
