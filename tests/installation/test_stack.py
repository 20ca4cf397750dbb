"""``stack`` starts the monitoring stack that comes with the package. Docker is a program that notes what it is asked."""

from __future__ import annotations

import os
import stat
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from claude_hooks_otel.cli.app import make_app
from tests.support.places import ROOT

Cli = Callable[..., Result]
SETUP = ROOT / "monitoring" / "setup"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command in a new user account without Docker."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in [name for name in os.environ if name.startswith(("CLAUDE_", "XDG_"))]:
        monkeypatch.delenv(name)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(make_app(), ["stack", *arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[], list[str]]:
    """Put a ``docker`` on PATH, and return a function that returns what it was asked for."""
    (tmp_path / "bin").mkdir()
    docker, notes = tmp_path / "bin" / "docker", tmp_path / "notes"
    docker.write_text(f'#!/bin/sh\necho "$*" >>{notes}\n[ ! -e {tmp_path}/broken ] || [ "$2" = version ]\n')
    docker.chmod(0o755)
    return lambda: [line for line in notes.read_text().splitlines() if line != "compose version"]


def test_up_down_and_status_run_compose_on_the_files_in_the_home(
    cli: Cli, asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / ".local/state/claude-hooks-otel/stack"
    text = cli("up").output
    assert str(folder / ".env") in text
    cli("status")
    cli("down")
    common = f"compose --project-directory {folder} -f {folder}/docker-compose.yml"
    assert asked() == [f"{common} up -d", f"{common} ps", f"{common} down"]


def test_the_password_of_grafana_is_random_and_only_its_owner_reads_it(cli: Cli, tmp_path: Path) -> None:
    passwords = set()
    for name in ("a", "b"):
        cli("export", str(tmp_path / name))
        variables = tmp_path / name / ".env"
        assert stat.S_IMODE(variables.stat().st_mode) == 0o600
        [line] = [line for line in variables.read_text().splitlines() if line.startswith("GRAFANA_ADMIN_PASSWORD=")]
        passwords.add(line.partition("=")[2])
    assert len(passwords) == 2
    assert min(map(len, passwords)) >= 32


def test_export_writes_the_files_of_the_checkout_and_other_users_can_read_what_containers_mount(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "somewhere" / "stack"
    cli("export", str(folder))
    for path in (path for path in SETUP.rglob("*") if path.is_file() and path.name != ".env"):
        copy = folder / path.relative_to(SETUP)
        assert copy.read_bytes() == path.read_bytes()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o644
        assert copy.parent == folder or stat.S_IMODE(copy.parent.stat().st_mode) == 0o755
    for page in ("RUNBOOK.md", "SUPPORT.md"):
        assert (folder / page).read_bytes() == (ROOT / "monitoring" / page).read_bytes()


def test_a_second_export_keeps_what_its_owner_edits_and_replaces_the_rest(cli: Cli, tmp_path: Path) -> None:
    cli("export", str(tmp_path / "s"))
    own = [tmp_path / "s" / name for name in (".env", "alertmanager.yml", "rules/claude-budget.yml")]
    rest = tmp_path / "s" / "rules" / "claude-alerts.yml"
    for path in (*own, rest):
        path.write_text("mine")
    assert "Wrote 1 file " in cli("export", str(tmp_path / "s")).output
    assert [path.read_text() for path in own] == ["mine"] * 3
    assert rest.read_text() != "mine"
    assert "is up to date" in cli("export", str(tmp_path / "s")).output


def test_without_docker_up_says_what_to_do(cli: Cli) -> None:
    assert "stack export" in cli("up", code=1).output


def test_down_without_a_stack_says_what_to_do(cli: Cli, asked: Callable[[], list[str]]) -> None:
    assert "stack up" in cli("down", code=1).output


def test_a_failing_compose_is_an_error(cli: Cli, asked: Callable[[], list[str]], tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    assert "ended with 1" in cli("up", code=1).output
    assert len(asked()) == 1


def test_a_folder_that_is_a_file_is_an_error(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Name another folder" in cli("export", str(tmp_path / "file"), code=1).output


def test_containers_have_the_names_that_the_documentation_uses() -> None:
    compose = yaml.safe_load((SETUP / "docker-compose.yml").read_text())
    names = {name: service["container_name"] for name, service in compose["services"].items()}
    assert names == {
        name: name
        for name in ("volumes", "otel-collector", "prometheus", "jaeger", "victorialogs", "alertmanager", "grafana")
    }


def test_pyproject_puts_every_file_of_the_stack_into_the_wheel() -> None:
    """The wheel gets only committed files. Somebody's ``.env`` stays out."""
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {Path(name) for name in included["force-include"]}
    listed = subprocess.run(
        ["git", "ls-files", "monitoring/setup"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in map(Path, listed.stdout.split()):
        assert name in sources or sources & set(name.parents), name
    assert not any(Path("monitoring/setup") == name or name.name == ".env" for name in sources)
