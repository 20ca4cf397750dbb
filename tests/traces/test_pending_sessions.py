"""Which sessions have something to write, and since when."""

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


def test_what_has_no_time_makes_pending_and_moves_no_beginning(connection: sqlite3.Connection) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    pending.note(None, model.Subagent(agent_id="a", session_id="s"))
    pending.flush()
    assert pending.get("s") == Pending(10, 10, is_new=True)


def test_a_subagents_turn_whose_beginning_nobody_saw_may_have_begun_at_any_time(connection: sqlite3.Connection) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.SubagentTurn(agent_id="a", ended_ns=30, session_id="s"))
    pending.flush()
    assert pending.get("s") == Pending(0, 0, is_new=True)


def test_what_was_told_is_not_pending_again_but_what_is_held_back_is(connection: sqlite3.Connection) -> None:
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


def test_what_a_transaction_did_not_write_is_not_pending(connection: sqlite3.Connection) -> None:
    pending = PendingSessions(connection)
    pending.note(None, model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    pending.discard()
    pending.flush()
    assert pending.get("s") is None
