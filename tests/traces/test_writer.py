"""The writer puts each span and log event into the outbox once, in its final form, whenever the daemon looks at a session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.timeline import WRITTEN_AFTER
from claude_hooks_otel.traces import writer
from claude_hooks_otel.traces.codec import decode, encode
from claude_hooks_otel.traces.model import LOGS, TRACES, Item, LogEvent, Span
from claude_hooks_otel.traces.turn_trace import trace_of
from claude_hooks_otel.units import SECOND
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.growing_transcripts import GrowingTranscripts
from tests.support.known_differences import BRANCHED, REGISTERED_TWICE
from tests.support.log_events import all_events
from tests.support.replay import Replay, play
from tests.support.span_trees import all_spans

# A session here moves to another project. The event that names the new project has to come before the transcript lines.
MOVED = "resume"


WANTED = {TRACES: ["test"], LOGS: ["test"]}  # an exporter that never takes anything


def written(store: Store) -> dict[int, Item]:
    """Return the waiting items by id. None is there twice."""
    rows = store.connection.execute("SELECT body FROM outbox ORDER BY seq").fetchall()
    records = [decode(body) for (body,) in rows]
    found = {record.span_id if isinstance(record, Span) else record.uid: record for record in records}
    assert len(found) == len(records)
    return found


def final_items(replay: Replay) -> dict[int, Item]:
    """Return the items of a session in their final form, by id."""
    found: dict[int, Item] = {span.span_id: decode(encode(span)) for span in all_spans(replay)}
    return found | {event.uid: decode(encode(event)) for event in all_events(replay)}


def differences(found: dict[int, Item], wanted: dict[int, Item]) -> list[str]:
    """Describe each item that is missing, superfluous or different."""
    names = {uid: f"{record.name} {dict(record.attributes)}" for uid, record in {**wanted, **found}.items()}
    return [
        f"{names[uid]}: {found.get(uid)} instead of {wanted.get(uid)}"
        for uid in sorted(names)
        if found.get(uid) != wanted.get(uid)
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_item_is_written_once(name: str, tmp_path: Path) -> None:
    """All sessions arrive at once, as from a spool that waited for a daemon."""
    replay = play(Scenario(name), tmp_path, wanted=WANTED)
    found = written(replay.core.store)
    assert any(isinstance(record, Span) for record in found.values())
    assert any(isinstance(record, LogEvent) for record in found.values())
    assert differences(found, final_items(replay)) == []
    assert replay.core.store.connection.execute("SELECT * FROM pending_session").fetchall() == []
    replay.core.store.close()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in (REGISTERED_TWICE, BRANCHED, MOVED)])
def test_order_copies_and_restarts_do_not_change_what_is_written(name: str, tmp_path: Path) -> None:
    folder = (
        tmp_path / "one"
    )  # the same path both times, because the key of an event without a name contains the digest of its bytes
    in_order = play(Scenario(name), folder, wanted=WANTED)
    wanted = written(in_order.core.store)
    in_order.core.store.close()
    shutil.rmtree(folder)
    again = play(Scenario(name), folder, seed=3, twice=True, restarts=3, wanted=WANTED)
    # Pull requests of two recorded sessions have the same address. They count as one, of the session that comes first.
    different = [
        text for text in differences(written(again.core.store), wanted) if not text.startswith("claude.pull_request ")
    ]
    assert different == []
    again.core.store.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_long_session_is_written_in_parts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is a turn here. An item that belongs to two turns is complete and not lost."""
    monkeypatch.setattr(writer, "FACTS_AT_A_TIME", 1)
    replay = play(Scenario(name), tmp_path, wanted=WANTED)
    assert differences(written(replay.core.store), final_items(replay)) == []
    replay.core.store.close()


def _play_in_real_order(replay: Replay) -> None:
    """Play each event and line at its own time. The daemon looks every second and after each event."""
    transcripts = GrowingTranscripts(replay.scenario, replay.projects)
    replay.clock.now_ns = round((replay.hooks[0].t - 1) * SECOND)
    for hook in replay.hooks:
        while hook.t - replay.clock.now_ns / SECOND > 1.0:
            replay.clock.advance(1.0)
            transcripts.grow(replay.clock.now_ns / SECOND)
            replay.core.intake.follow_sessions()
        replay.clock.now_ns = round(hook.t * SECOND)
        transcripts.grow(hook.t)
        replay.spool([hook])
        replay.core.intake.take_events()
        replay.core.intake.follow_sessions()
    transcripts.grow(float("inf"))
    replay.finish()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != REGISTERED_TWICE])
def test_no_item_is_written_before_it_is_final(name: str, tmp_path: Path) -> None:
    """Events and transcript lines arrive at their recorded times."""
    replay = Replay(Scenario(name), tmp_path, wanted=WANTED)
    _play_in_real_order(replay)
    assert differences(written(replay.core.store), final_items(replay)) == []
    replay.core.store.close()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != REGISTERED_TWICE])
def test_a_flush_writes_no_item_before_it_is_final(name: str, tmp_path: Path) -> None:
    """A flush after every event pairs and writes without waiting."""
    replay = Replay(Scenario(name), tmp_path, wanted=WANTED)
    transcripts = GrowingTranscripts(replay.scenario, replay.projects)
    for hook in replay.hooks:
        replay.clock.now_ns = round(hook.t * SECOND)
        transcripts.grow(hook.t)
        replay.spool([hook])
        replay.core.intake.take_events()
        replay.core.intake.follow_sessions(everything=True, pair_now=True)
    transcripts.grow(float("inf"))
    replay.finish()
    assert differences(written(replay.core.store), final_items(replay)) == []
    replay.core.store.close()


# -- cases that no recording has -------------------------------------------------------------------------------------------------

WHOSE: Any = {"session_id": "s", "agent": "backend", "project": "shop"}
TURN = model.Turn(prompt_id="p", **WHOSE, started_ns=10, ended_ns=90, prompts_seen_by_hooks=1)


class MadeUpSession:
    """A session with made-up facts."""

    def __init__(self, folder: Path) -> None:
        self.core = assemble_core(Home(folder), Config(), lambda: 0, wanted=WANTED)
        self.store = self.core.store
        self.add(model.Session(**WHOSE, first_seen_ns=10, last_seen_ns=90))

    def add(self, *facts: model.Fact) -> None:
        with self.store.transaction():
            for fact in facts:
                self.core.facts.upsert(fact)

    def write(self, *, is_over: bool = False) -> set[str]:
        """Write what is final, and return the names of everything written so far."""
        with self.store.transaction():
            assert self.core.writer is not None
            self.core.writer.write("s", 0, WRITTEN_AFTER, is_over=is_over)
        return {record.name for record in written(self.store).values()}


@pytest.fixture
def made_up(tmp_path: Path) -> Iterator[MadeUpSession]:
    one = MadeUpSession(tmp_path)
    yield one
    one.store.close()


def test_calls_of_a_subagent_after_its_last_turn_are_written_when_the_session_is_over(made_up: MadeUpSession) -> None:
    """They may belong to a turn that still runs. When the session is over, there is no such turn."""
    late = model.ToolCall(
        tool_use_id="late", **WHOSE, agent_id="a", tool="Read", outcome="success", started_ns=60, ended_ns=70
    )
    made_up.add(
        TURN,
        model.Subagent(agent_id="a", **WHOSE, agent_type="explore"),
        model.SubagentTurn(
            agent_id="a", **WHOSE, agent_type="explore", outcome="completed", started_ns=20, ended_ns=50
        ),
        late,
    )
    written_so_far = made_up.write()
    assert {"invoke_agent backend", "invoke_agent explore", "claude.subagent"} <= written_so_far
    assert not {"execute_tool Read", "claude.tool.result"} & written_so_far
    assert {"execute_tool Read", "claude.tool.result"} <= made_up.write(is_over=True)


def test_an_unfinished_answer_is_not_written(made_up: MadeUpSession) -> None:
    """Its turn has ended, because it reports on a background task. The lines of an answer come one by one."""
    answer: Any = {"message_id": "m", "answer_id": "", **WHOSE, "model": "sonnet", "at_ns": 95}
    made_up.add(TURN, model.ApiRequest(**answer, output_tokens=1))
    assert "chat sonnet" not in made_up.write()
    made_up.add(model.ApiRequest(**answer, output_tokens=9, stop_reason="end_turn"))
    assert "chat sonnet" in made_up.write()


def test_an_answer_without_an_end_is_written_when_the_session_is_over(made_up: MadeUpSession) -> None:
    made_up.add(TURN, model.ApiRequest(message_id="m", answer_id="", **WHOSE, model="sonnet", at_ns=95))
    assert "chat sonnet" not in made_up.write()
    assert "chat sonnet" in made_up.write(is_over=True)


def test_a_subagent_is_written_after_its_call_has_ended(made_up: MadeUpSession) -> None:
    """The call belongs to a turn, and that decides the trace of the sub-agent."""
    call: Any = {"tool_use_id": "t", **WHOSE, "tool": "Agent", "started_ns": 20}
    made_up.add(
        TURN,
        model.Turn(prompt_id="q", **WHOSE, started_ns=100, ended_ns=190, prompts_seen_by_hooks=1),
        model.ToolCall(**call),
        model.Subagent(agent_id="a", **WHOSE, agent_type="explore", tool_use_id="t"),
        model.SubagentTurn(
            agent_id="a", **WHOSE, agent_type="explore", outcome="completed", started_ns=110, ended_ns=150
        ),
    )
    assert "invoke_agent explore" not in made_up.write()
    made_up.add(model.ToolCall(**call, outcome="success", ended_ns=160))
    made_up.write()
    spans = {record.name: record for record in written(made_up.store).values() if isinstance(record, Span)}
    assert spans["invoke_agent explore"].trace_id == spans["execute_tool Agent"].trace_id == trace_of(TURN).trace_id
