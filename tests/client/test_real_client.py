"""The real Claude Code client with our hooks: its own telemetry and ours of the same sessions, side by side.

It runs offline, in namespaces of its own, against a scripted API; see ``client.py`` for how, and ``scenarios.py`` for what it does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.client.client import LONGEST_SCENARIO, binary, missing, play
from tests.support.places import ROOT

pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(LONGEST_SCENARIO + 30),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

OURS = ['["backend", "shop"]']
# The API's and our names of the input tokens' classes.
CLASSES = {"input": "none", "cache_read": "read", "cache_write_5m": "write_5m", "cache_write_1h": "write_1h"}


def _agree(found: dict[str, Any], *kinds: str) -> None:
    """Both sides say the same, dollars to 1e-9, of sessions, tokens, cost, requests and finished tool calls (or of ``kinds``)."""
    client, ours = found["client"], found["ours"]
    for kind in kinds or ("sessions", "tokens", "requests", "tools"):
        assert ours[kind] == client[kind], kind
    assert ours["cost"] == pytest.approx(client["cost"], rel=1e-9)
    assert client["cost"], "the client said nothing"


def _charged(found: dict[str, Any]) -> dict[str, int]:
    """Input tokens by class, as the API charged them."""
    charged: Counter[str] = Counter()
    for charge in found["charged"]:
        charged.update({ours: charge[theirs] for theirs, ours in CLASSES.items()})
    return dict(+charged)


@pytest.mark.parametrize("scenario", ["edits", "subagents", "models", "resume", "commit", "plugin"])
def test_our_totals_are_the_clients(scenario: str, tmp_path: Path) -> None:
    """Tokens by model, class and who spent them, dollars, requests, sessions and tool calls are equal; every series is labelled."""
    found = play(scenario, tmp_path / "world")
    _agree(found)
    assert found["ours"]["classes"] == _charged(found)
    assert found["labels"] == OURS


def test_our_spans_are_the_clients_calls_and_requests(tmp_path: Path) -> None:
    """By id, as long as the client says, each once and where it belongs; and log events beside."""
    found = play("traces", tmp_path / "world")
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


def test_edits_are_counted(tmp_path: Path) -> None:
    """Lines and outcomes of a session that reads, edits, writes, fails and errs; every hook event is there, nobody saw an error."""
    found = play("edits", tmp_path / "world")
    assert found["code"] == 0
    assert found["errors"] == ""
    assert found["ours"]["lines"] == {"added": 3, "removed": 1}
    assert found["ours"]["outcomes"] == {"success": 4, "error": 1, "invalid": 1}
    assert found["ours"]["events"] == {
        "SessionStart": 1, "UserPromptSubmit": 1, "PostToolUse": 4, "PostToolUseFailure": 1, "Stop": 1, "SessionEnd": 1,
    }  # fmt: skip


def test_a_compaction_is_a_side_request(tmp_path: Path) -> None:
    """What no transcript shows is counted as auxiliary, as the client counts it."""
    found = play("compaction", tmp_path / "world")
    _agree(found, "sessions", "tokens", "requests")
    assert found["ours"]["tokens"]["claude-sonnet-4-5|auxiliary|output"] == 300
    assert found["ours"]["compactions"] == {"all": 1}


def test_a_terminated_client(tmp_path: Path) -> None:
    """SIGTERM in a tool: all that was charged is counted, and the session's end is seen."""
    found = play("sigterm", tmp_path / "world")
    _agree(found, "sessions", "tokens", "requests")
    assert found["ours"]["classes"] == _charged(found)
    assert found["ours"]["events"]["SessionEnd"] == 1


def test_a_killed_client(tmp_path: Path) -> None:
    """SIGKILL in a tool: all that was charged is counted, also what the client's own telemetry took to the grave."""
    found = play("sigkill", tmp_path / "world")
    assert found["code"] == -9
    assert found["ours"]["sessions"] == {"all": 1}
    assert found["ours"]["classes"] == _charged(found)
    assert found["ours"]["requests"] == {"claude-sonnet-4-5": 2}


def test_without_an_endpoint(tmp_path: Path) -> None:
    """Nothing is exported, and ``report`` shows the client's own figures from the embedded store."""
    found = play("store_only", tmp_path / "world")
    assert found["labels"] == []
    told: Counter[str] = Counter()
    for series in found["report"]:
        told[series["name"]] += series["value"]
        assert series["labels"].get("agent", "backend") == "backend"
    client = found["client"]
    assert told["claude_api_cost_usd_total"] == pytest.approx(sum(client["cost"].values()), rel=1e-9)
    assert told["claude_tokens_input_total"] + told["claude_tokens_output_total"] == sum(client["tokens"].values())
    assert told["claude_sessions_total"] == 1
    assert "backend" in found["table"]


SHORT = ["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SessionEnd"]
TERMINATED = ["SessionStart", "UserPromptSubmit", "SessionEnd"]


@pytest.mark.slow
def test_no_event_of_forty_sessions_is_lost(tmp_path: Path) -> None:
    """30 short sessions of one tool call, and 10 that get SIGTERM in a tool: every event is in the spool."""
    found = play("short_sessions", tmp_path / "world", "30", "10")
    assert Counter(found["codes"]) == {0: 30, 143: 10}
    assert sorted(found["sessions"].values()) == sorted([SHORT] * 30 + [TERMINATED] * 10)


@pytest.mark.parametrize("part", ["", ".claude-plugin/plugin.json", ".claude-plugin/marketplace.json"])
def test_the_client_validates_the_plugin_strictly(tmp_path: Path, part: str) -> None:
    """``claude plugin validate --strict`` has nothing to say against the plugin, its manifest, or the marketplace's."""
    for folder in (".claude-plugin", "hooks", "commands"):
        shutil.copytree(ROOT / folder, tmp_path / "plugin" / folder)
    shutil.copy(ROOT / "README.md", tmp_path / "plugin")
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        ["unshare", "-n", "env", "-i", f"HOME={tmp_path}/home", f"PATH={os.environ['PATH']}", str(binary()), "plugin", "validate", "--strict", str(tmp_path / "plugin" / part)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation passed" in done.stdout
