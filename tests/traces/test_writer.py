"""What goes into the outbox: everything once, as it would be told at the very end, whenever a session is looked at."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Iterator
from datetime import datetime
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
from tests.support.corpus import FOLDER, SCENARIOS, Scenario
from tests.support.known_differences import BRANCHED, REGISTERED_TWICE
from tests.support.log_events import all_events
from tests.support.replay import Replay, play
from tests.support.span_trees import all_spans

# A session that goes on in another project: whose a transcript's line is, only the events tell that in life come before it.
MOVED = "resume"


WANTED = {TRACES: ["test"], LOGS: ["test"]}  # an exporter that never takes anything


def written(store: Store) -> dict[int, Item]:
    """What waits, by its id; nothing is there twice."""
    rows = store.connection.execute("SELECT body FROM outbox ORDER BY seq").fetchall()
    records = [decode(body) for (body,) in rows]
    found = {record.span_id if isinstance(record, Span) else record.uid: record for record in records}
    assert len(found) == len(records)
    return found


def at_the_end(replay: Replay) -> dict[int, Item]:
    """What there is to tell once everything is known."""
    found: dict[int, Item] = {span.span_id: decode(encode(span)) for span in all_spans(replay)}
    return found | {event.uid: decode(encode(event)) for event in all_events(replay)}


def unlike(found: dict[int, Item], wanted: dict[int, Item]) -> list[str]:
    """What is missing, superfluous or otherwise than it should be."""
    names = {uid: f"{record.name} {dict(record.attributes)}" for uid, record in {**wanted, **found}.items()}
    return [
        f"{names[uid]}: {found.get(uid)} instead of {wanted.get(uid)}"
        for uid in sorted(names)
        if found.get(uid) != wanted.get(uid)
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_everything_is_written_once(name: str, tmp_path: Path) -> None:
    """All sessions come in at once, as out of a spool that waited for a daemon."""
    replay = play(Scenario(name), tmp_path, wanted=WANTED)
    found = written(replay.core.store)
    assert any(isinstance(record, Span) for record in found.values())
    assert any(isinstance(record, LogEvent) for record in found.values())
    assert unlike(found, at_the_end(replay)) == []
    assert replay.core.store.connection.execute("SELECT * FROM pending_session").fetchall() == []
    replay.core.store.close()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in (REGISTERED_TWICE, BRANCHED, MOVED)])
def test_in_any_order_twice_and_over_restarts_the_same_is_written(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "one"  # the same both times: an event without a name goes by its bytes, which hold a path
    in_order = play(Scenario(name), folder, wanted=WANTED)
    wanted = written(in_order.core.store)
    in_order.core.store.close()
    shutil.rmtree(folder)
    again = play(Scenario(name), folder, seed=3, twice=True, restarts=3, wanted=WANTED)
    # The recording's host gave the pull requests of two sessions one address: they are one, of whichever comes first.
    different = [
        text for text in unlike(written(again.core.store), wanted) if not text.startswith("claude.pull_request ")
    ]
    assert different == []
    again.core.store.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_long_session_is_told_in_stretches(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a turn each, here: what crosses from one into the next is neither lost nor told otherwise."""
    monkeypatch.setattr(writer, "FACTS_AT_A_TIME", 1)
    replay = play(Scenario(name), tmp_path, wanted=WANTED)
    assert unlike(written(replay.core.store), at_the_end(replay)) == []
    replay.core.store.close()


class GrowingTranscripts:
    """The transcripts of a scenario as they stood at a time: every line appears when it was written."""

    def __init__(self, scenario: Scenario, target: Path) -> None:
        root = FOLDER / scenario.name / "transcripts"
        self._left: list[tuple[float, Path, bytes]] = []
        for path in sorted(root.rglob("*")):
            if not path.is_file():
                continue
            copy = target / path.relative_to(root)
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            copy = copy.with_suffix("") if path.suffix == ".gz" else copy
            if copy.suffix != ".jsonl":
                self._left.append((0.0, copy, content))
                continue
            at = 0.0
            for line in content.splitlines(keepends=True):
                at = max(at, _time(json.loads(line)))
                self._left.append((at, copy, line))
        self._left.sort(key=lambda entry: entry[0])

    def grow(self, until: float) -> None:
        """Writes all lines up to this time, seconds since the epoch."""
        while self._left and self._left[0][0] <= until:
            _, path, content = self._left.pop(0)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(content)


def _time(line: dict[str, Any]) -> float:
    text = line.get("timestamp")
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else 0.0


def _as_it_happened(replay: Replay, every: float) -> Iterator[None]:
    """Event by event at its own time, the daemon looking whenever it does; pauses where somebody could look in between."""
    transcripts = GrowingTranscripts(replay.scenario, replay.projects)
    dice = random.Random(replay.scenario.name)
    replay.clock.now_ns = round((replay.hooks[0].t - 1) * SECOND)
    for hook in replay.hooks:
        while (step := hook.t - replay.clock.now_ns / SECOND) > every:
            replay.clock.advance(min(step, every))
            transcripts.grow(replay.clock.now_ns / SECOND)
            replay.core.intake.follow_sessions()
            yield
        replay.clock.now_ns = round(hook.t * SECOND)
        transcripts.grow(hook.t)
        replay.spool([hook])
        replay.core.intake.take_events()
        replay.core.intake.follow_sessions()
        if dice.random() < 0.3:
            yield
    transcripts.grow(float("inf"))
    replay.finish()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != REGISTERED_TWICE])
def test_what_is_written_as_it_happens_is_what_is_known_at_the_end(name: str, tmp_path: Path) -> None:
    """The daemon looks as it does in life, events and transcripts come in at their own times: no span or event is told too early."""
    replay = Replay(Scenario(name), tmp_path, wanted=WANTED)
    for _ in _as_it_happened(replay, every=1.0):
        pass
    assert unlike(written(replay.core.store), at_the_end(replay)) == []
    replay.core.store.close()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != REGISTERED_TWICE])
def test_what_is_written_whenever_somebody_looks_is_what_is_known_at_the_end(name: str, tmp_path: Path) -> None:
    """Somebody flushes after every single event, so that no wait hides what is not finished yet."""
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
    assert unlike(written(replay.core.store), at_the_end(replay)) == []
    replay.core.store.close()


# -- what the recordings do not hold ---------------------------------------------------------------------------------------------

WHOSE: Any = {"session_id": "s", "agent": "backend", "project": "shop"}
TURN = model.Turn(prompt_id="p", **WHOSE, started_ns=10, ended_ns=90, prompts_seen_by_hooks=1)


class ByHand:
    """One session whose facts are written by hand, and looked at."""

    def __init__(self, folder: Path) -> None:
        self.core = assemble_core(Home(folder), Config(), lambda: 0, wanted=WANTED)
        self.store = self.core.store
        self.tell(model.Session(**WHOSE, first_seen_ns=10, last_seen_ns=90))

    def tell(self, *facts: model.Fact) -> None:
        with self.store.transaction():
            for fact in facts:
                self.core.facts.upsert(fact)

    def look(self, *, is_over: bool = False) -> set[str]:
        """Has written what is finished; the names of all that was written by now."""
        with self.store.transaction():
            assert self.core.writer is not None
            self.core.writer.write("s", 0, WRITTEN_AFTER, is_over=is_over)
        return {record.name for record in written(self.store).values()}


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[ByHand]:
    one = ByHand(tmp_path)
    yield one
    one.store.close()


def test_what_a_sub_agent_did_after_its_last_turn_is_told_when_the_session_is_over(by_hand: ByHand) -> None:
    """It may be of a turn that goes on; nothing of it changes any more when it turns out that there is none."""
    late = model.ToolCall(
        tool_use_id="late", **WHOSE, agent_id="a", tool="Read", outcome="success", started_ns=60, ended_ns=70
    )
    by_hand.tell(
        TURN,
        model.Subagent(agent_id="a", **WHOSE, agent_type="explore"),
        model.SubagentTurn(
            agent_id="a", **WHOSE, agent_type="explore", outcome="completed", started_ns=20, ended_ns=50
        ),
        late,
    )
    told = by_hand.look()
    assert {"invoke_agent backend", "invoke_agent explore", "claude.subagent"} <= told
    assert not {"execute_tool Read", "claude.tool.result"} & told
    assert {"execute_tool Read", "claude.tool.result"} <= by_hand.look(is_over=True)


def test_an_answer_that_is_still_being_written_is_not_told(by_hand: ByHand) -> None:
    """Its turn has ended, and it reports on a background task: the lines of one answer come one by one."""
    answer: Any = {"message_id": "m", **WHOSE, "model": "sonnet", "at_ns": 95}
    by_hand.tell(TURN, model.ApiRequest(**answer, output_tokens=1))
    assert "chat sonnet" not in by_hand.look()
    by_hand.tell(model.ApiRequest(**answer, output_tokens=9, stop_reason="end_turn"))
    assert "chat sonnet" in by_hand.look()


def test_an_answer_that_was_cut_is_told_once_something_follows_or_the_session_is_over(by_hand: ByHand) -> None:
    by_hand.tell(TURN, model.ApiRequest(message_id="m", **WHOSE, model="sonnet", at_ns=95))
    assert "chat sonnet" not in by_hand.look()
    assert "chat sonnet" in by_hand.look(is_over=True)


def test_a_sub_agent_whose_call_still_runs_waits_for_it(by_hand: ByHand) -> None:
    """The call tells in which turn it began, and so in which trace the sub-agent is."""
    call: Any = {"tool_use_id": "t", **WHOSE, "tool": "Agent", "started_ns": 20}
    by_hand.tell(
        TURN,
        model.Turn(prompt_id="q", **WHOSE, started_ns=100, ended_ns=190, prompts_seen_by_hooks=1),
        model.ToolCall(**call),
        model.Subagent(agent_id="a", **WHOSE, agent_type="explore", tool_use_id="t"),
        model.SubagentTurn(
            agent_id="a", **WHOSE, agent_type="explore", outcome="completed", started_ns=110, ended_ns=150
        ),
    )
    assert "invoke_agent explore" not in by_hand.look()
    by_hand.tell(model.ToolCall(**call, outcome="success", ended_ns=160))
    by_hand.look()
    spans = {record.name: record for record in written(by_hand.store).values() if isinstance(record, Span)}
    assert spans["invoke_agent explore"].trace_id == spans["execute_tool Agent"].trace_id == trace_of(TURN).trace_id
