"""The database schema: numbered SQL files, each applied once, and monthly partitions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from psycopg import Connection, sql

# The number of an advisory lock. It keeps two daemons from changing the schema at the same time.
_LOCK = 0x636C6F74


def migrate(connection: Connection[Any], schema: str) -> bool:
    """Bring the schema up to date, in one transaction, and return whether its table is a hypertable of TimescaleDB.

    A new schema uses TimescaleDB if the database has the extension (``CREATE EXTENSION timescaledb``).

    Raises:
        psycopg.Error: the user may not create the schema.
    """
    name = sql.Identifier(schema)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if connection.execute("SELECT to_regnamespace(quote_ident(%s))", (schema,)).fetchone() == (None,):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {}.migration (number integer PRIMARY KEY, file text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
            ).format(name)
        )
        applied = {row[0] for row in connection.execute(sql.SQL("SELECT number FROM {}.migration").format(name))}
        timescale = _is_partitioned(connection, schema) is False if applied else _has_timescale(connection)
        partitioning = sql.SQL("" if timescale else "PARTITION BY RANGE (at)")
        for number, file, text in migrations():
            if number in applied:
                continue
            connection.execute(sql.SQL(text).format(schema=name, partitioning=partitioning))
            connection.execute(
                sql.SQL("INSERT INTO {}.migration (number, file) VALUES (%s, %s)").format(name), (number, file)
            )
        if timescale and not applied:
            connection.execute(
                "SELECT create_hypertable(%s::regclass, 'at', chunk_time_interval => interval '1 month')",
                (f'"{schema}".measurement',),
            )
    return timescale


def migrations() -> list[tuple[int, str, Any]]:
    """Return every migration as (number, file, text), in order."""
    folder = files(__package__) / "migrations"
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.partition("_")[0]), name, (folder / name).read_text(encoding="utf-8")) for name in found]


def _has_timescale(connection: Connection[Any]) -> bool:
    return bool(connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone())


def _is_partitioned(connection: Connection[Any], schema: str) -> bool | None:
    row = connection.execute(
        "SELECT relkind = 'p' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = 'measurement'",
        (schema,),
    ).fetchone()
    return None if row is None else bool(row[0])


def month_of(moment: datetime) -> tuple[int, int]:
    """Return the (year, month) of a time, UTC."""
    moment = moment.astimezone(UTC)
    return moment.year, moment.month


def following(month: tuple[int, int]) -> tuple[int, int]:
    """Return the next month.

    >>> following((2026, 12))
    (2027, 1)
    """
    year, number = month
    return (year + 1, 1) if number == 12 else (year, number + 1)


def make_partitions(connection: Connection[Any], schema: str, months: Iterable[tuple[int, int]]) -> None:
    """Create the partitions of these months, UTC, that do not exist yet."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for month in sorted(set(months)):
            start, end = (f"{year:04}-{number:02}-01 00:00:00+00" for year, number in (month, following(month)))
            table, partition = "measurement", f"measurement_{month[0]:04}_{month[1]:02}"
            names = sql.Identifier(schema, partition), sql.Identifier(schema, table)
            statement = sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})")
            connection.execute(statement.format(*names, start, end))
