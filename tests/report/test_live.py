"""What runs now: each recorded session is shown with what it did at each moment, and no longer than it ran."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.report.live import LiveSession, State, now
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.timeline import KILLED_AFTER
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.support.corpus import RecordedHook, Scenario
from tests.support.replay import Replay

Shown = tuple[str, str | None, int]


def _shown(replay: Replay) -> list[LiveSession]:
    return now(replay.core.store.connection, replay.clock.now_ns)


class GrowingTranscripts:
    """The transcripts of a replay, each as long as it was at the replay's time."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._lines = {
            replay.projects / name: [
                (_nanoseconds(line.get("timestamp")), json.dumps(line)) for line in replay.scenario.transcript(name)
            ]
            for name in replay.scenario.transcript_names
        }

    def grow(self) -> None:
        """Append what was written by now. A line without a time belongs to the one before it."""
        for path, lines in self._lines.items():
            count = next(
                (place for place, (at_ns, _) in enumerate(lines) if at_ns > self._replay.clock.now_ns), len(lines)
            )
            if count:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a") as file:
                    file.writelines(f"{text}\n" for _, text in lines[:count])
                del lines[:count]


def _nanoseconds(at: str | None) -> int:
    return round(datetime.fromisoformat(at).timestamp() * SECOND) if at else 0


def _moments(replay: Replay) -> Iterator[tuple[RecordedHook, list[LiveSession]]]:
    """Yield what is shown a moment after each event."""
    transcripts = GrowingTranscripts(replay)
    for hook in replay.hooks:
        replay.spool([hook])
        replay.clock.now_ns = round((hook.t + 0.1) * SECOND)
        transcripts.grow()
        replay.drain()
        yield hook, _shown(replay)


def _changes(folder: Path, name: str, run: str) -> list[Shown]:
    """Return each state of a run in which it is shown: state, tool, sub-agents."""
    replay = Replay(Scenario(name), folder)
    replay.hooks = [hook for hook in replay.hooks if hook.run == run]
    found: list[Shown] = []
    for _, sessions in _moments(replay):
        for live in sessions:
            state = (str(live.state), live.tool, live.subagents_running)
            if not found or found[-1] != state:
                found.append(state)
    assert _shown(replay) == []
    return found


WAITING, THINKING, TOOL, IDLE = map(str, (State.WAITING, State.THINKING, State.TOOL, State.IDLE))


def test_a_dialog_is_shown_until_it_is_answered(tmp_path: Path) -> None:
    """The human refuses calls with ESC, with "No" and with words, and allows others."""
    found = _changes(tmp_path, "tui-more", "reject")
    assert found[:3] == [(IDLE, None, 0), (THINKING, None, 0), (WAITING, "Bash", 0)]
    assert {state for state in found if state[0] == WAITING} == {
        (WAITING, tool, 0) for tool in ("Bash", "Edit", "Write")
    }
    assert found.count((WAITING, "Edit", 0)) == 1


def test_the_dialog_of_a_sub_agent_is_shown_while_the_main_conversation_waits(tmp_path: Path) -> None:
    found = _changes(tmp_path, "tui-mcp", "subagent-permission")
    assert (WAITING, "Bash", 1) in found
    assert found[-1] == (IDLE, None, 0)


def test_questions_and_plans_are_waits_for_a_human(tmp_path: Path) -> None:
    found = _changes(tmp_path, "tui-more", "plan")
    assert [state[1] for state in found if state[0] == WAITING] == [
        "AskUserQuestion",
        "ExitPlanMode",
        "AskUserQuestion",
    ]


def test_an_interrupted_turn_is_idle(tmp_path: Path) -> None:
    """ESC sends no event. The transcript has the mark, and the next event shows it."""
    replay = Replay(Scenario("tui-more"), tmp_path)
    replay.hooks = [hook for hook in replay.hooks if hook.run == "reject"][:3]
    *_, (hook, [waiting]) = _moments(replay)
    assert (hook.event, waiting.state) == ("PermissionRequest", State.WAITING)
    replay.clock.now_ns = round((hook.t + 2) * SECOND)
    GrowingTranscripts(replay).grow()
    replay.drain()
    [idle] = _shown(replay)
    assert (idle.state, idle.tool) == (State.IDLE, None)
    assert waiting.state_since_ns < idle.state_since_ns < replay.clock.now_ns


@pytest.mark.parametrize("name", ["auto-compact", "resume", "clear", "forks", "teams"])
def test_no_session_is_shown_after_its_end(name: str, tmp_path: Path) -> None:
    """Each session is shown once, and only between its first event and its SessionEnd."""
    replay = Replay(Scenario(name), tmp_path)
    ended: set[str] = set()
    seen: set[str] = set()
    for hook, sessions in _moments(replay):
        session_id = hook.fields["session_id"]
        (ended.add if hook.event == "SessionEnd" else ended.discard)(session_id)
        ids = [live.session_id for live in sessions]
        assert len(ids) == len(set(ids))
        assert not ended & set(ids), hook
        seen.update(ids)
    assert seen


def test_sub_agents_that_work_at_the_same_time_are_counted(tmp_path: Path) -> None:
    replay = Replay(Scenario("subagents"), tmp_path)
    counts = {live.subagents_running for _, sessions in _moments(replay) for live in sessions}
    assert {0, 1, 2} <= counts


class Room:
    """A store with one session, whose events a test invents."""

    def __init__(self, folder: Path) -> None:
        self.replay = Replay(Scenario("basic-edit"), folder)
        self.template = self.replay.hooks[0]
        self.at = self.template.t
        self.core = self.replay.core
        self.count = 0

    def event(
        self, event: str, seconds: float = 1, *, session: str = "s", process: int | None = None, **fields: Any
    ) -> None:
        """Capture an event some seconds after the one before."""
        self.at += seconds
        self.count += 1
        payload = {"session_id": session, "hook_event_name": event, "cwd": "/", **fields}
        headers = {"agent": "backend", **({"process": str(process)} if process else {})}
        name = f"{event}.{self.count}"
        path = self.replay.home.spool / "new" / name
        path.write_bytes(Envelope(name, 0, event, headers, json.dumps(payload).encode()).encode())
        os.utime(path, ns=(round(self.at * SECOND),) * 2)
        self.replay.clock.now_ns = round(self.at * SECOND)
        while self.core.intake.take_events():
            pass

    def call(self, tool: str, *, agent_id: str | None = None, **fields: Any) -> None:
        """Add a call that the transcript has."""
        self.count += 1
        given = {
            "tool_use_id": f"call{self.count}",
            "session_id": "s",
            "started_ns": round(self.at * SECOND) + 1,
            **fields,
        }
        with self.core.store.transaction():
            self.core.facts.upsert(model.ToolCall(tool=tool, agent_id=agent_id, **given))

    def shown(self, later: float = 0) -> list[LiveSession]:
        return now(self.core.store.connection, round((self.at + later) * SECOND))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    found = Room(tmp_path)
    found.event("SessionStart", source="startup", model="claude-opus-4-5")
    return found


def test_parallel_calls_are_counted_and_the_longest_is_named(room: Room) -> None:
    room.event("UserPromptSubmit", prompt="x", prompt_id="p")
    for tool in ("Agent", "Bash", "Read"):
        room.call(tool, started_ns=round(room.at * SECOND) + room.count)
    [live] = room.shown()
    assert (live.state, live.tool, live.tools_running) == (State.TOOL, "Bash", 2)
    assert live.tool_since_ns == live.state_since_ns


def test_without_a_notification_an_allowed_call_runs(room: Room) -> None:
    """The client sends nothing when a human allows a call. It notifies if nobody answers."""
    room.event("UserPromptSubmit", prompt="x", prompt_id="p")
    room.call("Bash")
    room.event("PermissionRequest", tool_name="Bash", tool_input={})
    assert [room.shown(later)[0].state for later in (0, 7, 9)] == [State.WAITING, State.WAITING, State.TOOL]
    room.event("Notification", 12, notification_type="permission_prompt")
    assert room.shown(600)[0].state == State.WAITING
    room.event("PostToolUse", 1, tool_name="Bash", tool_use_id="other", tool_input={}, duration_ms=20_000)
    assert room.shown()[0].state == State.WAITING, "a parallel call that began before the question was not the answer"
    room.event("PostToolUse", 1, tool_name="Bash", tool_use_id="own", tool_input={}, duration_ms=500)
    assert room.shown()[0].state == State.TOOL


def test_an_idle_notification_ends_a_turn_that_nothing_else_ended(room: Room) -> None:
    room.event("UserPromptSubmit", prompt="x", prompt_id="p")
    assert room.shown(50)[0].state == State.THINKING
    room.event("Notification", 60, notification_type="idle_prompt")
    assert room.shown()[0].state == State.IDLE


def test_a_compaction_is_shown_until_it_ends(room: Room) -> None:
    room.event("PreCompact", trigger="manual")
    assert (room.shown()[0].state, room.shown()[0].is_compacting) == (State.THINKING, True)
    room.event("SessionStart", source="compact")
    room.event("PostCompact", trigger="manual")
    assert (room.shown()[0].state, room.shown()[0].is_compacting) == (State.IDLE, False)


def test_context_in_use_is_unknown_after_a_compaction_until_the_next_answer(room: Room) -> None:
    at_ns = round(room.at * SECOND)
    with room.core.store.transaction():
        room.core.facts.upsert(
            model.Session(session_id="s", context_tokens=100_000),
            model.ApiRequest(message_id="m", answer_id="", session_id="s", at_ns=at_ns, cost=3 * DOLLAR // 2),
        )
    [live] = room.shown()
    assert (live.context_percent, live.cost) == (50, 3 * DOLLAR // 2)
    with room.core.store.transaction():
        room.core.facts.upsert(model.CompactBoundary(uuid="u", session_id="s", at_ns=at_ns + 1))
    assert room.shown()[0].context_percent is None


def test_the_model_is_the_one_that_was_switched_to(room: Room) -> None:
    assert room.shown()[0].model == "claude-opus-4-5"
    room.event("PostModelSwitch", from_model="claude-opus-4-5", to_model="claude-haiku-4-5")
    assert room.shown()[0].model == "claude-haiku-4-5"


def test_an_interrupt_ends_the_sub_agents_that_are_silent_after_it(room: Room) -> None:
    room.event("UserPromptSubmit", prompt="x", prompt_id="p")
    for agent in ("one", "two"):
        room.event("SubagentStart", agent_id=agent, agent_type="Explore")
    room.event("InstructionsLoaded", file_path="/CLAUDE.md")
    with room.core.store.transaction():
        room.core.facts.upsert(model.Turn(prompt_id="p", session_id="s", interrupted_ns=round(room.at * SECOND)))
    assert (room.shown()[0].state, room.shown()[0].subagents_running) == (State.IDLE, 0)
    room.call("Bash", agent_id="two")
    assert (room.shown()[0].tool, room.shown()[0].subagents_running) == ("Bash", 1)


def test_a_session_whose_process_was_killed_is_not_shown(room: Room) -> None:
    with subprocess.Popen(["sleep", "600"]) as client:
        room.event("SessionStart", session="k", process=client.pid, source="startup")
        assert {live.session_id for live in room.shown(3600 * 24)} == {"k"}
        client.kill()
        client.wait()
    assert {live.session_id for live in room.shown()} == {"s"}


def test_a_session_of_an_unknown_process_is_shown_until_it_counts_as_killed(room: Room) -> None:
    assert len(room.shown(KILLED_AFTER / SECOND - 1)) == 1
    assert room.shown(KILLED_AFTER / SECOND + 1) == []


def test_a_process_has_one_session_at_a_time(room: Room) -> None:
    """Clients before 2.1.214 send the SessionStart of a fork with the id of its parent."""
    room.event("SessionStart", session="parent", process=os.getpid(), source="fork")
    room.event("UserPromptSubmit", session="fork", process=os.getpid(), prompt="x")
    assert {live.session_id for live in room.shown()} == {"s", "fork"}


def test_a_resumed_session_begins_again_and_keeps_its_cost(room: Room) -> None:
    room.event("UserPromptSubmit", prompt="x", prompt_id="p")
    room.call("Bash")
    with room.core.store.transaction():
        room.core.facts.upsert(model.ApiRequest(message_id="m", answer_id="", session_id="s", at_ns=1, cost=DOLLAR))
    room.event("SessionEnd", reason="other")
    assert room.shown() == []
    room.event("SessionStart", 100, source="resume")
    [live] = room.shown()
    assert (live.state, live.tool, live.cost) == (State.IDLE, None, DOLLAR)
    assert live.started_ns == live.state_since_ns == round(room.at * SECOND)


def test_sessions_that_wait_for_a_person_come_first_and_the_longest_wait_at_the_top(room: Room) -> None:
    for session in ("early", "late"):
        room.event("SessionStart", session=session, source="startup")
        room.event("UserPromptSubmit", session=session, prompt="x", prompt_id=session)
    for session in ("late", "early"):
        room.event("PermissionRequest", session=session, tool_name="Bash", tool_input={})
    room.event("UserPromptSubmit", prompt="x", prompt_id="p")
    assert [(live.session_id, live.state) for live in room.shown()] == [
        ("late", State.WAITING),
        ("early", State.WAITING),
        ("s", State.THINKING),
    ]
