"""Opening the store's file, and the named values in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Seconds that a reader or a second process waits for a lock.
BUSY_TIMEOUT_SECONDS = 10.0
# Page cache, KiB: small, because the daemon promises little memory.
CACHE_KIB = 4096
_NAMES_PER_STATEMENT = 500


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Opens the store's file.

    Raises:
        sqlite3.OperationalError: it is not there (read-only), or cannot be opened.
    """
    if readonly:
        connection = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS
        )
        connection.execute("PRAGMA query_only = 1")
        return connection
    path.touch(mode=0o600, exist_ok=True)
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, cached_statements=256, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "PRAGMA synchronous = FULL"
    )  # a spool file is deleted after its commit: the commit must be on disk
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def read_meta(connection: sqlite3.Connection, name: str) -> str:
    """A named value of a store; empty where there is none."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return "" if row is None else str(row[0])


def write_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Stores a named value."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def portions(names: Sequence[T]) -> Iterator[Sequence[T]]:
    """The names in portions that one statement can hold: SQLite takes 32,766 parameters, older ones 999."""
    for start in range(0, len(names), _NAMES_PER_STATEMENT):
        yield names[start : start + _NAMES_PER_STATEMENT]
