"""The tables of the embedded store.

Those of facts are made from ``facts.model``: one table a kind, one column a field. The others stand here as they are.
"""

from __future__ import annotations

import sqlite3
import typing
from dataclasses import dataclass

from claude_hooks_otel.facts.model import KINDS, SHAPES, Fact

# Raised when a change cannot be made by adding tables and columns, which ``create_tables`` does by itself.
SCHEMA_VERSION = 1

_OTHER_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    digest BLOB, received_ns INTEGER, session_id TEXT, event TEXT, agent_id TEXT, prompt_id TEXT, detail TEXT,
    PRIMARY KEY (digest, received_ns)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS event_by_session ON event (session_id, event, received_ns);
CREATE TABLE IF NOT EXISTS identity (
    session_id TEXT, since_ns INTEGER, agent TEXT, project TEXT, team TEXT, sprint TEXT, PRIMARY KEY (session_id, since_ns)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transcript (
    session_id TEXT, agent_id TEXT, path TEXT, inode INTEGER, offset INTEGER, last_ns INTEGER,
    PRIMARY KEY (session_id, agent_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (
    metric TEXT, labels TEXT, start_ns INTEGER, value INTEGER, buckets TEXT, PRIMARY KEY (metric, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS baseline (
    exporter TEXT, metric TEXT, labels TEXT, time_ns INTEGER, value INTEGER, buckets TEXT,
    PRIMARY KEY (exporter, metric, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watch (session_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drift (kind TEXT, name TEXT, seen INTEGER, last_ns INTEGER, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS declared_metric (name TEXT PRIMARY KEY, kind TEXT, unit TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sdk_gauge (
    metric TEXT, labels TEXT, value INTEGER, at_ns INTEGER, PRIMARY KEY (metric, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS measurement_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, metric TEXT, labels TEXT, amount INTEGER, scale INTEGER, at_ns INTEGER, logged_ns INTEGER
);
CREATE TABLE IF NOT EXISTS exporter_cursor (exporter TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exemplar (
    metric TEXT, labels TEXT, bucket INTEGER, value INTEGER, at_ns INTEGER, trace_id TEXT, span_id TEXT, kept_ns INTEGER,
    PRIMARY KEY (metric, labels, bucket)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record_due (
    session_id TEXT PRIMARY KEY, spans_since_ns INTEGER, events_since_ns INTEGER, is_new INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record_written (
    signal TEXT, id INTEGER, written_ns INTEGER, PRIMARY KEY (signal, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record_outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, exporter TEXT, signal TEXT, bytes INTEGER, queued_ns INTEGER, refusals INTEGER,
    body TEXT
);
CREATE INDEX IF NOT EXISTS record_outbox_by_exporter ON record_outbox (exporter, signal, refusals, seq, bytes, queued_ns);
CREATE TABLE IF NOT EXISTS record_dropped (signal TEXT, reason TEXT, records INTEGER, PRIMARY KEY (signal, reason)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS api_request_by_session ON api_request (session_id, at_ns);
CREATE INDEX IF NOT EXISTS api_request_by_time ON api_request (at_ns);
CREATE INDEX IF NOT EXISTS measurement_by_time ON measurement (at_ns);
CREATE INDEX IF NOT EXISTS sdk_span_by_time ON sdk_span (ended_ns);
CREATE INDEX IF NOT EXISTS suite_run_by_session ON suite_run (session_id);
CREATE INDEX IF NOT EXISTS task_by_completion ON task (completed_ns);
CREATE INDEX IF NOT EXISTS cost_state_by_account ON cost_state (account_started_ns);
CREATE INDEX IF NOT EXISTS tool_call_by_session ON tool_call (session_id, outcome);
CREATE INDEX IF NOT EXISTS turn_by_session ON turn (session_id);
CREATE INDEX IF NOT EXISTS subagent_by_session ON subagent (session_id);
CREATE INDEX IF NOT EXISTS subagent_wake_by_session ON subagent_wake (session_id);
"""


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one kind of fact, and the statements that work on it."""

    name: str
    columns: dict[str, str]
    insert: str
    select: str
    update: str

    @classmethod
    def of(cls, kind: type[Fact]) -> Table:
        """``ToolCall`` → table ``tool_call``, a column a field."""
        shape, hints = SHAPES[kind], typing.get_type_hints(kind)
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip("_")
        columns = {
            field: "INTEGER" if int in (hints[field], *typing.get_args(hints[field])) else "TEXT"
            for field in shape.names
        }
        listed, where = ", ".join(columns), " AND ".join(f"{field} = ?" for field in shape.keys)
        changes = ", ".join(f"{field} = ?" for field, _ in shape.merges)
        return cls(
            name=name,
            columns=columns,
            insert=f"INSERT OR IGNORE INTO {name} ({listed}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 — our own names
            select=f"SELECT {listed} FROM {name} WHERE {where}",  # noqa: S608
            update=f"UPDATE {name} SET {changes} WHERE {where}",  # noqa: S608
        )


TABLES: dict[type[Fact], Table] = {kind: Table.of(kind) for kind in KINDS}


def create_tables(connection: sqlite3.Connection) -> None:
    """Makes what is not there yet: tables, and columns that an older version's tables lack; inside the caller's transaction."""
    for kind, table in TABLES.items():
        columns = ", ".join(f"{name} {sql_type}" for name, sql_type in table.columns.items())
        keys = ", ".join(SHAPES[kind].keys)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({columns}, PRIMARY KEY ({keys})) WITHOUT ROWID")
        present = {row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")}
        for name, sql_type in table.columns.items():
            if name not in present:
                connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {name} {sql_type}")
    for statement in _OTHER_TABLES.split(";"):
        connection.execute(statement)
