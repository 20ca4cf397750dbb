"""Every kind of fact is forgotten after the retention time, the store stops growing, and no total changes."""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.units import DAY, SECOND
from tests.support.replay import Clock

START_NS = 1_795_000_000_000_000_000
RETENTION_DAYS = 30
# Tables that are never forgotten: totals, settings of the store, and what an endpoint has accepted.
KEPT_TABLES = {"series", "meta", "sqlite_sequence", "declared_metric", "program_gauge", "exporter_state", "baseline"}


def iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / SECOND, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Days:
    """A home with one session every day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(START_NS)
        self.core: Core = assemble_core(
            Home(folder / "home"), Config(), self.clock, wanted={"traces": ["test"], "logs": ["test"]}
        )

    def work(self, day: int) -> None:
        """Let a session edit a file, run a command, finish a task, compact and end. Then forget old facts."""
        self.clock.now_ns = START_NS + day * DAY
        session = f"session-{day:04}"
        transcript = self.folder / "projects" / "shop" / f"{session}.jsonl"
        self._write_transcript(transcript, session, day)
        common = {"session_id": session, "transcript_path": str(transcript), "cwd": "/shop", "prompt_id": f"p{day}"}
        task = {
            "tool_name": "TaskCreate",
            "tool_input": {"subject": "[3] feat: x"},
            "tool_response": {"task": {"id": "1"}},
        }
        done = {"tool_name": "TaskUpdate", "tool_input": {}}
        done["tool_response"] = {"success": True, "taskId": "1", "statusChange": {"to": "completed"}}
        edit = {"tool_name": "Write", "tool_input": {"file_path": f"/shop/{day}.py", "content": "x"}}
        edit["tool_response"] = {"type": "create", "filePath": f"/shop/{day}.py", "content": "x", "structuredPatch": []}
        events: list[dict[str, Any]] = [
            {"hook_event_name": "SessionStart", "source": "startup"},
            {"hook_event_name": "InstructionsLoaded", "file_path": "/shop/CLAUDE.md"},
            {"hook_event_name": "UserPromptSubmit", "prompt": "work"},
            *({"hook_event_name": "PostToolUse", "tool_use_id": f"t{day}-{n}", "duration_ms": 5} | call
              for n, call in enumerate((edit, task, done))),
            {"hook_event_name": "SubagentStart", "agent_id": f"a{day}", "agent_type": "explore"},
            {"hook_event_name": "SubagentStop", "agent_id": f"a{day}", "agent_type": "explore"},
            {"hook_event_name": "PostCompact", "trigger": "manual"},
            {"hook_event_name": "PostModelSwitch", "from_model": "a", "to_model": "b"},
            {"hook_event_name": "Stop"},
            {"hook_event_name": "SessionEnd", "reason": "other"},
        ]  # fmt: skip
        for number, event in enumerate(events):
            name = f"{event['hook_event_name']}.{day}.{number}"
            content = Envelope(name, 0, event["hook_event_name"], {}, json.dumps(common | event).encode()).encode()
            path = self.core.spool.new / name
            path.write_bytes(content)
            at = self.clock.now_ns + number * SECOND
            os.utime(path, ns=(at, at))
        while self.core.intake.take_events():
            pass
        for _ in range(3):
            self.clock.advance(120)
            self.core.intake.follow_sessions(everything=True)
        with self.core.store.transaction():
            self.core.store.connection.execute("DELETE FROM outbox")  # the endpoint accepts everything

    def _write_transcript(self, path: Path, session: str, day: int) -> None:
        usage = {"input_tokens": 10, "output_tokens": 5}
        message = {
            "id": f"m{day}",
            "model": "claude-sonnet-4-5",
            "content": [],
            "usage": usage,
            "stop_reason": "end_turn",
        }
        lines = [
            {"type": "assistant", "timestamp": iso(self.clock.now_ns + 2 * SECOND), "message": message},
            {"type": "system", "subtype": "compact_boundary", "uuid": f"u{day}", "timestamp": iso(self.clock.now_ns + 8 * SECOND)},
            {"type": "cost-state", "startTime": self.clock.now_ns / 1e6, "totalDuration": 9000.0,
             "modelUsage": {"claude-sonnet-4-5": {"inputTokens": 110, "outputTokens": 55, "costUSD": 0.01}}},
        ]  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line | {"sessionId": session}) + "\n" for line in lines))

    def forget(self) -> None:
        self.core.intake.forget(self.clock.now_ns - RETENTION_DAYS * DAY)

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each table that can be forgotten."""
        connection = self.core.store.connection
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
            for name in names
            if name not in KEPT_TABLES
        }

    def totals(self) -> dict[tuple[str, Any], tuple[int, tuple[int, ...]]]:
        return {
            (point.metric.name, point.labels): (point.value, point.bucket_counts) for point in self.core.totals.points()
        }


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    found = Days(tmp_path)
    yield found
    found.core.store.close()


def test_a_store_stops_growing_within_400_days_and_keeps_its_totals(days: Days) -> None:
    rows: dict[int, dict[str, int]] = {}
    for day in range(400):
        days.work(day)
        before = days.totals()
        days.forget()
        assert days.totals() == before
        rows[day] = days.rows()
    aggregates = {day: counts.pop("aggregate") for day, counts in rows.items()}
    assert rows[399] == rows[RETENTION_DAYS + 5]
    assert aggregates[399] <= 50 * 400  # sums stay, some for each day
    assert rows[399]["session"] == RETENTION_DAYS
    totals = days.totals()
    counted = {name: value for (name, _), (value, _) in totals.items()}
    assert counted["claude.sessions"] == 400
    assert counted["claude.tool.calls"] == 400
    assert counted["claude.tasks.completed"] == 400
    assert counted["claude.compactions"] == 400
    by_agent = {
        dict(labels).get("agent_type"): value
        for (name, labels), (value, _) in totals.items()
        if name == "claude.tokens.output"
    }
    assert by_agent == {"main": 400 * 5, "auxiliary": 400 * 50}


def test_a_forgotten_session_that_continues_counts_only_what_is_new(days: Days) -> None:
    days.work(0)
    for day in range(1, RETENTION_DAYS + 3):
        days.work(day)
        days.forget()
    assert days.core.facts.get(model.Session, "session-0000") is None
    before = days.totals()
    transcript = days.folder / "projects" / "shop" / "session-0000.jsonl"
    days.clock.now_ns = at = START_NS + (RETENTION_DAYS + 4) * DAY
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "new", "model": "claude-sonnet-4-5", "content": [], "usage": usage, "stop_reason": "end_turn"}
    lines = [
        {"type": "assistant", "timestamp": iso(at + SECOND), "message": message},
        {"type": "cost-state", "startTime": START_NS / 1e6, "totalDuration": 19000.0,
         "modelUsage": {"claude-sonnet-4-5": {"inputTokens": 111, "outputTokens": 56, "costUSD": 0.011}}},
    ]  # fmt: skip
    with transcript.open("a") as file:
        file.writelines(json.dumps(line | {"sessionId": "session-0000"}) + "\n" for line in lines)
    for number, event in enumerate(
        ({"hook_event_name": "SessionStart", "source": "resume"}, {"hook_event_name": "SessionEnd"})
    ):
        payload = json.dumps(
            {"session_id": "session-0000", "transcript_path": str(transcript), "cwd": "/shop", **event}
        )
        name = f"{event['hook_event_name']}.again"
        path = days.core.spool.new / name
        path.write_bytes(Envelope(name, 0, event["hook_event_name"], {}, payload.encode()).encode())
        os.utime(path, ns=(at + number * 9 * SECOND,) * 2)
    days.core.intake.take_events()
    for _ in range(3):
        days.clock.advance(120)
        days.core.intake.follow_sessions(everything=True)
    after = days.totals()
    gained = {
        (name, dict(labels).get("agent_type") or dict(labels).get("source")): value[0] - before.get((name, labels), (0, ()))[0]
        for (name, labels), value in after.items()
        if name in ("claude.sessions", "claude.tokens.output", "claude.api.requests", "claude.tool.calls", "claude.compactions")
        and value != before.get((name, labels))
    }  # fmt: skip
    assert gained == {
        ("claude.sessions", "resume"): 1,
        ("claude.tokens.output", "main"): 1,
        ("claude.api.requests", "main"): 1,
    }


def example(kind: type[model.Fact], at_ns: int) -> model.Fact:
    """Return a fact of a kind at a time, in an unknown session."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        hint = typing.get_type_hints(kind)[field.name]
        is_number = int in (hint, *typing.get_args(hint))
        values[field.name] = (at_ns if field.name.endswith("_ns") else 1) if is_number else field.name
    return kind(**values)


def test_every_kind_of_fact_is_forgotten(days: Days) -> None:
    facts = days.core.facts
    with days.core.store.transaction():
        for kind in model.KINDS:
            if kind is not model.Measurement:
                facts.upsert(example(kind, START_NS))
        facts.upsert(
            model.Measurement(measurement_id="m", name="claude.x", kind="counter", unit="{x}", value=1, at_ns=START_NS)
        )
    assert {kind for kind in model.KINDS if not facts.select(kind)} == set()
    totals = days.totals()
    days.core.store.forget(START_NS + 1)
    assert {kind.__name__: facts.select(kind) for kind in model.KINDS if facts.select(kind)} == {}
    assert days.totals() == totals
    assert {table.name for table in TABLES.values()} <= set(days.rows())


def test_a_followed_session_is_kept_completely(days: Days) -> None:
    days.work(0)
    connection = days.core.store.connection
    with days.core.store.transaction():
        connection.execute("INSERT OR IGNORE INTO followed_session VALUES ('session-0000')")
    before = days.rows()
    days.core.store.forget(START_NS + 400 * DAY)
    after = days.rows()
    kept = {name for name in before if before[name] == after[name] and before[name]}
    assert {"session", "session_run", "turn", "api_request", "cost_state", "ledger", "transcript_cursor"} <= kept
