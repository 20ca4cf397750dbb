"""Tool calls count each, also if a gateway starts again at the same number in each prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.sources.call_ids import call_id_of, call_identity, is_random
from tests.support.corpus import SCENARIOS, RecordedHook, Scenario
from tests.support.replay import play

# The scenarios with copied and nested calls. The others are slow.
QUICK = ("forks", "permissions", "subagents")
# How gateways name calls, and how random ids look.
NUMBERED = ["call_0", "0", "functions.Bash:12", "call_function_read_1", "toolu_1", "tool-use-00000000042", ""]
RANDOM = [
    "toolu_01A09q90qw90lq917835lq9",
    "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q",
    "call_9pPKVfjkX2bM1cUw8sTnQz3d",
    "D681PevKs",
    "chatcmpl-tool-6f3ab1e4c02d4b7a9a0f55c1d2e3f405",
    "550e8400-e29b-41d4-a716-446655440000",
    "call_function_x3kq8z1m7w_1",
]


@pytest.mark.parametrize("call_id", NUMBERED)
def test_a_numbered_call_is_identified_by_its_session_prompt_and_agent(call_id: str) -> None:
    places = [("s1", "p1", None), ("s2", "p1", None), ("s1", "p2", None), ("s1", "p1", "a1"), ("s1", None, None)]
    identities = [call_identity(call_id, *place) for place in places]
    assert len(set(identities)) == len(places)
    assert {call_id_of(identity) for identity in identities} == {call_id}


@pytest.mark.parametrize("call_id", RANDOM)
def test_a_random_id_identifies_its_call_alone(call_id: str) -> None:
    """A fork repeats its parent's calls under its own session and prompts. They count once."""
    assert call_identity(call_id, "s1", "p1", None) == call_identity(call_id, "s2", "p2", "a") == call_id
    assert call_id_of(call_id) == call_id


class NumberedCalls(Scenario):
    """A recorded scenario in which the calls of each prompt are named ``call_0``, ``call_1``, …, as a gateway would have numbered them."""

    @cached_property
    def ids(self) -> dict[bytes, bytes]:
        """Recorded id → numbered id."""
        numbers: dict[tuple[str, str, str], int] = {}
        found: dict[bytes, bytes] = {}
        for call_id, place in (*_calls_in_transcripts(self), *_calls_of_hooks(self)):
            if call_id.encode() not in found:
                number = numbers[place] = numbers.get(place, -1) + 1
                found[call_id.encode()] = f"call_{number}".encode()
        return found

    def renumbered(self, content: bytes) -> bytes:
        for recorded, numbered in self.ids.items():
            content = content.replace(recorded, numbered)
        return content

    @cached_property
    def hooks(self) -> list[RecordedHook]:
        return [replace(hook, payload=self.renumbered(hook.payload)) for hook in Scenario(self.name).hooks]

    def write_transcripts(self, target_dir: Path) -> None:
        super().write_transcripts(target_dir)
        for path in target_dir.rglob("*.json*"):
            path.write_bytes(self.renumbered(path.read_bytes()))


def _calls_of_hooks(scenario: Scenario) -> Iterator[tuple[str, tuple[str, str, str]]]:
    for hook in Scenario(scenario.name).hooks:
        fields = hook.fields
        if call_id := fields.get("tool_use_id"):
            yield call_id, (fields["session_id"], fields.get("prompt_id") or "", fields.get("agent_id") or "")


def _calls_in_transcripts(scenario: Scenario) -> Iterator[tuple[str, tuple[str, str, str]]]:
    for name in sorted(scenario.transcript_names):
        prompt_id = ""
        for line in scenario.transcript(name):
            prompt_id = line.get("promptId") or prompt_id
            if line["type"] != "assistant" or line.get("requestSessionId", line["sessionId"]) != line["sessionId"]:
                continue
            for block in _blocks(line):
                if block.get("type") == "tool_use":
                    yield block["id"], (line["sessionId"], prompt_id, line.get("agentId") or "")


def _blocks(line: dict[str, Any]) -> list[dict[str, Any]]:
    content = line["message"].get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_hook_names_the_last_prompt_of_the_transcript_before_its_call(name: str) -> None:
    """The proof for the identity: hooks and transcripts name the same session, prompt and sub-agent."""
    scenario = Scenario(name)
    in_transcripts = dict(_calls_in_transcripts(scenario))
    of_hooks = dict(_calls_of_hooks(scenario))
    assert {call: in_transcripts[call] for call in of_hooks.keys() & in_transcripts.keys()} == {
        call: of_hooks[call] for call in of_hooks.keys() & in_transcripts.keys()
    }
    assert all(is_random(call) for call in of_hooks | in_transcripts)


@pytest.mark.parametrize("restarts", [0, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in SCENARIOS]
)
def test_numbered_calls_give_the_totals_of_the_recorded_ones(name: str, restarts: int, tmp_path: Path) -> None:
    totals = []
    for scenario in (Scenario(name), NumberedCalls(name)):
        replay = play(scenario, tmp_path / type(scenario).__name__, restarts=restarts)
        totals.append(replay.totals())
        replay.core.store.close()
    assert totals[0] == totals[1]


def test_numbered_calls_of_a_scenario_have_the_same_ids() -> None:
    """Otherwise the test above shows nothing."""
    ids = NumberedCalls("forks").ids
    assert len(set(ids.values())) < len(ids)
    assert json.dumps([value.decode() for value in set(ids.values())]).count("call_") == len(set(ids.values()))
