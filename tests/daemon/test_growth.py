"""The transcripts of working sessions: the daemon notices that they grow, however long the session was silent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from claude_hooks_otel.report.live import State, now
from claude_hooks_otel.timeline import LONGEST_LOOK, WORKING_FOR
from claude_hooks_otel.units import SECOND
from tests.support.corpus import Scenario
from tests.support.replay import Replay

CALL = {
    "type": "assistant",
    "requestId": "r",
    "uuid": "u",
    "message": {
        "id": "m",
        "role": "assistant",
        "model": "claude-opus-4-5",
        "content": [{"type": "tool_use", "id": "toolu_0123456789abcdef01234567", "name": "Bash", "input": {}}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}


class Session:
    """A recorded session whose prompt was read, and nothing after it."""

    def __init__(self, folder: Path) -> None:
        self.replay = Replay(Scenario("basic-edit"), folder)
        self.intake = self.replay.core.intake
        [start, prompt] = self.replay.hooks[:2]
        assert prompt.event == "UserPromptSubmit"
        [name] = self.replay.scenario.transcript_names
        self.path = self.replay.projects / name
        self.path.parent.mkdir(parents=True)
        self.path.write_text(json.dumps(self.replay.scenario.transcript(name)[0]) + "\n")
        self.session_id = self.path.stem
        self.replay.clock.now_ns = round(prompt.t * SECOND)
        self.replay.spool([start, prompt])
        self.replay.drain()

    def grow(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def call(self) -> str:
        at = datetime.fromtimestamp(self.replay.clock.now_ns / SECOND, UTC).isoformat()
        return json.dumps({**CALL, "sessionId": self.session_id, "timestamp": at}) + "\n"

    def end_turn(self) -> None:
        self.replay.spool([hook for hook in self.replay.hooks if hook.event == "Stop"])
        while self.intake.take_events():
            pass


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_a_tool_that_begins_after_a_long_silence_is_live_in_the_next_round(session: Session) -> None:
    """Without the look at the file's size, it would be read after a quarter of the silence."""
    session.replay.clock.advance(LONGEST_LOOK / SECOND * 10)
    session.intake.follow_sessions()
    session.replay.clock.advance(1)
    assert not session.intake.has_growth()
    session.grow(session.call())
    assert session.intake.follow_sessions() == 0, "it is not its turn"
    assert session.intake.has_growth()
    assert session.intake.follow_sessions() == 1
    assert not session.intake.has_growth()
    [live] = now(session.replay.core.store.connection, session.replay.clock.now_ns)
    assert (live.state, live.tool) == (State.TOOL, "Bash")


def test_half_a_line_is_noticed_once(session: Session) -> None:
    line = session.call()
    session.grow(line[:40])
    assert session.intake.has_growth()
    assert session.intake.follow_sessions() == 0
    assert not session.intake.has_growth()
    session.grow(line[40:])
    assert session.intake.has_growth()
    assert session.intake.follow_sessions() == 1


def test_an_idle_session_costs_no_look(session: Session) -> None:
    session.end_turn()
    session.grow(session.call())
    assert not session.intake.has_growth()


def test_a_session_that_only_seems_to_work_costs_no_look_forever(session: Session) -> None:
    session.replay.clock.advance(WORKING_FOR / SECOND + 1)
    session.grow(session.call())
    assert not session.intake.has_growth()


def test_a_restarted_daemon_reads_a_silent_session_by_its_schedule(session: Session) -> None:
    session.replay.restart()
    session.grow(session.call())
    assert not session.replay.core.intake.has_growth()
    assert session.replay.core.intake.follow_sessions() >= 1
