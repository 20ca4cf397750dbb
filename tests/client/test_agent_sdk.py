"""Programs on the Claude Agent SDK are captured like sessions of the terminal, with the numbers that the SDK itself reports."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.client.agent_sdk_scenarios import PYTHON, TYPESCRIPT
from tests.support.client.client import LONGEST_SCENARIO, missing, play
from tests.support.client.versions import VERSIONS

NEWEST = VERSIONS[-1]
pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(LONGEST_SCENARIO + 30),
    pytest.mark.skipif(missing(NEWEST) is not None, reason=str(missing(NEWEST))),
]
for_python = pytest.mark.skipif(not PYTHON.exists(), reason=f"no Agent SDK for Python: .ci/run installs it to {PYTHON}")
for_typescript = pytest.mark.skipif(
    not TYPESCRIPT.exists() or not shutil.which("node"),
    reason=f"no Agent SDK for TypeScript, or no node: .ci/run installs it to {TYPESCRIPT}",
)


def reported(found: dict[str, Any]) -> dict[str, float]:
    """Return what the SDK reports of the only session. Its last message has the sums of the whole session, over all models."""
    last = found["results"][-1]
    assert {result["session"] for result in found["results"]} == {last["session"]}
    tokens: Counter[str] = Counter()
    for used in last["models"].values():
        tokens["input_tokens"] += used["inputTokens"]
        tokens["output_tokens"] += used["outputTokens"]
        tokens["cache_read_tokens"] += used["cacheReadInputTokens"]
        tokens["cache_write_tokens"] += used["cacheCreationInputTokens"]
    assert sum(used["costUSD"] for used in last["models"].values()) == pytest.approx(last["cost"], rel=1e-9)
    return {"cost_usd": pytest.approx(last["cost"], rel=1e-9), **tokens}


def ours(found: dict[str, Any], sdk: dict[str, float]) -> dict[str, float]:
    """Return the same numbers from our report of that session."""
    [row] = found["sessions"]["rows"]
    assert row["session"] == found["results"][-1]["session"]
    assert found["audit"]["differences"] == []
    return {name: row.get(name, 0) for name in sdk}


@pytest.mark.parametrize(
    ("program", "hooks"),
    [
        pytest.param("one_query", "settings", marks=for_python),
        pytest.param("one_query", "plugin", marks=for_python),
        pytest.param("conversation", "settings", marks=for_python),
        pytest.param("conversation", "plugin", marks=for_python),
        pytest.param("interrupted", "settings", marks=for_python),
        pytest.param("typescript", "settings", marks=for_typescript),
        pytest.param("typescript", "plugin", marks=for_typescript),
    ],
)
def test_our_numbers_are_those_of_the_sdk(program: str, hooks: str, tmp_path: Path) -> None:
    found = play("agent_sdk", tmp_path / "world", program, hooks, version=NEWEST)
    sdk = reported(found)
    assert ours(found, sdk) == sdk
    assert found["results"][-1]["cost"] > 0
    assert found["whole"]["rows"][0]["agent"] == "backend"
    assert found["entrypoints"] == ["sdk-ts" if program == "typescript" else "sdk-py"]
    # Each request that the API answered is there once. It tells nothing of one that was cut off.
    assert found["audit"]["requests"] == len(found["charged"])


@for_python
def test_the_messages_of_all_turns_add_up_to_the_session(tmp_path: Path) -> None:
    """``usage`` is that of a turn without its sub-agents; ``total_cost_usd`` grows over the whole session, also after a resume."""
    found = play("agent_sdk", tmp_path / "world", "conversation", "settings", version=NEWEST)
    costs = [result["cost"] for result in found["results"]]
    assert costs == sorted(costs)
    turns: Counter[str] = Counter()
    for result in found["results"]:
        turns.update({name: result["usage"][name] for name in ("input_tokens", "output_tokens")})
    [row] = found["sessions"]["rows"]
    assert {name: row[name] for name in turns} == turns
    assert row["prompts"] == 3
    assert found["outcomes"] == {"success": 2, "rejected": 1}  # the program refused one, in the place of a person


@for_python
def test_an_import_reads_sessions_whose_program_ran_no_hooks(tmp_path: Path) -> None:
    found = play("agent_sdk", tmp_path / "world", "one_query", "none", version=NEWEST)
    sdk = reported(found)
    assert ours(found, sdk) == sdk
    assert found["whole"]["rows"][0]["agent"] == "default"


@pytest.mark.parametrize("flag", ["--bare", "--safe-mode"])
def test_an_import_reads_sessions_whose_client_runs_no_hooks(flag: str, tmp_path: Path) -> None:
    found = play("without_hooks", tmp_path / "world", flag, version=NEWEST)
    assert found["before"] == []
    [row] = found["after"]
    assert row["cost_usd"] == pytest.approx(found["told"], rel=1e-9)
    assert (row["input_tokens"], row["output_tokens"], row["tool_calls"]) == (210, 50, 1)
