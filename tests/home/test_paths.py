"""The hook, the registered command and Python find the same home."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources import registration
from tests.support.places import ROOT

SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
# Each variable is unset, empty, or has characters that shells split or expand.
NAMES = ("CLAUDE_HOOKS_OTEL_HOME", "XDG_STATE_HOME", "HOME")
COMBINATIONS = list(itertools.product((None, "", "a b/$x*"), repeat=3))


def environment(tmp_path: Path, values: tuple[str | None, ...]) -> dict[str, str]:
    """Return the variables. A value is empty or a folder of its own below ``tmp_path``."""
    given = {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}
    return {name: value and str(tmp_path / value / name) for name, value in given.items()}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("values", COMBINATIONS, ids=str)
def test_the_hook_writes_where_python_reads(tmp_path: Path, shell: str, values: tuple[str | None, ...]) -> None:
    """Each of the three variables is unset, empty or set, in all 27 combinations."""
    variables = environment(tmp_path, values)
    (tmp_path / "work").mkdir()
    command = registration.command("Stop", f'"{ROOT}/hooks/emit"')
    environ = variables | {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [shell, "-c", command], input=b"{}", env=environ, cwd=tmp_path / "work", capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    written = [path for path in tmp_path.rglob("Stop.*") if path.is_file()]
    try:
        home = Home.from_environment(variables)
    except RuntimeError:
        assert written == []
    else:
        assert [path.parent for path in written] == [home.spool / "new"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("values", [values for values in COMBINATIONS if values[2]], ids=str)
def test_the_registered_command_runs_the_installed_hook(
    tmp_path: Path, shell: str, values: tuple[str | None, ...]
) -> None:
    """It is in the usual home, also if the state is elsewhere: a project can set the other two variables."""
    variables = environment(tmp_path, values)
    home = Home.usual(variables)
    assert home is not None
    home.create()
    home.emit.write_text('printf %s "$event" >"$FOUND"\n')
    command = registration.settings_hooks()["Stop"][0]["hooks"][0]["command"]
    found = tmp_path / "found"
    environ = variables | {"PATH": os.environ["PATH"], "FOUND": str(found)}
    subprocess.run([shell, "-c", command], env=environ, check=True)
    assert found.read_text() == "Stop"


def test_without_any_variable_there_is_no_home() -> None:
    with pytest.raises(RuntimeError, match="CLAUDE_HOOKS_OTEL_HOME"):
        Home.from_environment({})


def test_only_the_owner_can_enter_the_folders_of_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    home.create()
    home.create()
    for folder in (
        home.root,
        home.spool,
        home.spool / "tmp",
        home.spool / "new",
        home.spool / "broken",
        home.flush_requests,
    ):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_no_two_paths_of_the_home_are_the_same(tmp_path: Path) -> None:
    home = Home(tmp_path)
    paths = [getattr(home, name) for name, member in vars(Home).items() if isinstance(member, property)]
    assert len(paths) == len(set(paths)) >= 10
    assert all(path.parent == tmp_path for path in paths)
