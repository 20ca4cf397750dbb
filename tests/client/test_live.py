"""The live view follows the real client: what it does is in the store a moment after each hook."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from tests.support.client.client import LONGEST_SCENARIO, missing, play
from tests.support.terminal import missing as missing_terminal

pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(LONGEST_SCENARIO + 30),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


def test_the_live_view_shows_tools_and_sub_agents_and_no_killed_session(tmp_path: Path) -> None:
    """A long tool makes the daemon calm, and no hook reports that the next tool begins."""
    found = play("live_states", tmp_path / "world")
    assert {state for state, _, _ in found["states"]} == {"thinking", "tool"}
    tools = [[tool, subagents] for _, tool, subagents in found["states"] if tool == "Bash"]
    # Between two tools, the moment without any can be too short to be seen.
    assert [each for each, _ in groupby(tools)] == [["Bash", 0], ["Bash", 1], ["Bash", 0]]
    assert found["left"] == 0
    assert found["agent"][:3] == ["backend", "shop", "claude-sonnet-4-5"]
    assert found["agent"][4], "the request before the kill has a cost"


@pytest.mark.skipif(missing_terminal() is not None, reason=str(missing_terminal()))
def test_the_live_view_shows_a_dialog_until_a_human_answers_it(tmp_path: Path) -> None:
    """One call is allowed, and one refused with ESC, of which no hook reports."""
    found = play("live_dialog", tmp_path / "world")
    states = [state for state, _, _ in found["states"]]
    assert states.count("waiting for permission") == 2
    assert [tool for state, tool, _ in found["states"] if state == "waiting for permission"] == ["Bash", "Bash"]
    assert states[0] == states[-1] == "idle"
