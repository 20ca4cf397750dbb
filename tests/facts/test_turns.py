"""Turns of recorded sessions end without a Stop event too: by interrupts, limits and kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.units import SECOND
from tests.support.corpus import Scenario
from tests.support.replay import Replay, adopt_transcripts, play

# scenario → the failures of its turns, as the recording caused them (ESC, limits, SIGKILL, a hook that stops the turn).
UNANSWERED = {
    "basic-edit": {},
    "api-errors": {
        "authentication_failed": 2, "billing_error": 1, "ended": 2, "invalid_request": 1, "model_not_found": 1,
        "rate_limit": 1, "server_error": 3, "unknown": 1,
    },
    "killed": {"killed": 3},
    "permissions": {"ended": 2},
    "tui-more": {"interrupted": 11, "ended": 2},
}  # fmt: skip


def _failures(replay: Replay) -> dict[str, int]:
    return {
        dict(labels)["error"]: value
        for (name, labels), value in replay.totals().items()
        if name == "claude.turn.failures"
    }


@pytest.mark.parametrize("name", UNANSWERED)
def test_a_turn_without_an_answer_has_the_reason_as_its_failure(name: str, tmp_path: Path) -> None:
    replay = play(Scenario(name), tmp_path)
    assert _failures(replay) == UNANSWERED[name]
    assert not replay.core.facts.select(model.Turn, "ended_ns IS NULL AND prompts_seen_by_hooks IS NOT NULL")


@pytest.mark.parametrize("name", ["basic-edit", "tasks", "subagents"])
def test_without_stop_events_a_turn_ends_at_its_last_answer(name: str, tmp_path: Path) -> None:
    """In the recordings, that is at most a second before the Stop event, and never after it."""
    both = play(Scenario(name), tmp_path / "both")
    alone = Replay(Scenario(name), tmp_path / "alone")
    alone.write_transcripts()
    adopt_transcripts(alone)
    alone.finish()
    ends = {turn.prompt_id: turn for turn in both.core.facts.select(model.Turn)}
    found = alone.core.facts.select(model.Turn, "prompts_in_transcript IS NOT NULL")
    assert found
    for turn in found:
        with_hooks = ends[turn.prompt_id]
        assert turn.failure == with_hooks.failure
        assert turn.ended_ns is not None
        assert with_hooks.ended_ns is not None
        assert 0 <= with_hooks.ended_ns - turn.ended_ns < SECOND


def test_an_interrupted_turn_ends_at_the_interrupt_in_the_transcript(tmp_path: Path) -> None:
    replay = play(Scenario("tui-more"), tmp_path)
    marked = replay.core.facts.select(model.Turn, "interrupted_ns IS NOT NULL")
    assert len(marked) == 10
    assert all(turn.ended_ns == turn.interrupted_ns for turn in marked if turn.failure == "interrupted")


def test_a_wait_for_a_permission_is_not_active_time(tmp_path: Path) -> None:
    """The active time of a turn is its duration without these waits."""
    replay = play(Scenario("tui-more"), tmp_path)
    facts = replay.core.facts
    waits = facts.select(model.PermissionWait, "waited_ns > ?", SECOND)
    assert waits
    for wait in waits:
        (turn,) = facts.select(
            model.Turn, "session_id = ? AND started_ns <= ? AND ended_ns >= ?",
            wait.session_id, wait.asked_ns, wait.asked_ns,
        )  # fmt: skip
        assert (turn.active_ns or 0) <= (turn.ended_ns or 0) - (turn.started_ns or 0) - (wait.waited_ns or 0)
