"""With light registration, no hook reports a tool call. The totals are those of full registration, except for named differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.timeline import KILLED_AFTER
from claude_hooks_otel.units import SECOND
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.known_differences import NO_TRANSCRIPT
from tests.support.machine import START_NS, Machine, iso
from tests.support.replay import play

Totals = dict[tuple[str, tuple[tuple[str, str], ...]], Any]

# Metrics that need a hook for tool calls or permissions, or its exact time.
DIFFERENT = {
    catalog.HOOK_EVENTS: "fewer hooks run",
    catalog.TOOL_DURATION: "a call lasts from the model's request to its result",
    catalog.PERMISSION_REQUESTS: "transcripts have only the dialogs that a human refused",
    catalog.PERMISSION_WAIT: "transcripts have only the dialogs that a human refused",
    catalog.ACTIVE_TIME: "it contains the waits that are unknown",
    catalog.TASK_DURATION: "the line of a call is some milliseconds older or younger than its hook",
    catalog.REVIEW_DURATION: "the line of a call is some milliseconds older or younger than its hook",
}
# scenario → metric → (total of full registration, total of light registration, why they differ).
IN_SCENARIO: dict[str, dict[Metric, tuple[int, int, str]]] = {
    "git-work": {catalog.COMMITS: (10, 9, "a sub-agent's transcript does not have the client's report of a commit")}
}


def _without(totals: Totals, metrics: set[Metric]) -> Totals:
    names = {metric.name for metric in metrics}
    return {key: value for key, value in totals.items() if key[0] not in names}


@pytest.mark.parametrize("name", SCENARIOS)
def test_recorded_sessions_have_the_totals_of_full_registration(name: str, tmp_path: Path) -> None:
    """Every call that ended has a duration. None counts as one whose hook was lost."""
    scenario, leave_out = Scenario(name), [NO_TRANSCRIPT]
    full = play(scenario, tmp_path / "full", leave_out=leave_out)
    light = play(scenario, tmp_path / "light", leave_out=leave_out, registration=Registration.LIGHT)
    by_full, by_light = full.totals(), light.totals()
    untimed = light.core.facts.select(model.ToolCall, "outcome IN ('success', 'error') AND duration_ns IS NULL")
    full.core.store.close()
    light.core.store.close()
    different = IN_SCENARIO.get(name, {})
    for metric, (expected_by_full, expected_by_light, _) in different.items():
        for totals, expected in ((by_full, expected_by_full), (by_light, expected_by_light)):
            assert sum(value for (found, _), value in totals.items() if found == metric.name) == expected
    assert _without(by_light, {*DIFFERENT, *different}) == _without(by_full, {*DIFFERENT, *different})
    assert untimed == []


def test_a_call_lasts_at_least_as_long_as_its_hook_says(tmp_path: Path) -> None:
    """In the recording, nothing waits. So it lasts less than half a second longer."""
    scenario = Scenario("basic-edit")
    full = play(scenario, tmp_path / "full")
    light = play(scenario, tmp_path / "light", registration=Registration.LIGHT)
    hooks = {call.tool_use_id: call.duration_ns for call in full.core.facts.select(model.ToolCall)}
    lines = {call.tool_use_id: call.duration_ns for call in light.core.facts.select(model.ToolCall)}
    longer = [(lines[call] or 0) - took for call, took in hooks.items() if took is not None]
    assert longer
    assert 0 <= min(longer) <= max(longer) < SECOND / 2


def test_a_killed_session_lasts_until_its_last_answer(tmp_path: Path) -> None:
    """Its only events are the start and a prompt, and its answers came for an hour after them."""
    machine = Machine(tmp_path)
    gone = str(2**22 + 1)  # no process has this id: Linux counts to 2**22
    machine.receive(
        (0, gone, "s", "SessionStart", {"source": "startup"}),
        (1, gone, "s", "UserPromptSubmit", {"prompt_id": "p", "prompt": "work"}),
    )
    for minute in range(0, 61, 10):
        message = {"id": f"m{minute}", "model": "claude-sonnet-4-5", "content": [], "usage": {"output_tokens": 1}}
        seconds = 2 + 60.0 * minute
        machine.clock.now_ns = START_NS + round(seconds * SECOND)
        machine.write("s", {"type": "assistant", "timestamp": iso(seconds), "uuid": f"u{minute}", "message": message})
        machine.read()
    machine.wait(2 * KILLED_AFTER / SECOND)
    [run] = machine.core.facts.select(model.SessionRun)
    machine.core.store.close()
    assert (run.end_reason, run.ended_ns) == (model.KILLED, START_NS + 3602 * SECOND)
