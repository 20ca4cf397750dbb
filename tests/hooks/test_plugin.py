"""The plugin's manifests fit the package, and its hooks capture events."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

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
    assert (plugin["version"], plugin["license"]) == (project()["version"], project()["license"])


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


def test_the_plugin_captures_events_without_the_package_and_without_configuration(tmp_path: Path) -> None:
    """The client runs a copy in its cache. Nothing else of this project is on the machine."""
    root = tmp_path / "cache" / "hooks otel" / "0.1.0"
    shutil.copytree(ROOT / "hooks", root / "hooks")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_PLUGIN_ROOT": str(root)}
    registered = [groups for file in registration.plugin_hooks().values() for groups in file["hooks"].values()]
    for [group] in registered:
        done = subprocess.run(
            ["sh", "-c", group["hooks"][0]["command"]], input=b"{}", env=environ, capture_output=True, check=True
        )
        assert (done.stdout, done.stderr) == (b"", b"")
    captured = sorted((tmp_path / ".local/state/claude-hooks-otel/spool/new").iterdir())
    assert sorted(path.name.partition(".")[0] for path in captured) == sorted(registration.REGISTERED)
    assert all(b"\nregistered_by=plugin\n" in path.read_bytes() for path in captured)
