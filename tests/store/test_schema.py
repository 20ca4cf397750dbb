"""New stores, the migration of older ones, and the refusal of newer ones."""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.series.totals import read_points
from claude_hooks_otel.store.connection import connect, write_meta
from claude_hooks_otel.store.schema import SCHEMA_VERSION, NewerStoreError
from tests.support.places import DATA


def tables(connection: sqlite3.Connection) -> dict[str, set[str]]:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for name in names}


def indexes(connection: sqlite3.Connection) -> set[str]:
    return {
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
    }


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A store of version 0.1.0 (schema 1) with one recorded session. Spans and log events wait in it."""
    path = tmp_path / "store.db"
    path.write_bytes(gzip.decompress((DATA / "stores" / "schema-1.db.gz").read_bytes()))
    return path


def test_a_migration_keeps_everything(first_version: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(first_version)) as old:
        counts = {
            new: old.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
            for name, new in {
                "event": "ledger", "transcript": "transcript_cursor", "watch": "followed_session", "content": "content",
                "record_written": "written_item", "record_outbox": "outbox", "tool_call": "tool_call", "series": "series",
                "record_due": "pending_session", "api_request": "api_request", "measurement_log": "measurement_log",
            }.items()
        }  # fmt: skip
        totals = old.execute("SELECT metric, labels, start_ns, value, buckets FROM series ORDER BY 1, 2").fetchall()
    assert all(counts[name] for name in ("ledger", "outbox", "written_item", "content", "series"))
    store = open_store(first_version, lambda: 0)
    found = {name: store.connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in counts}
    assert found == counts
    now = store.connection.execute(
        "SELECT metric, labels, start_ns, value, buckets FROM series ORDER BY 1, 2"
    ).fetchall()
    assert now == totals
    assert {content.source for content in Facts(store).select(model.Content)} == {
        "hook",
        "transcript",
        "transcript.result",
    }
    assert store.meta("schema_version") == str(SCHEMA_VERSION)
    fresh = open_store(tmp_path / "fresh.db", lambda: 0)
    assert tables(store.connection) == tables(fresh.connection)
    assert indexes(store.connection) == indexes(fresh.connection)
    fresh.close()
    store.close()


def test_a_migrated_store_is_not_migrated_again(first_version: Path) -> None:
    for _ in range(2):
        store = open_store(first_version, lambda: 0)
        points = list(read_points(store.connection, CATALOG))
        store.close()
    assert points


def test_a_newer_store_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path, lambda: 0).close()
    with contextlib.closing(connect(path)) as connection:
        write_meta(connection, "schema_version", str(SCHEMA_VERSION + 1))
        connection.execute("DROP TABLE exemplar")
    with pytest.raises(NewerStoreError, match="upgrade this installation"):
        open_store(path, lambda: 0)
    with contextlib.closing(connect(path)) as connection:
        assert "exemplar" not in tables(connection)


def test_a_missing_column_is_added(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(path, lambda: 0)
    wanted = tables(store.connection)
    store.connection.execute("ALTER TABLE turn DROP COLUMN traceparent")
    store.close()
    store = open_store(path, lambda: 0)
    assert tables(store.connection) == wanted
    store.close()
