"""Machines that an organization manages: the real client with managed settings in an ``/etc`` of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.client.client import LONGEST_SCENARIO, missing, play
from tests.support.client.versions import VERSIONS

pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(LONGEST_SCENARIO + 30),
    pytest.mark.skipif(missing(VERSIONS[-1]) is not None, reason=str(missing(VERSIONS[-1]))),
]


def _assert_same_totals(found: dict[str, Any]) -> None:
    client, ours = found["client"], found["ours"]
    for kind in ("sessions", "tokens", "requests", "tools"):
        assert ours[kind] == client[kind] != {}, kind
    assert ours["cost"] == pytest.approx(client["cost"], rel=1e-9)


@pytest.mark.parametrize(
    ("version", "events"),
    [
        pytest.param(
            version, events, marks=pytest.mark.skipif(missing(version) is not None, reason=str(missing(version)))
        )
        for version, events in ((VERSIONS[0], "light"), (VERSIONS[-1], "full"))
    ],
)
def test_managed_settings_capture_every_session_and_no_user_can_switch_them_off(
    version: str, events: str, tmp_path: Path
) -> None:
    """Nobody ran ``install``. User and project disable all hooks, and set another endpoint and another team."""
    found = play("managed", tmp_path / "world", events, version=version)
    _assert_same_totals(found)
    assert (found["code"], found["errors"]) == (0, "")
    assert found["labels"] == ['["backend", "shop"]']
    assert found["teams"] == ["shop-team"]
    assert {"emit", "python", "config.toml"}.isdisjoint(found["files"])


def test_every_command_reports_that_the_organization_registers_the_hooks(tmp_path: Path) -> None:
    found = play("managed", tmp_path / "world", "full", version=VERSIONS[-1])
    file = "/etc/claude-code/managed-settings.d/50-claude-hooks-otel.json"
    assert f"registered by the organization's managed settings: {file}" in found["status"]
    assert {finding["level"] for finding in found["doctor"]} == {"ok"}
    observed = {finding["step"]: finding["observed"] for finding in found["doctor"]}
    assert observed["hooks"] == "managed settings: all 19 events"
    assert observed["switches"] == "disableAllHooks is set, but the organization's hooks still run"
    assert "CLAUDE_HOOKS_OTEL_EXPORTER_OTLP_ENDPOINT" in observed["configuration"]
    assert f"{file}. Only an administrator can remove them." in found["uninstall"]
    assert "managed settings register the hooks, so these settings get none" in found["install"]
    assert "disableAllHooks" not in found["install"]
    assert "No endpoint is configured" not in found["install"]
    assert found["user"]["hooks"] == {}


def test_a_plugin_that_the_organization_enables_captures_every_session(tmp_path: Path) -> None:
    """The client installs it from the marketplace in the managed settings. A project that disables it changes nothing."""
    found = play("managed_plugin", tmp_path / "world", version=VERSIONS[-1])
    _assert_same_totals(found)
    assert found["codes"] == [0, 0]
    assert "registered by the organization's managed settings" in found["status"]
