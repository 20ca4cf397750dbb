"""Which sessions have something to write, and from which time on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.facts import model
from claude_hooks_otel.traces.pending_sessions import Pending, PendingSessions


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    store = open_store(tmp_path / "store.db", lambda: 0)
    yield store.connection
    store.close()


def test_a_session_is_pending_from_its_earliest_change_on(connection: sqlite3.Connection) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.ToolCall(tool_use_id="b", session_id="s", started_ns=20, ended_ns=30))
    pending.flush()
    pending.note(None, model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    pending.note(None, model.ToolCall(tool_use_id="c", session_id="s", started_ns=40))
    pending.flush()
    assert pending.get("s") == Pending(10, 10, is_new=True)
    assert pending.get("t") is None


def test_a_fact_without_a_time_does_not_move_the_beginning(connection: sqlite3.Connection) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    pending.note(None, model.Subagent(agent_id="a", session_id="s"))
    pending.flush()
    assert pending.get("s") == Pending(10, 10, is_new=True)


def test_a_subagent_turn_without_a_start_makes_the_session_pending_from_the_beginning(
    connection: sqlite3.Connection,
) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.SubagentTurn(agent_id="a", ended_ns=30, session_id="s"))
    pending.flush()
    assert pending.get("s") == Pending(0, 0, is_new=True)


def test_a_written_session_is_pending_only_for_what_was_held_back(connection: sqlite3.Connection) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    pending.flush()
    pending.written("s", held_spans_ns=5, held_events_ns=None)
    assert pending.get("s") == Pending(5, None, is_new=False)
    pending.note(None, model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    pending.flush()
    assert pending.get("s") == Pending(5, 10, is_new=True)
    pending.written("s", held_spans_ns=None, held_events_ns=None)
    assert pending.get("s") is None


def test_a_discarded_change_makes_no_session_pending(connection: sqlite3.Connection) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    pending.discard()
    pending.flush()
    assert pending.get("s") is None
