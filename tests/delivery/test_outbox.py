"""The outbox changes no waiting item, has none twice, keeps its bounds, and counts what it gives up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.facts import model
from claude_hooks_otel.traces.codec import decode, encode
from claude_hooks_otel.traces.model import LOGS, TRACES, Item
from claude_hooks_otel.traces.written import mark_written
from tests.support.items import EVENT, SPAN
from tests.support.waiting import put

ids = st.integers(min_value=1, max_value=2**64 - 1)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    store = open_store(tmp_path / "store.db", lambda: 0)
    yield store.connection
    store.close()


def spans(number: int, size: int = 0) -> list[Item]:
    return [replace(SPAN, span_id=place + 1, attributes={"text": "x" * size}) for place in range(number)]


def read_all(connection: sqlite3.Connection, signal: str = TRACES, exporter: str = "otlp") -> list[Item]:
    rows = outbox.read_batch(connection, signal, exporter, 0, 10_000)
    return [decode(row.body) for row in rows]


# -- texts -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [SPAN, EVENT, replace(SPAN, parent_id=None, events=(), links=())])
def test_a_decoded_item_equals_the_encoded_one(record: Item) -> None:
    assert decode(encode(record)) == record


def test_the_fact_of_a_span_is_not_encoded() -> None:
    turn = model.Turn(prompt_id="p", session_id="s")
    assert encode(replace(SPAN, fact=turn)) == encode(SPAN)


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_text_can_be_encoded_and_sent(text: str) -> None:
    """A transcript may have half a surrogate pair, which UTF-8 cannot encode."""
    (value,) = decode(encode(replace(EVENT, attributes={"text": text}))).attributes.values()
    assert str(value).encode() == text.encode(errors="replace")


@pytest.mark.parametrize(
    "text", ["", "null", "{}", '{"attributes": {}}', '{"attributes": {}, "uid": 1, "severity": 99}']
)
def test_decoding_an_invalid_item_raises_no_unexpected_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode(text)


# -- once --------------------------------------------------------------------------------------------------------------------


@given(first=st.sets(ids), second=st.sets(ids))
def test_an_item_is_written_once_for_each_signal_and_id(first: set[int], second: set[int]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(
            "CREATE TABLE written_item (signal TEXT, id INTEGER, written_ns INTEGER, PRIMARY KEY (signal, id))"
        )
        assert mark_written(connection, TRACES, first, 0) == first
        assert mark_written(connection, TRACES, first, 1) == set()
        assert mark_written(connection, TRACES, second, 2) == second - first
        assert mark_written(connection, LOGS, second, 2) == second


def test_there_may_be_more_ids_than_one_sql_statement_takes(connection: sqlite3.Connection) -> None:
    many = range(1, 5000)
    mark_written(connection, TRACES, many[::2], 0)
    assert mark_written(connection, TRACES, many, 0) == set(many[1::2])


# -- batches -----------------------------------------------------------------------------------------------------------------


def test_batches_have_the_oldest_items_and_each_exporter_has_its_own_items(connection: sqlite3.Connection) -> None:
    put(connection, TRACES, "otlp", spans(3), 0)
    put(connection, TRACES, "console", spans(1), 0)
    put(connection, LOGS, "otlp", [EVENT], 0)
    batch = outbox.read_batch(connection, TRACES, "otlp", 0, 2)
    assert [decode(row.body) for row in batch] == spans(3)[:2]
    outbox.remove(connection, batch)
    assert read_all(connection) == spans(3)[2:]
    assert read_all(connection, exporter="console") == spans(1)
    assert read_all(connection, LOGS) == [EVENT]
    assert outbox.depth(connection) == {TRACES: 2, LOGS: 1}


def test_a_batch_is_smaller_than_the_limit_of_receivers(connection: sqlite3.Connection) -> None:
    put(connection, TRACES, "otlp", spans(10, size=outbox.BATCH_BYTES // 4), 0)
    assert len(outbox.read_batch(connection, TRACES, "otlp", 0, 512)) == 3


def test_an_item_larger_than_the_limit_is_a_batch_of_its_own(connection: sqlite3.Connection) -> None:
    put(connection, TRACES, "otlp", [*spans(1, size=outbox.BATCH_BYTES + 1), *spans(2)], 0)
    assert len(outbox.read_batch(connection, TRACES, "otlp", 0, 512)) == 1


def test_a_refused_item_comes_after_the_others(connection: sqlite3.Connection) -> None:
    put(connection, TRACES, "otlp", spans(3), 0)
    outbox.set_aside(connection, outbox.read_batch(connection, TRACES, "otlp", 0, 1))
    assert read_all(connection) == spans(3)[1:]
    (row,) = outbox.read_batch(connection, TRACES, "otlp", 1, 512)
    assert (decode(row.body), row.refusals) == (spans(1)[0], 1)


# -- bounds ------------------------------------------------------------------------------------------------------------------


def test_items_that_are_too_old_are_given_up_and_counted(connection: sqlite3.Connection) -> None:
    put(connection, TRACES, "otlp", spans(2), 10)
    put(connection, LOGS, "otlp", [EVENT], 19)
    put(connection, TRACES, "otlp", spans(3)[2:], 20)
    outbox.trim(connection, 10**9, 20)
    assert read_all(connection) == spans(3)[2:]
    assert sorted(outbox.take_dropped(connection)) == [(LOGS, "expired", 1), (TRACES, "expired", 2)]
    assert not outbox.has_dropped(connection)


def test_the_oldest_items_of_a_full_outbox_are_given_up_and_counted(connection: sqlite3.Connection) -> None:
    put(connection, TRACES, "otlp", spans(10, size=1000), 0)
    (size,) = connection.execute("SELECT SUM(bytes) FROM outbox").fetchone()
    outbox.trim(connection, size, 0)
    assert len(read_all(connection)) == 10
    outbox.trim(connection, (size + 1) // 2, 0)
    assert read_all(connection) == spans(10, size=1000)[5:]
    assert outbox.take_dropped(connection) == [(TRACES, "outbox_full", 5)]
