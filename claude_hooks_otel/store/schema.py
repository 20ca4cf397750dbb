"""The tables of the store: each room brings its own. Tables and columns that are missing are added; anything else is a migration."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from claude_hooks_otel.store.connection import read_meta, write_meta

SCHEMA_VERSION: Final = 4
# The named value that lists the store's tables, so that a missing one is noticed. Stores of earlier versions have none.
TABLES_NAME: Final = "tables"

_META: Final = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"

# What version 2 calls the tables of version 1.
_TABLES_OF_VERSION_1: Final[Mapping[str, str]] = {
    "event": "ledger",
    "transcript": "transcript_cursor",
    "watch": "followed_session",
    "sdk_gauge": "program_gauge",
    "sdk_span": "program_span",
    "record_due": "pending_session",
    "record_written": "written_item",
    "record_outbox": "outbox",
    "record_dropped": "dropped_item",
}
_INDEXES_OF_VERSION_1: Final = ("event_by_session", "record_outbox_by_exporter", "sdk_span_by_time")


class Room(Protocol):
    """A module that keeps something in the store.

    Attributes:
        SCHEMA: its ``CREATE TABLE IF NOT EXISTS`` and ``CREATE INDEX IF NOT EXISTS`` statements, separated by semicolons.
    """

    SCHEMA: str

    def forget(self, connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:
        """Delete what is older than a time, Unix nanoseconds, inside the caller's transaction."""


class NewerStoreError(RuntimeError):
    """A newer version of this package wrote the store."""


def bring_up_to_date(connection: sqlite3.Connection, rooms: Iterable[Room]) -> None:
    """Create the tables of a new store, or migrate an older one, inside the caller's transaction.

    Raises:
        NewerStoreError: the store has a newer schema than this version knows. Nothing was changed.
    """
    connection.execute(_META)
    version = int(read_meta(connection, "schema_version") or SCHEMA_VERSION)
    if version > SCHEMA_VERSION:
        raise NewerStoreError(
            f"the store was written by a newer claude-hooks-otel (schema {version}, this one knows {SCHEMA_VERSION}): "
            "upgrade this installation, or point CLAUDE_HOOKS_OTEL_HOME elsewhere"
        )
    if version == 1:
        _migrate_from_version_1(connection)
    if version <= 2:
        _migrate_from_version_2(connection)
    if version <= 3:
        _migrate_from_version_3(connection)
    for room in rooms:
        _add_missing(connection, room.SCHEMA)
    write_meta(connection, "schema_version", str(SCHEMA_VERSION))
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    write_meta(connection, TABLES_NAME, " ".join(name for (name,) in tables))


def _add_missing(connection: sqlite3.Connection, schema: str) -> None:
    """Create a room's tables, and add the columns that an older version's tables lack. Indexes come last: they need the columns."""
    statements = [statement for text in schema.split(";") if (statement := text.strip())]
    tables = [statement for statement in statements if statement.startswith("CREATE TABLE")]
    with contextlib.closing(sqlite3.connect(":memory:")) as wanted:
        for statement in tables:
            connection.execute(statement)
            wanted.execute(statement)
        for (name,) in wanted.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            present = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for _, column, kind, *_ in wanted.execute(f"PRAGMA table_info({name})"):
                if column not in present:
                    connection.execute(f"ALTER TABLE {name} ADD COLUMN {column} {kind}")
    for statement in statements:
        if statement not in tables:
            connection.execute(statement)


def _migrate_from_version_1(connection: sqlite3.Connection) -> None:
    """Give tables, columns and named values the names that they have since version 2."""
    for index in _INDEXES_OF_VERSION_1:
        connection.execute(f"DROP INDEX IF EXISTS {index}")
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for old, new in _TABLES_OF_VERSION_1.items():
        if old in present:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
    if "content" in present:
        connection.execute("ALTER TABLE content RENAME COLUMN witness TO source")
    if "session" in present and "context_window" in {
        row[1] for row in connection.execute("PRAGMA table_info(session)")
    }:
        connection.execute("ALTER TABLE session DROP COLUMN context_window")  # nothing ever wrote it
    if "record_dropped" in present:
        connection.execute("ALTER TABLE dropped_item RENAME COLUMN records TO items")
    connection.execute("UPDATE meta SET name = 'forgotten_before_ns' WHERE name = 'pruned_ns'")


def _migrate_from_version_2(connection: sqlite3.Connection) -> None:
    """Add a second key to API requests, and a third one to auxiliary usage."""
    _add_key(connection, "api_request", ("message_id", "answer_id"), "COALESCE(request_id, '')")
    _add_key(connection, "auxiliary_usage", ("session_id", "model", "part"), "''")


def _migrate_from_version_3(connection: sqlite3.Connection) -> None:
    """Drop the sums of half hours, which have a longer key now. They are added up again from the facts."""
    connection.execute("DROP TABLE IF EXISTS aggregate")
    connection.execute("DELETE FROM meta WHERE name = 'has_aggregates'")


def _add_key(connection: sqlite3.Connection, table: str, key: Sequence[str], value: str) -> None:
    """Add the last column of a key to a table. A primary key cannot be changed, so the table is created again.

    Args:
        connection: the store's.
        table: its name.
        key: the columns of the new key.
        value: an SQL expression for the new column.
    """
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    if not columns:
        return
    listed = ", ".join(name for _, name, *_ in columns)
    declared = ", ".join(f"{name} {kind}" for _, name, kind, *_ in columns)
    connection.execute(
        f"CREATE TABLE migrated ({declared}, {key[-1]} TEXT, PRIMARY KEY ({', '.join(key)})) WITHOUT ROWID"
    )
    connection.execute(f"INSERT INTO migrated ({listed}, {key[-1]}) SELECT {listed}, {value} FROM {table}")  # noqa: S608
    connection.execute(f"DROP TABLE {table}")
    connection.execute(f"ALTER TABLE migrated RENAME TO {table}")
