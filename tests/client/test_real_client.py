"""The real Claude Code client runs with our hooks. Its own telemetry and ours agree about the same sessions.

The client runs offline, in its own namespaces, against a scripted API. ``tests/support/client`` has the client and its scenarios.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.sources.registration import Registration, events_of
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.support.client.client import LONGEST_SCENARIO, missing, play
from tests.support.client.versions import BINARY_VARIABLE, RECORDED, VERSIONS, binary, has_account
from tests.support.places import ROOT
from tests.support.terminal import missing as missing_terminal

pytestmark = [pytest.mark.client, pytest.mark.timeout(LONGEST_SCENARIO + 30)]


def _versions(*versions: str) -> pytest.MarkDecorator:
    """Run a test with these versions of the client. Those that are not installed are skipped."""
    if os.environ.get(BINARY_VARIABLE):
        versions = versions[:1]  # the named client is the only one
    found = [
        pytest.param(version, marks=pytest.mark.skipif(missing(version) is not None, reason=str(missing(version))))
        for version in versions
    ]
    return pytest.mark.parametrize("version", found)


each_version = _versions(*VERSIONS)
oldest_and_newest = _versions(VERSIONS[0], RECORDED, VERSIONS[-1])
recorded_version = _versions(RECORDED)

OURS = ['["backend", "shop"]']
# Class of input tokens: the API's name → ours.
CLASSES = {"input": "none", "cache_read": "read", "cache_write_5m": "write_5m", "cache_write_1h": "write_1h"}


def _assert_same_totals(found: dict[str, Any], *kinds: str) -> None:
    """Check sessions, tokens, requests and finished tool calls (or ``kinds``) exactly, and dollars to 1e-9."""
    client, ours = found["client"], found["ours"]
    for kind in kinds or ("sessions", "tokens", "requests", "tools"):
        assert ours[kind] == client[kind], kind
    assert ours["cost"] == pytest.approx(client["cost"], rel=1e-9)
    assert client["cost"], "the client sent no telemetry"


def _charged(found: dict[str, Any]) -> dict[str, int]:
    """Return the input tokens that the API charged, by class."""
    charged: Counter[str] = Counter()
    for charge in found["charged"]:
        charged.update({ours: charge[theirs] for theirs, ours in CLASSES.items()})
    return dict(+charged)


@each_version
@pytest.mark.parametrize("scenario", ["edits", "subagents", "models", "resume", "commit", "plugin"])
def test_our_totals_equal_those_of_the_client(scenario: str, version: str, tmp_path: Path) -> None:
    """They cover tokens by model, class and agent, dollars, requests, sessions and tool calls. Every series has its labels."""
    found = play(scenario, tmp_path / "world", version=version)
    _assert_same_totals(found)
    assert found["ours"]["classes"] == _charged(found)
    assert found["labels"] == OURS


@pytest.mark.parametrize("trusted", ["", "trusted"])
def test_a_hostile_project_neither_moves_telemetry_nor_runs_code(tmp_path: Path, trusted: str) -> None:
    """It sets every variable that could, before and after the user trusts its folder. The owner gets the sessions that it does not hide."""
    found = play("hostile_project", tmp_path / "world", trusted)
    assert found["codes"] == [0, 0, 0, 0]
    assert (found["stolen"], found["ran"], found["content"]) == (0, False, False)
    assert found["ends"] >= 2


@oldest_and_newest
def test_each_call_and_request_of_the_client_has_one_span(version: str, tmp_path: Path) -> None:
    """The spans have the client's ids and durations and the right parents. The log events are complete."""
    found = play("traces", tmp_path / "world", version=version)
    assert found["client"]["calls"]
    assert found["client"]["requests"]
    assert found["ours"] == found["client"]
    assert found["sent"] == found["different"]
    model = "claude-sonnet-4-5"
    assert found["nested"] == sorted(
        [
            [f"chat {model}", "invoke_agent backend"],
            [f"chat {model}", "invoke_agent backend"],
            ["execute_tool Agent", "invoke_agent backend"],
            ["execute_tool Bash", "invoke_agent backend"],
            ["invoke_agent general-purpose", "execute_tool Agent"],
            [f"chat {model}", "invoke_agent general-purpose"],
            ["execute_tool Bash", "invoke_agent general-purpose"],
            [f"chat {model}", "invoke_agent general-purpose"],
        ]
    )
    assert found["events"] == sorted(
        ["claude.session.start", "claude.prompt", *["claude.tool.result"] * 3, "claude.subagent", "claude.session.end"]
    )


@oldest_and_newest
def test_lines_outcomes_and_hook_events_of_a_session_are_counted(version: str, tmp_path: Path) -> None:
    """The session reads, edits, writes, runs a failing command and makes an invalid call. The client prints no error."""
    found = play("edits", tmp_path / "world", version=version)
    assert found["code"] == 0
    assert found["errors"] == ""
    assert found["ours"]["lines"] == {"added": 3, "removed": 1}
    assert found["ours"]["outcomes"] == {"success": 4, "error": 1, "invalid": 1}
    assert found["ours"]["events"] == {
        "SessionStart": 1, "UserPromptSubmit": 1, "PostToolUse": 4, "PostToolUseFailure": 1, "Stop": 1, "SessionEnd": 1,
    }  # fmt: skip


LIGHT = events_of(Registration.LIGHT)


@oldest_and_newest
@pytest.mark.parametrize("scenario", ["edits", "subagents", "models", "resume", "commit"])
def test_with_light_registration_our_totals_equal_those_of_the_client(
    scenario: str, version: str, tmp_path: Path
) -> None:
    """No hook runs for a tool call, so calls, outcomes, lines and commits come from the transcript. None of them counts as lost."""
    found = play(scenario, tmp_path / "world", version=version, events="light")
    _assert_same_totals(found, "sessions", "tokens", "requests", "tools", "commits")
    ours = found["ours"]
    assert (ours["classes"], found["labels"]) == (_charged(found), OURS)
    assert ours["transcript_only"] == {}
    assert set(ours["events"]) <= set(LIGHT)
    if scenario == "edits":
        assert ours["lines"] == {"added": 3, "removed": 1}
        assert ours["outcomes"] == {"success": 4, "error": 1, "invalid": 1}


@oldest_and_newest
def test_with_light_registration_a_span_lasts_from_the_request_of_a_call_to_its_result(
    version: str, tmp_path: Path
) -> None:
    """So it lasts longer than the call itself."""
    found = play("traces", tmp_path / "world", version=version, events="light")
    client, ours = found["client"], found["ours"]
    assert ours["requests"] == client["requests"]
    assert ours["calls"].keys() == client["calls"].keys() != set()
    assert all(took >= client["calls"][call] for call, took in ours["calls"].items())
    assert found["sent"] == found["different"]


@oldest_and_newest
@pytest.mark.parametrize("scenario", ["sigterm", "sigkill"])
def test_with_light_registration_a_client_that_gets_a_signal_has_complete_totals(
    scenario: str, version: str, tmp_path: Path
) -> None:
    found = play(scenario, tmp_path / "world", version=version, events="light")
    assert found["ours"]["sessions"] == {"all": 1}
    assert found["ours"]["classes"] == _charged(found)
    assert found["ours"]["requests"] == {"claude-sonnet-4-5": 2}


@pytest.mark.slow
@oldest_and_newest
def test_with_light_registration_our_totals_of_random_sessions_equal_those_of_the_client(
    version: str, tmp_path: Path
) -> None:
    found = play("random_sessions", tmp_path / "world", "4", "20", version=version, events="light")
    assert found["codes"] == [0] * 20
    assert found["client"]["commits"]
    _assert_same_totals(found, "sessions", "tokens", "requests", "tools", "commits")
    assert found["ours"]["transcript_only"] == {}


@each_version
def test_a_compaction_counts_as_an_auxiliary_request(version: str, tmp_path: Path) -> None:
    """No transcript shows this request. The client counts it as auxiliary too."""
    found = play("compaction", tmp_path / "world", version=version)
    _assert_same_totals(found, "sessions", "tokens", "requests")
    [compaction] = [charge for charge in found["charged"] if charge["output"] == 300]
    counted = found["ours"]["tokens"].get("claude-sonnet-4-5|auxiliary|output", 0)
    assert counted == (compaction["output"] if has_account(binary(version)) else 0)
    assert found["ours"]["compactions"] == {"all": 1}


@oldest_and_newest
def test_a_client_that_gets_sigterm_in_a_tool_has_complete_totals_and_an_end(version: str, tmp_path: Path) -> None:
    """Everything that the API charged is counted, and the hooks report the end of the session."""
    found = play("sigterm", tmp_path / "world", version=version)
    _assert_same_totals(found, "sessions", "tokens", "requests")
    assert found["ours"]["classes"] == _charged(found)
    assert found["ours"]["events"]["SessionEnd"] == 1


@oldest_and_newest
def test_a_client_that_gets_sigkill_in_a_tool_has_complete_totals(version: str, tmp_path: Path) -> None:
    """Everything that the API charged is counted, also what the client's own telemetry loses."""
    found = play("sigkill", tmp_path / "world", version=version)
    assert found["code"] == -9
    assert found["ours"]["sessions"] == {"all": 1}
    assert found["ours"]["classes"] == _charged(found)
    assert found["ours"]["requests"] == {"claude-sonnet-4-5": 2}


@pytest.mark.slow
@each_version
@pytest.mark.parametrize("seed", [4])  # it found the most; any other seed makes 20 other sessions
def test_our_totals_of_random_sessions_equal_those_of_the_client(seed: int, version: str, tmp_path: Path) -> None:
    """The sessions use tools, sub-agents and models. They commit, are resumed, continued, forked, compacted, and run at once."""
    found = play("random_sessions", tmp_path / "world", str(seed), "20", version=version)
    assert found["codes"] == [0] * 20
    assert found["client"]["commits"]
    _assert_same_totals(found, "sessions", "tokens", "requests", "tools", "commits")


@recorded_version
def test_report_shows_the_figures_of_the_client_without_an_endpoint(version: str, tmp_path: Path) -> None:
    """Nothing is exported. ``report`` reads the embedded store."""
    found = play("store_only", tmp_path / "world", version=version)
    assert found["labels"] == []
    reported: Counter[str] = Counter()
    for series in found["report"]:
        reported[series["name"]] += series["value"]
        assert series["labels"].get("agent", "backend") == "backend"
    client = found["client"]
    assert reported["claude_api_cost_usd_total"] == pytest.approx(sum(client["cost"].values()), rel=1e-9)
    assert reported["claude_tokens_input_total"] + reported["claude_tokens_output_total"] == sum(
        client["tokens"].values()
    )
    assert reported["claude_sessions_total"] == 1
    assert "backend" in found["table"]


def _reported(series: list[dict[str, Any]], name: str) -> float:
    return sum(point["value"] for point in series if point["name"] == name)


@oldest_and_newest
def test_settings_that_are_copied_by_hand_capture_a_session(version: str, tmp_path: Path) -> None:
    """The README's commands put the hook where the copied settings look for it. ``report`` takes the session in."""
    found = play("by_hand", tmp_path / "world", version=version)
    assert (found["code"], found["errors"]) == (0, "")
    assert found["events"] == sorted(["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SessionEnd"])
    assert _reported(found["report"], "claude_sessions_total") == 1
    assert _reported(found["report"], "claude_tokens_output_total") == 52


@each_version
def test_an_installed_plugin_says_once_that_it_captures_and_report_has_its_sessions(
    version: str, tmp_path: Path
) -> None:
    """The plugin comes from a folder, and the package was not there. The options of the plugin label the sessions."""
    found = play("plugin_without_package", tmp_path / "world", version=version)
    assert (found["steps"], found["codes"], found["errors"]) == ([[0, ""]] * 2, [0, 0], ["", ""])
    assert found["events"] == sorted(["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SessionEnd"] * 2)
    [message] = found["messages"]
    assert "captures this session" in message
    assert "/hooks-otel:setup" in message
    [sessions] = [point for point in found["report"] if point["name"] == "claude_sessions_total"]
    assert sessions["value"] == 2
    assert (sessions["labels"]["agent"], sessions["labels"]["team"]) == ("reviewer", "core")
    assert _reported(found["report"], "claude_tokens_output_total") == 104


@pytest.fixture(scope="module")
def installed_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a wheel of this checkout, in a virtual environment of its own. The dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "-q"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=False, capture_output=True, text=True
    )
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr[-500:]}")
    venv.create(folder / "venv")
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    [wheel] = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    return folder / "venv" / "bin" / "claude-hooks-otel"


@oldest_and_newest
def test_a_new_user_sees_the_first_session_in_the_report_after_two_commands(
    version: str, installed_program: Path, tmp_path: Path
) -> None:
    """The commands are the installation of the package and ``install``. Nothing on the way is an error, and nothing needs a checkout."""
    found = play("new_user", tmp_path / "world", str(installed_program), version=version)
    steps = ("before", "install", "session", "report", "json", "doctor", "stack")
    assert {step: (found[step]["code"], found[step]["errors"]) for step in steps} == dict.fromkeys(steps, (0, ""))
    assert "claude-hooks-otel install" in found["before"]["output"]
    series = json.loads(found["json"]["output"])
    assert _reported(series, "claude_sessions_total") == 1
    assert _reported(series, "claude_tokens_output_total") == 52
    assert "shop" in found["report"]["output"]
    assert {".env", "docker-compose.yml", "grafana-dashboards", "SUPPORT.md"} <= set(found["files"])


@pytest.mark.skipif(missing_terminal() is not None, reason=str(missing_terminal()))
@oldest_and_newest
def test_the_client_shows_our_status_line_and_its_input_becomes_facts(version: str, tmp_path: Path) -> None:
    """It runs in a terminal, with a subscription. The line that was there before is shown, too, and comes back."""
    found = play("status_line", tmp_path / "world", version=version)
    assert (found["code"], found["wrapped"], found["restored"]) == (0, True, True)
    limits, resets = found["last_input"]["rate_limits"], found["resets"]
    assert found["limits"] == {
        "claude.rate_limit.used five_hour": pytest.approx(limits["five_hour"]["used_percentage"], abs=0.01),
        "claude.rate_limit.used seven_day": pytest.approx(limits["seven_day"]["used_percentage"], abs=0.01),
        "claude.rate_limit.reset.timestamp five_hour": resets,
        "claude.rate_limit.reset.timestamp seven_day": resets + 86400,
    }
    assert [(window["window"], window["resets_ns"]) for window in found["command"]] == [
        ("five_hour", resets * SECOND), ("seven_day", (resets + 86400) * SECOND),
    ]  # fmt: skip
    context, size, cost = found["readings"][-1]
    assert (context, size) == (2100, 200_000)
    assert cost / DOLLAR == pytest.approx(found["last_input"]["cost"]["total_cost_usd"], rel=1e-9)
    if has_account(binary(version)):  # otherwise, only the client knows its requests besides the conversation
        assert found["cost"] == pytest.approx(cost / DOLLAR, rel=1e-9)


SHORT = ["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SessionEnd"]
TERMINATED = ["SessionStart", "UserPromptSubmit", "SessionEnd"]


@recorded_version
@pytest.mark.slow
def test_no_event_of_forty_sessions_is_lost(version: str, tmp_path: Path) -> None:
    """30 short sessions make one tool call each, and 10 get SIGTERM in a tool. Every event is in the spool."""
    found = play("short_sessions", tmp_path / "world", "30", "10", version=version)
    assert Counter(found["codes"]) == {0: 30, 143: 10}
    assert sorted(found["sessions"].values()) == sorted([SHORT] * 30 + [TERMINATED] * 10)


@each_version
@pytest.mark.parametrize("part", ["", ".claude-plugin/plugin.json", ".claude-plugin/marketplace.json"])
def test_the_client_finds_nothing_wrong_with_the_plugin(version: str, tmp_path: Path, part: str) -> None:
    """``claude plugin validate --strict`` accepts the plugin, its manifest, and the manifest of the marketplace.

    Clients before 2.1.281 do not have the icon. They ignore it, and their validation says so.
    """
    for folder in (".claude-plugin", "hooks", "commands"):
        shutil.copytree(ROOT / folder, tmp_path / "plugin" / folder)
    shutil.copy(ROOT / "README.md", tmp_path / "plugin")
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        ["unshare", "-n", "env", "-i", f"HOME={tmp_path}/home", f"PATH={os.environ['PATH']}", str(binary(version)), "plugin", "validate", "--strict", str(tmp_path / "plugin" / part)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    text = done.stdout + done.stderr
    if version in (RECORDED, VERSIONS[-1]):
        assert done.returncode == 0, text
        assert "Validation passed" in text
        assert "warning" not in text
    else:
        assert [line for line in text.splitlines() if "❯" in line and "Unknown field 'icon'" not in line] == []
        assert "Claude Code ignores unrecognized fields" in text or "Validation passed" in text
