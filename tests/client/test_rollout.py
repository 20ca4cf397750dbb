"""Roll-out with the real client: managed settings in an ``/etc`` of its own, and the steps of the GitHub Action."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.client.client import LONGEST_SCENARIO, missing, play
from tests.support.client.github_action import Job
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


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job in which the action has installed the package from this checkout, with pip."""
    folder = tmp_path_factory.mktemp("job")
    environ = {
        name: value for name, value in os.environ.items() if name == "PATH" or name.startswith(("PIP_", "SSL_", "HTTP"))
    }
    job = Job(folder, {}, {**environ, "HOME": str(folder), "GITHUB_WORKSPACE": str(folder)})
    job.run("Install claude-hooks-otel")
    assert job.outputs == {"package": {"installed": "true"}}, job.log
    return folder


def test_the_summary_of_a_job_has_the_numbers_of_the_session(runner: Path) -> None:
    """Its answer and its branch look like commands and Markdown, and stay text. The prompt begins like an option."""
    found = play("github_action", runner, version=VERSIONS[-1])
    assert set(found["codes"].values()) == {0}
    assert found["commands"] == []
    result, outputs, summary = found["result"], found["results"], found["summary"]
    assert outputs["result"] == result["result"]
    assert outputs["session-id"] == result["session_id"]
    assert float(outputs["cost-usd"]) == pytest.approx(result["total_cost_usd"], abs=5e-7)
    charged = [
        sum(charge[name] for charge in found["charged"] for name in names)
        for names in (("input", "cache_read", "cache_write_5m"), ("output",))
    ]
    assert [int(outputs["input-tokens"]), int(outputs["output-tokens"])] == charged
    assert summary.startswith("### Claude Code: $0.0078, ")
    assert "Branch: mend\\_the\\_sum<br>" in summary
    for row in (
        "| files changed | 1 |", "| lines added | 1 |", "| lines deleted | 1 |", "| commits | 1 |", "| requests | 5 |",
        "| failed tool calls and requests | 1 |", "| sonnet-4-5 | main | 5 | 144 | 4,300 | 1,000 | 155 | $0.0078 |",
    ):  # fmt: skip
        assert row in summary
    assert "| Bash | 2 | 1 | 1 |" in summary
    assert found["delta"] == [["delta", "ci"]]


def test_telemetry_never_fails_a_job_and_a_failed_session_does(runner: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    (folder / "runner" / "claude-hooks-otel").mkdir(parents=True)
    (folder / "runner" / "claude-hooks-otel" / "venv").symlink_to(runner / "runner" / "claude-hooks-otel" / "venv")
    found = play("github_action_failures", folder, version=VERSIONS[-1])
    assert {name: job["codes"]["Run Claude Code"] for name, job in found.items()} == {
        "endpoint": 0,
        "client": 1,
        "package": 0,
    }
    for job in found.values():
        assert job["codes"]["Send the telemetry and write the summary"] == 0
        assert set(job["commands"]) == {"warning"}
    assert "| requests | 1 |" in found["endpoint"]["summary"]
    assert "| failed tool calls and requests | 1 |" in found["client"]["summary"]
    assert found["package"]["results"]["result"] == "done"
    assert found["package"]["summary"] == ""
