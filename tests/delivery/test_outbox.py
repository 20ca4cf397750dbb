"""What waits for an endpoint: nothing is changed by waiting, written twice, kept beyond the bounds, or given up uncounted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.outbox import LOGS, TRACES
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.traces.codec import decode, encode
from claude_hooks_otel.traces.model import LogEvent, Record, Severity, Span, SpanEvent, SpanKind, SpanLink
from claude_hooks_otel.traces.pending_sessions import Due, DueSessions

SPAN = Span(
    trace_id=2**128 - 1,
    span_id=2**64 - 1,
    parent_id=7,
    name="chat",
    kind=SpanKind.CLIENT,
    start_ns=1_700_000_000_000_000_001,
    end_ns=1_700_000_000_000_000_002,
    attributes={"a": 1, "b": 0.25, "c": "ä\n", "d": ("x", "y")},
    error="rate_limit",
    events=(SpanEvent("claude.compaction", 5, {"trigger": "auto"}),),
    links=(SpanLink(1, 2, {"claude.link": "fork"}),),
)
EVENT = LogEvent(
    uid=2**64 - 1,
    name="claude.prompt",
    at_ns=5,
    body="prompt",
    severity=Severity.ERROR,
    attributes={"a": ("x",)},
    trace_id=2**128 - 1,
    span_id=3,
)
ids = st.integers(min_value=1, max_value=2**64 - 1)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    store = Store(tmp_path / "store.db", lambda: 0)
    yield store.connection
    store.close()


def spans(number: int, size: int = 0) -> list[Record]:
    return [replace(SPAN, span_id=place + 1, attributes={"text": "x" * size}) for place in range(number)]


def read_all(connection: sqlite3.Connection, signal: str = TRACES, exporter: str = "otlp") -> list[Record]:
    rows = outbox.read_batch(connection, signal, exporter, 0, 10_000)
    return [decode(row.body) for row in rows]


# -- texts -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [SPAN, EVENT, replace(SPAN, parent_id=None, events=(), links=())])
def test_a_record_comes_back_as_it_went_in(record: Record) -> None:
    assert decode(encode(record)) == record


def test_the_fact_behind_a_span_does_not_wait_with_it() -> None:
    turn = model.Turn(prompt_id="p", session_id="s")
    assert encode(replace(SPAN, fact=turn)) == encode(SPAN)


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_text_can_wait_and_be_sent(text: str) -> None:
    """Half a surrogate pair included, which a transcript may hold and UTF-8 may not."""
    (value,) = decode(encode(replace(EVENT, attributes={"text": text}))).attributes.values()
    assert str(value).encode() == text.encode(errors="replace")


@pytest.mark.parametrize(
    "text", ["", "null", "{}", '{"attributes": {}}', '{"attributes": {}, "uid": 1, "severity": 99}']
)
def test_what_is_no_record_is_no_other_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode(text)


# -- once --------------------------------------------------------------------------------------------------------------------


@given(first=st.sets(ids), second=st.sets(ids))
def test_what_was_written_is_known_by_its_id(first: set[int], second: set[int]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(
        "CREATE TABLE record_written (signal TEXT, id INTEGER, written_ns INTEGER, PRIMARY KEY (signal, id))"
    )
    outbox.mark_written(connection, TRACES, first, 0)
    outbox.mark_written(connection, TRACES, first, 1)
    assert outbox.unwritten(connection, TRACES, second) == second - first
    assert outbox.unwritten(connection, LOGS, second) == second


def test_more_ids_than_a_statement_takes(connection: sqlite3.Connection) -> None:
    many = range(1, 5000)
    outbox.mark_written(connection, TRACES, many[::2], 0)
    assert outbox.unwritten(connection, TRACES, many) == set(many[1::2])


# -- batches -----------------------------------------------------------------------------------------------------------------


def test_the_oldest_go_first_and_each_exporter_has_its_own(connection: sqlite3.Connection) -> None:
    outbox.put(connection, TRACES, "otlp", spans(3), 0)
    outbox.put(connection, TRACES, "console", spans(1), 0)
    outbox.put(connection, LOGS, "otlp", [EVENT], 0)
    batch = outbox.read_batch(connection, TRACES, "otlp", 0, 2)
    assert [decode(row.body) for row in batch] == spans(3)[:2]
    outbox.remove(connection, batch)
    assert read_all(connection) == spans(3)[2:]
    assert read_all(connection, exporter="console") == spans(1)
    assert read_all(connection, LOGS) == [EVENT]
    assert outbox.depth(connection) == {TRACES: 2, LOGS: 1}


def test_a_batch_stays_below_the_size_that_receivers_take(connection: sqlite3.Connection) -> None:
    outbox.put(connection, TRACES, "otlp", spans(10, size=outbox.BATCH_BYTES // 4), 0)
    assert len(outbox.read_batch(connection, TRACES, "otlp", 0, 512)) == 3


def test_a_record_that_is_larger_than_a_batch_goes_alone(connection: sqlite3.Connection) -> None:
    outbox.put(connection, TRACES, "otlp", [*spans(1, size=outbox.BATCH_BYTES + 1), *spans(2)], 0)
    assert len(outbox.read_batch(connection, TRACES, "otlp", 0, 512)) == 1


def test_what_was_refused_stands_behind(connection: sqlite3.Connection) -> None:
    outbox.put(connection, TRACES, "otlp", spans(3), 0)
    outbox.set_aside(connection, outbox.read_batch(connection, TRACES, "otlp", 0, 1))
    assert read_all(connection) == spans(3)[1:]
    (row,) = outbox.read_batch(connection, TRACES, "otlp", 1, 512)
    assert (decode(row.body), row.refusals) == (spans(1)[0], 1)


# -- bounds ------------------------------------------------------------------------------------------------------------------


def test_what_is_too_old_is_given_up_and_counted(connection: sqlite3.Connection) -> None:
    outbox.put(connection, TRACES, "otlp", spans(2), 10)
    outbox.put(connection, LOGS, "otlp", [EVENT], 19)
    outbox.put(connection, TRACES, "otlp", spans(3)[2:], 20)
    outbox.trim(connection, 10**9, 20)
    assert read_all(connection) == spans(3)[2:]
    assert sorted(outbox.take_dropped(connection)) == [(LOGS, "expired", 1), (TRACES, "expired", 2)]
    assert not outbox.has_dropped(connection)


def test_of_too_much_the_oldest_is_given_up_and_counted(connection: sqlite3.Connection) -> None:
    outbox.put(connection, TRACES, "otlp", spans(10, size=1000), 0)
    (size,) = connection.execute("SELECT SUM(bytes) FROM record_outbox").fetchone()
    outbox.trim(connection, size, 0)
    assert len(read_all(connection)) == 10
    outbox.trim(connection, (size + 1) // 2, 0)
    assert read_all(connection) == spans(10, size=1000)[5:]
    assert outbox.take_dropped(connection) == [(TRACES, "outbox_full", 5)]


# -- who is due --------------------------------------------------------------------------------------------------------------


def test_a_session_is_due_from_its_earliest_change_on(connection: sqlite3.Connection) -> None:
    due = DueSessions(connection)
    due.note(model.ToolCall(tool_use_id="b", session_id="s", started_ns=20, ended_ns=30))
    due.flush()
    due.note(model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    due.note(model.ToolCall(tool_use_id="c", session_id="s", started_ns=40))
    due.flush()
    assert due.get("s") == Due(10, 10, is_new=True)
    assert due.get("t") is None


def test_what_has_no_time_makes_due_and_moves_no_beginning(connection: sqlite3.Connection) -> None:
    due = DueSessions(connection)
    due.note(model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    due.note(model.Subagent(agent_id="a", session_id="s"))
    due.flush()
    assert due.get("s") == Due(10, 10, is_new=True)


def test_a_subagents_turn_whose_beginning_nobody_saw_may_have_begun_at_any_time(connection: sqlite3.Connection) -> None:
    due = DueSessions(connection)
    due.note(model.SubagentTurn(agent_id="a", ended_ns=30, session_id="s"))
    due.flush()
    assert due.get("s") == Due(0, 0, is_new=True)


def test_what_was_told_is_not_due_again_but_what_is_held_back_is(connection: sqlite3.Connection) -> None:
    due = DueSessions(connection)
    due.note(model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    due.flush()
    due.told("s", held_spans_ns=5, held_events_ns=None)
    assert due.get("s") == Due(5, None, is_new=False)
    due.note(model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    due.flush()
    assert due.get("s") == Due(5, 10, is_new=True)
    due.told("s", held_spans_ns=None, held_events_ns=None)
    assert due.get("s") is None


def test_what_a_transaction_did_not_write_is_not_due(connection: sqlite3.Connection) -> None:
    due = DueSessions(connection)
    due.note(model.ToolCall(tool_use_id="a", session_id="s", started_ns=10))
    due.discard()
    due.flush()
    assert due.get("s") is None
