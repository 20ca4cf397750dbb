"""A session's variables belong to that session. They decide neither what a hook runs nor where the telemetry of all sessions goes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.envelope import decode
from claude_hooks_otel.sources.spool import Spool
from tests.support.hook_runs import run_hook, usual_home

NOBODY = 65534
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]


def plant_interpreter(home: Home, marker: Path) -> None:
    """Put a program in the place of the interpreter. It makes the marker."""
    home.root.mkdir(parents=True, exist_ok=True)
    program = home.root / "program"
    program.write_text(f"#!/bin/sh\necho ran >'{marker}'\n")
    program.chmod(0o755)
    home.interpreter.write_text(f"{program}\n")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("variable", ["CLAUDE_HOOKS_OTEL_HOME", "XDG_STATE_HOME"])
def test_nothing_is_started_in_a_home_that_no_install_recorded(tmp_path: Path, shell: str, variable: str) -> None:
    """Its events are captured. The command on PATH would read its configuration, so it is not started either."""
    planted = Home(tmp_path / "project" / "claude-hooks-otel")
    named = planted.root if variable == "CLAUDE_HOOKS_OTEL_HOME" else planted.root.parent
    plant_interpreter(planted, tmp_path / "marker")
    (tmp_path / "bin").mkdir()
    shutil.copy(planted.root / "program", tmp_path / "bin" / "claude-hooks-otel")
    run_hook(tmp_path / "user", shell, f"{tmp_path}/bin:/usr/bin:/bin", **{variable: str(named)})
    assert not (tmp_path / "marker").exists()
    assert Spool(planted.spool).depth() == 1
    assert not planted.is_trusted({"HOME": str(tmp_path / "user")})


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["other", "two words", "$x*"])
def test_a_daemon_is_started_in_a_recorded_home(tmp_path: Path, shell: str, name: str) -> None:
    other, usual = Home(tmp_path / name), usual_home(tmp_path / "user")
    plant_interpreter(other, tmp_path / "marker")
    usual.root.mkdir(parents=True)
    usual.others.write_text(f"/elsewhere\n{other.root}\n")
    run_hook(tmp_path / "user", shell, CLAUDE_HOOKS_OTEL_HOME=str(other.root))
    assert (tmp_path / "marker").exists()
    assert other.is_trusted({"HOME": str(tmp_path / "user")})


@pytest.mark.parametrize(
    "kind", ["pipe", "folder", "another user's", "another user's interpreter", "pipe as interpreter"]
)
def test_a_list_or_interpreter_that_is_no_file_of_the_user_is_not_read(tmp_path: Path, kind: str) -> None:
    if "another user" in kind and os.geteuid():
        pytest.skip("only root can give a file away")
    other, usual = Home(tmp_path / "other"), usual_home(tmp_path / "user")
    plant_interpreter(other, tmp_path / "marker")
    usual.root.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(usual.others)
    elif kind == "folder":
        usual.others.mkdir()
    else:
        usual.others.write_text(f"{other.root}\n")
    if kind == "another user's":
        os.chown(usual.others, NOBODY, NOBODY)
    elif kind == "another user's interpreter":
        os.chown(other.interpreter, NOBODY, NOBODY)
    elif kind == "pipe as interpreter":
        other.interpreter.unlink()
        os.mkfifo(other.interpreter)
    run_hook(tmp_path / "user", CLAUDE_HOOKS_OTEL_HOME=str(other.root))
    assert not (tmp_path / "marker").exists()
    if "interpreter" not in kind:
        assert usual.recorded() == []


def test_the_registered_command_runs_no_emit_that_a_variable_names(tmp_path: Path) -> None:
    planted = tmp_path / "claude-hooks-otel"
    planted.mkdir()
    (planted / "emit").write_text(f"echo ran >'{tmp_path}/marker'\n")
    command = registration.settings_hooks()["Stop"][0]["hooks"][0]["command"]
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path / "user"),
        "CLAUDE_HOOKS_OTEL_HOME": str(planted),
        "XDG_STATE_HOME": str(tmp_path),
    }
    subprocess.run(["sh", "-c", command], input=b"{}", env=environ, check=True)
    assert not (tmp_path / "marker").exists()


# -- another user's home ---------------------------------------------------------------------------------------------------

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


def give_away(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, NOBODY, NOBODY)


@root_only
def test_the_owner_can_read_what_root_captures_in_the_owners_home(tmp_path: Path) -> None:
    """After ``sudo -E``, HOME is the user's and the process is root. Root starts no daemon there."""
    user, home = tmp_path / "user", usual_home(tmp_path / "user")
    home.create()
    plant_interpreter(home, tmp_path / "marker")
    give_away(user)
    run_hook(user)
    (event,) = (home.spool / "new").iterdir()
    assert event.stat().st_mode & 0o777 == 0o644
    tmp_path.chmod(0o755)
    (tmp_path / "marker").unlink(missing_ok=True)
    read = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "cat", str(event)]
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o005 != 0o005:
            read = ["cat", str(event)]  # this machine's temporary folder is closed to others
    content = subprocess.run(read, capture_output=True, check=True).stdout
    assert decode(event.name, 0, content).payload == b"{}"
    assert not (tmp_path / "marker").exists()


@root_only
@pytest.mark.parametrize("missing", ["home", "spool"])
def test_root_creates_no_folder_in_another_users_home(tmp_path: Path, missing: str) -> None:
    user, home = tmp_path / "user", usual_home(tmp_path / "user")
    user.mkdir()
    if missing == "spool":
        home.root.mkdir(parents=True)
    give_away(user)
    before = sorted(user.rglob("*"))
    run_hook(user)
    assert sorted(user.rglob("*")) == before
