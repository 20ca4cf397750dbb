"""The plugin's manifests fit the package, and its hooks capture events."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel import __version__
from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import load
from claude_hooks_otel.sources import registration
from tests.support.places import ROOT


def manifest(name: str) -> Any:
    return json.loads((ROOT / ".claude-plugin" / name).read_text())


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_plugin_has_the_version_and_licence_of_the_package() -> None:
    """Users of the plugin get new code only when its version changes."""
    plugin = manifest("plugin.json")
    assert plugin["name"] == "hooks-otel"
    assert (plugin["version"], plugin["license"]) == (__version__, project()["license"])


def test_the_marketplace_offers_the_plugin_of_this_repository() -> None:
    [entry] = manifest("marketplace.json")["plugins"]
    assert (entry["name"], entry["source"]) == (manifest("plugin.json")["name"], "./")


def test_the_manifest_names_only_the_file_that_the_client_does_not_read_by_default() -> None:
    """If the manifest named hooks/hooks.json too, the client would load it twice."""
    assert manifest("plugin.json")["hooks"] == "./hooks/newer-events.json"


def test_the_setup_command_names_the_steps_to_install() -> None:
    text = (ROOT / "commands" / "setup.md").read_text()
    assert re.match(r"---\ndescription: .+\n", text)
    for step in ("pipx install", "uv tool install", "claude-hooks-otel install --plugin", "claude-hooks-otel doctor"):
        assert step in text


SETUP = "To see numbers, install the package: run /hooks-otel:setup."
REPORT = "/hooks-otel:report shows what your sessions did."


class Plugin:
    """The plugin as the client runs it: a copy in its cache. Nothing else of this project is on the machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "cache" / "hooks otel" / "0.1.0"
        shutil.copytree(ROOT / "hooks", self.root / "hooks")
        self.home = Home.from_environment({"HOME": str(folder)})

    def run(self, event: str, **environ: str) -> bytes:
        """Run the hook of an event and return its output. It never prints an error."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "CLAUDE_PLUGIN_ROOT": str(self.root)} | environ
        [group] = next(file["hooks"][event] for file in registration.plugin_hooks().values() if event in file["hooks"])
        done = subprocess.run(
            ["sh", "-c", group["hooks"][0]["command"]], input=b"{}", env=environ, capture_output=True, check=True
        )
        assert done.stderr == b""
        return done.stdout

    def captured(self) -> list[Path]:
        return sorted((self.home.spool / "new").iterdir())


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


def test_the_plugin_captures_events_without_the_package_and_without_configuration(plugin: Plugin) -> None:
    for event in registration.REGISTERED:
        assert bool(plugin.run(event)) == (event == "SessionStart")
    captured = plugin.captured()
    assert sorted(path.name.partition(".")[0] for path in captured) == sorted(registration.REGISTERED)
    assert all(b"\nregistered_by=plugin\n" in path.read_bytes() for path in captured)


def test_the_first_session_says_that_capture_works_and_what_is_missing(plugin: Plugin) -> None:
    """The client shows ``systemMessage`` to the user, and not to the model. Later sessions are silent."""
    [(key, message)] = json.loads(plugin.run("SessionStart")).items()
    assert key == "systemMessage"
    assert "captures this session" in message
    assert SETUP in message
    assert plugin.run("SessionStart") == b""
    assert len(plugin.captured()) == 2


def test_with_the_package_the_first_session_names_the_report(plugin: Plugin) -> None:
    plugin.home.root.mkdir(parents=True)
    plugin.home.interpreter.write_text("/no/such/python\n")
    assert REPORT in json.loads(plugin.run("SessionStart"))["systemMessage"]


def test_first_sessions_that_start_together_say_it_once(plugin: Plugin) -> None:
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(plugin.run, ["SessionStart"] * 8))
    assert len([output for output in outputs if output]) == 1
    assert len(plugin.captured()) == 8


def test_hooks_of_a_settings_file_say_nothing(plugin: Plugin) -> None:
    plugin.home.root.mkdir(parents=True)
    shutil.copy(ROOT / "hooks" / "emit", plugin.home.emit)
    command = registration.command("SessionStart", registration.SETTINGS_EMIT)
    environ = {"PATH": os.environ["PATH"], "HOME": str(plugin.folder)}
    done = subprocess.run(["sh", "-c", command], input=b"{}", env=environ, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert len(plugin.captured()) == 1


def test_a_closed_output_loses_no_event(plugin: Plugin) -> None:
    plugin.home.root.parent.mkdir(parents=True)
    hooks = json.loads((ROOT / "hooks" / "hooks.json").read_text())["hooks"]
    command = hooks["SessionStart"][0]["hooks"][0]["command"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(plugin.folder), "CLAUDE_PLUGIN_ROOT": str(plugin.root)}
    done = subprocess.run(["sh", "-c", f"({command}) >&- 2>&-"], input=b"{}", env=environ, check=False)
    assert done.returncode == 0
    assert len(plugin.captured()) == 1


def test_options_of_the_plugin_label_sessions_that_set_no_variables(plugin: Plugin) -> None:
    options = {f"CLAUDE_PLUGIN_OPTION_{name}": f"option-{name.lower()}" for name in ("AGENT", "TEAM", "PROJECT")}
    plugin.run("Stop", **options, CLAUDE_AGENT_TEAM="own")
    [event] = plugin.captured()
    header = event.read_text().partition("\n\n")[0].splitlines()
    assert {"agent=option-agent", "team=own", "project=option-project"} <= set(header)


def test_the_token_of_the_options_is_stored_for_install_and_nowhere_else(plugin: Plugin, tmp_path: Path) -> None:
    """A project can choose another home for its sessions, but it does not get the token."""
    token = {"CLAUDE_PLUGIN_OPTION_TOKEN": "a secret"}
    plugin.run("SessionStart", **token, CLAUDE_HOOKS_OTEL_HOME=str(tmp_path / "planted"))
    plugin.run("Stop", **token)
    assert not list(tmp_path.rglob("plugin_token"))
    plugin.run("SessionStart", **token)
    stored = plugin.home.plugin_token
    assert (stored.read_text(), stat.S_IMODE(stored.stat().st_mode)) == ("a secret\n", 0o600)
    plugin.run("SessionStart", CLAUDE_PLUGIN_OPTION_TOKEN="another")
    assert stored.read_text() == "another\n"
    assert all(b"secret" not in event.read_bytes() for event in plugin.captured())


def test_install_sends_the_token_of_the_options_to_the_endpoint_unless_headers_are_set(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "CLAUDE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(plugin.folder))
    plugin.run("SessionStart", CLAUDE_PLUGIN_OPTION_TOKEN="a secret")
    arguments = ["install", "--plugin", "--endpoint", "http://127.0.0.1:4318"]
    result = CliRunner().invoke(make_app(), arguments)
    assert result.exit_code == 0, result.output
    assert "secret" not in result.output
    assert load(plugin.home.config, {}).otel["OTEL_EXPORTER_OTLP_HEADERS"] == "Authorization=Bearer%20a%20secret"
    plugin.home.plugin_token.write_text("planted")
    assert CliRunner().invoke(make_app(), arguments).exit_code == 0
    assert load(plugin.home.config, {}).otel["OTEL_EXPORTER_OTLP_HEADERS"] == "Authorization=Bearer%20a%20secret"


def test_the_plugin_has_an_icon_options_and_a_command_for_each_answer() -> None:
    plugin = manifest("plugin.json")
    assert (ROOT / plugin["icon"]).is_file()
    assert {name: option.get("sensitive", False) for name, option in plugin["userConfig"].items()} == {
        "endpoint": False, "token": True, "agent": False, "team": False, "project": False,
    }  # fmt: skip
    assert not any(option.get("required") for option in plugin["userConfig"].values())
    for name in ("report", "status", "doctor"):
        text = (ROOT / "commands" / f"{name}.md").read_text()
        assert re.match(r"---\ndescription: .+\n", text)
        assert f"`claude-hooks-otel {name} $ARGUMENTS`" in text
    assert '"${user_config.endpoint}"' in (ROOT / "commands" / "setup.md").read_text()
