"""Finds out whether a store's file is damaged, and says what is wrong in words for people."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from claude_hooks_otel.store.connection import connect, read_meta
from claude_hooks_otel.store.schema import SCHEMA_VERSION, TABLES_NAME

_MAGIC: Final = b"SQLite format 3\0"
# SQLite's primary result codes.
_BUSY, _LOCKED, _FULL, _CORRUPT, _NOT_A_DATABASE = 5, 6, 13, 11, 26
# Bytes up to which the whole file is checked at each start, which takes a quarter of a second. A larger one is checked if it was not
# closed cleanly.
MOST_CHECKED: Final = 64_000_000


def find_damage(path: Path, *, thorough: bool = True) -> str | None:
    """Return what is wrong with a store's file, such as ``it is empty``. None if it is in order, newer than this version, or not there.

    Args:
        path: the file.
        thorough: read every page. Otherwise only the header, the names of the tables, and the version.

    Raises:
        sqlite3.Error: the file cannot be read now, for example because another process has locked it.
        OSError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except FileNotFoundError:
        return None
    if not magic:
        return "it is empty"
    if magic != _MAGIC:
        return "it is not an SQLite database"
    try:
        with closing(connect(path, readonly=True)) as connection:
            return _find(connection, thorough=thorough)
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        raise


def _find(connection: sqlite3.Connection, *, thorough: bool) -> str | None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "meta" not in tables:
        return "the table meta is missing" if tables else "it has no tables"
    if schema_of(connection) > SCHEMA_VERSION:
        return None
    if missing := sorted(set(read_meta(connection, TABLES_NAME).split()) - tables):
        return (
            f"the table {missing[0]} is missing" if len(missing) == 1 else f"tables are missing: {', '.join(missing)}"
        )
    if not thorough:
        return None
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if answer == "ok" else " ".join(str(answer).removeprefix("*** in database main ***").split())


def schema_of(connection: sqlite3.Connection) -> int:
    """Return the version of a store's schema. One without a version is as new as this package."""
    text = read_meta(connection, "schema_version")
    return int(text) if text.isdecimal() else SCHEMA_VERSION


def newer_schema(connection: sqlite3.Connection) -> str | None:
    """Return a sentence if a newer version of this package wrote the store, otherwise None."""
    if (schema := schema_of(connection)) <= SCHEMA_VERSION:
        return None
    return (
        f"A newer claude-hooks-otel wrote the store (schema {schema}, this one knows {SCHEMA_VERSION}). "
        "Upgrade this installation. Until then events wait in the spool."
    )


def is_damage(error: BaseException) -> bool:
    """Return whether an error means that the file is damaged, not that it cannot be used for now."""
    if not isinstance(error, sqlite3.Error):
        return False
    return _primary(error) in (_CORRUPT, _NOT_A_DATABASE) or str(error).startswith("no such table")


def explain(path: Path, error: sqlite3.Error) -> str:
    """Return a sentence about why a store cannot be read, and what happens next."""
    code = _primary(error)
    if is_damage(error):
        return (
            f"{path} is damaged: {error}. The daemon sets it aside, and recovers what can be read, when the next session starts. "
            "Run `claude-hooks-otel flush` to do that now."
        )
    if code in (_BUSY, _LOCKED):
        return f"{path} is locked by another process. Events wait in the spool. Find the process with: fuser {path}"
    if code == _FULL:
        return f"The disk of {path} is full. Events wait in the spool. Free some space."
    return f"{path} cannot be read: {error}."


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
