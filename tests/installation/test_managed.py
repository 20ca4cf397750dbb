"""``managed-settings`` writes what an organization puts on its machines, and ``doctor`` reads it there."""

from __future__ import annotations

import json
import plistlib
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.installation.managed import managed_registrations
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.spool import Spool
from tests.support.places import EMIT


def run(*options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(make_app(), ["managed-settings", *options])
    assert result.exit_code == code, (result.output, result.stderr)
    return result


def test_the_file_has_hooks_labels_and_the_endpoint_under_our_prefix(tmp_path: Path) -> None:
    file = tmp_path / "50-ours.json"
    output = run("--team", "shop", "--endpoint", "localhost:4318", "--set", "OTEL_SERVICE_NAME=x", str(file)).output
    assert f"Wrote {file}" in output
    assert "http://localhost:4318 is used" in output
    settings = json.loads(file.read_text())
    assert settings["env"] == {
        "CLAUDE_AGENT_TEAM": "shop",
        "CLAUDE_HOOKS_OTEL_SERVICE_NAME": "x",
        "CLAUDE_HOOKS_OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318",
    }
    assert set(settings["hooks"]) == set(registration.REGISTERED)
    assert file.stat().st_mode & 0o777 == 0o644
    assert managed_registrations([file, tmp_path / "none.json"]) == [file]


def test_each_form_has_the_same_settings() -> None:
    assert plistlib.loads(run("--form", "plist", "--statusline").output.encode()) == json.loads(
        run("--statusline").output
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("owner/name", {"source": "github", "repo": "owner/name"}),
        ("https://git.example.com/x.git", {"source": "git", "url": "https://git.example.com/x.git"}),
        ("/srv/plugin", {"source": "directory", "path": "/srv/plugin"}),
    ],
)
def test_a_marketplace_enables_the_plugin_instead_of_hooks(source: str, expected: dict[str, str]) -> None:
    settings = json.loads(run("--marketplace", source).output)
    assert settings["extraKnownMarketplaces"]["hooks-otel"]["source"] == expected
    assert settings["enabledPlugins"] == {"hooks-otel@hooks-otel": True}
    assert "hooks" not in settings


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--prefix", "opt"], "an absolute path is expected"),
        (["--set", "OTEL_EXPORTER_OTLP_HEADERS=a=b"], "everybody on a machine can read managed settings"),
        (["--set", "PATH=/tmp"], "OTEL_NAME=VALUE is expected"),
        (["--format", "{model}"], "--format needs --statusline"),
        (["--statusline", "--format", "{nothing}"], "--format:"),
        (["--marketplace", "a/b", "--events", "light"], "Leave --events and --prefix out"),
    ],
)
def test_contradictions_and_secrets_are_refused(options: list[str], reason: str) -> None:
    assert reason in " ".join(run(*options, code=1).stderr.split())


@pytest.mark.parametrize("name", ["plain", "with a space", "it's $HOME `x`"])
def test_a_hook_runs_the_first_emit_that_is_there_and_no_variable_changes_which(tmp_path: Path, name: str) -> None:
    prefix, home = tmp_path / name, tmp_path / "home"
    emit = prefix / registration.SHARED_EMIT
    emit.parent.mkdir(parents=True)
    emit.write_bytes(EMIT.read_bytes())
    planted = tmp_path / "planted"
    planted.write_text(f"touch '{tmp_path / 'ran'}'")
    command = registration.managed_command("Stop", ["/nowhere", str(prefix)])
    assert registration.is_ours(command)
    assert registration.prefixes_of(command) == ["/nowhere", str(prefix)]
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "emit": str(planted), "shared": str(planted)}
    done = subprocess.run(["/bin/sh", "-c", command], input=b"{}", env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(list(Spool(home / ".local" / "state" / "claude-hooks-otel" / "spool").take(9))) == 1
    assert not (tmp_path / "ran").exists()


def test_a_hook_without_any_emit_is_silent(tmp_path: Path) -> None:
    command = registration.managed_command("Stop", ["/nowhere"])
    done = subprocess.run(
        ["/bin/sh", "-c", command], input=b"{}", env={"HOME": str(tmp_path)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
