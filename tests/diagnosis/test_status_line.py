"""``doctor`` says whether Claude Code shows our status line, and which settings replace it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings
from claude_hooks_otel.diagnosis.status_line import status_line

OTHER = {"statusLine": {"type": "command", "command": "echo theirs"}}


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "project"
        self.managed = root / "managed.json"
        self.launcher = root / ".local/state/claude-hooks-otel/statusline.sh"
        (self.project / ".claude").mkdir(parents=True)

    def findings(self) -> list[Finding]:
        environ = {"HOME": str(self.root), "PATH": os.defpath}
        return list(status_line(Surroundings(environ, self.project, (self.managed,))))

    def install(self, *options: str) -> None:
        result = CliRunner().invoke(make_app(), ["install", *options])
        assert result.exit_code == 0, result.output


def write(path: Path, values: dict[str, Any]) -> None:
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | values))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    machine = Machine(tmp_path)
    monkeypatch.chdir(machine.project)
    return machine


def test_without_our_status_line_there_is_nothing_to_say(machine: Machine) -> None:
    machine.install()
    write(machine.root / ".claude" / "settings.json", OTHER)
    assert machine.findings() == []


def test_a_status_line_that_works_is_fine(machine: Machine) -> None:
    machine.install("--statusline")
    [finding] = machine.findings()
    assert (finding.step, finding.level) == ("status line", Level.OK)
    assert "prints a line" in finding.observed


@pytest.mark.parametrize("name", ["project", "local", "managed"])
def test_settings_that_replace_it_are_named(machine: Machine, name: str) -> None:
    machine.install("--statusline")
    files = {
        "project": machine.project / ".claude" / "settings.json",
        "local": machine.project / ".claude" / "settings.local.json",
        "managed": machine.managed,
    }
    write(files[name], OTHER)
    [finding] = machine.findings()
    assert finding.level is Level.WARN
    assert f"the {name} settings have another one" in finding.observed
    assert str(files[name]) in finding.observed
    assert finding.remedy


def test_local_settings_with_ours_win_over_those_of_the_project(machine: Machine) -> None:
    write(machine.project / ".claude" / "settings.json", OTHER)
    machine.install("--scope", "local", "--statusline")
    assert [finding.level for finding in machine.findings()] == [Level.OK]


def test_switched_off_hooks_switch_it_off(machine: Machine) -> None:
    machine.install("--statusline")
    write(machine.root / ".claude" / "settings.json", {"disableAllHooks": True})
    [finding] = machine.findings()
    assert "disableAllHooks" in finding.observed


@pytest.mark.parametrize(
    ("script", "said"), [(None, "is missing"), ("exit 3", "exit code 3"), ("exit 0", "prints nothing")]
)
def test_a_launcher_that_does_not_work_is_named(machine: Machine, script: str | None, said: str) -> None:
    machine.install("--statusline")
    machine.launcher.unlink()
    if script is not None:
        machine.launcher.write_text(script)
    [finding] = machine.findings()
    assert (finding.level, said in finding.observed) == (Level.WARN, True)
    assert "install --statusline" in finding.remedy
