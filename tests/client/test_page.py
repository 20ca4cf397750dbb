"""The live page follows the real client."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.client.client import LONGEST_SCENARIO, missing, play

pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(LONGEST_SCENARIO + 30),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


def test_the_live_page_shows_each_tool_and_the_end_of_the_session(tmp_path: Path) -> None:
    """The page gets it by server-sent events. ``bench.page --live`` measures how long after the hook."""
    found = play("page_live", tmp_path / "world")
    assert (found["said"][0], found["said"][-1]) == ("", "")
    assert "Bash" in found["said"]
    assert len(found["seconds"]) == 3
    assert None not in found["seconds"]
